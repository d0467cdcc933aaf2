package clickhouse

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"clickledger/internal/click"
)

func TestAServerThatCannotBeDialledIsUnavailableNotSlow(t *testing.T) {
	dialer := net.Dialer{Timeout: time.Nanosecond}
	_, err := dialer.DialContext(t.Context(), "tcp", "127.0.0.1:9000")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a dial that timed out: %v", err)
	}
	if got := readError("read ad", err); !errors.Is(got, click.ErrUnavailable) {
		t.Errorf("got %v", got)
	}
	if got := readError("read ad", context.DeadlineExceeded); errors.Is(got, click.ErrUnavailable) || !errors.Is(got, context.DeadlineExceeded) {
		t.Errorf("a caller's deadline: %v", got)
	}
}
