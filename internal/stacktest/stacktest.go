// Package stacktest gives a test the local stack's real servers under a
// namespace of its own, so that tests run beside each other and beside a demo
// without touching it. It is imported by tests only. A stack that is not up is
// a failure, never a skip.
package stacktest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"testing"
	"time"

	"clickledger/internal/config"
)

const cleanupTimeout = 30 * time.Second

// Variables is the local stack's settings with a fresh namespace.
func Variables(t testing.TB) map[string]string {
	t.Helper()
	variables, err := config.LocalVariables()
	if err != nil {
		t.Fatal(err)
	}
	variables = maps.Clone(variables)
	var id [4]byte
	_, _ = rand.Read(id[:])
	variables[config.Prefix+"NAMESPACE"] = "test_" + hex.EncodeToString(id[:])
	return variables
}

// Config is Variables, read as the programs read them.
func Config(t testing.TB) config.Config {
	t.Helper()
	c, err := config.LoadFrom(Variables(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Cleanup runs remove at the test's end with a context that is still alive.
func Cleanup(t testing.TB, what string, remove func(context.Context) error) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
		defer cancel()
		if err := remove(ctx); err != nil {
			t.Errorf("clean up %s: %v", what, err)
		}
	})
}
