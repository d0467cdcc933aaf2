package client

import (
	"slices"
	"testing"
)

func TestGatewaysOfAStack(t *testing.T) {
	const public = "http://127.0.0.1:8080"
	for listed, want := range map[string][]string{
		"127.0.0.1:8080":                {public},
		"127.0.0.1:8080,127.0.0.1:8081": {public, "http://127.0.0.1:8081"},
		"":                              {public}, // settings of an older stack
	} {
		if got := Gateways(map[string]string{gatewaysVariable: listed}, public); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", listed, got, want)
		}
	}
}
