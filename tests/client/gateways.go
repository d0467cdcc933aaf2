package client

import "strings"

// gatewaysVariable lists where all gateways of the local stack listen,
// host:port[,host:port…]: deploy/local/env.go. No program reads it.
const gatewaysVariable = "STACK_GATEWAYS"

// Gateways are the URLs of all gateways of the local stack, by its settings. The
// first is the public one, wherever that was made to listen.
func Gateways(settings map[string]string, public string) []string {
	urls := []string{public}
	for _, addr := range strings.Split(settings[gatewaysVariable], ",")[1:] {
		urls = append(urls, "http://"+addr)
	}
	return urls
}
