package clickhouse

import (
	"testing"

	"clickledger/internal/config"
)

// The local stack's profile turns it off too, so no query there can tell; other servers gather inserts by default.
func TestInsertsAreNotLeftToBeGathered(t *testing.T) {
	if got := options(config.Config{}, "any").Settings["async_insert"]; got != 0 {
		t.Errorf("async_insert is sent as %v", got)
	}
}
