package server

import (
	"net/http"

	connectcors "connectrpc.com/cors"
	"github.com/rs/cors"
)

// corsMaxAgeSeconds is how long a browser need not ask again.
const corsMaxAgeSeconds = 7200

// crossOrigin lets pages of these origins use the API; without any, none but
// those that this port serves itself. A page shows the key of its user: no cookie
// is ever read, so credentials are not allowed.
func crossOrigin(origins []string, next http.Handler) http.Handler {
	if len(origins) == 0 {
		return next
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: connectcors.AllowedMethods(),
		AllowedHeaders: append(connectcors.AllowedHeaders(), "Authorization"),
		ExposedHeaders: append(connectcors.ExposedHeaders(), sealedThroughHeader, "Retry-After", "Content-Disposition"),
		MaxAge:         corsMaxAgeSeconds,
	}).Handler(next)
}
