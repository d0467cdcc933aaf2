// Package temporal is how our programs connect to Temporal.
package temporal

import (
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"clickledger/internal/config"
)

// Options are those of a client of the configured namespace; the caller adds
// what is its own.
func Options(c config.Config, logger log.Logger) client.Options {
	options := client.Options{
		HostPort: c.TemporalAddr, Namespace: c.TemporalNamespace(), Logger: logger,
		ConnectionOptions: client.ConnectionOptions{TLS: c.TLS(c.TemporalTLS)},
	}
	if c.TemporalAPIKey != "" {
		options.Credentials = client.NewAPIKeyStaticCredentials(c.TemporalAPIKey)
	}
	return options
}
