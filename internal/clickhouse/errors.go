package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
)

// Codes of ClickHouse exceptions, from its src/Common/ErrorCodes.cpp.
const (
	codeReadAfterEnd    = 32 // a shard died in the middle of its answer
	codeUnknownTable    = 60
	codeUnknownDatabase = 81
	codeTooManyRows     = 158
	codeTimeoutExceeded = 159

	codeTooManyQueries  = 202
	codeSocketTimeout   = 209
	codeNetworkError    = 210
	codeMemoryLimit     = 241
	codeNoShardAnswered = 279
)

// readError says what failed, and in the chain whether it is worth trying
// again: a server that did not answer, has too much to do or no schema yet is
// click.ErrUnavailable, a query over its time context.DeadlineExceeded, one over
// its rows or its memory click.ErrTooManyRows or click.ErrTooMuchMemory. What
// else the server objects to is our mistake and stays as it is.
func readError(what string, err error) error {
	var exception *ch.Exception
	if !errors.As(err, &exception) {
		// A dial that timed out calls itself a deadline, but nothing was asked yet.
		var dial *net.OpError
		dialling := errors.As(err, &dial) && dial.Op == "dial"
		if !dialling && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
			return fmt.Errorf("%s: %w", what, err)
		}
		return fmt.Errorf("%s: %w: %w", what, click.ErrUnavailable, err)
	}
	if ofQuery(exception) {
		return fmt.Errorf("%s: %w: %w", what, click.ErrTooMuchMemory, err)
	}
	switch exception.Code {
	case codeUnknownTable, codeUnknownDatabase:
		return fmt.Errorf("%s: %w: setup has not run: %w", what, click.ErrUnavailable, err)
	case codeReadAfterEnd, codeTooManyQueries, codeSocketTimeout, codeNetworkError, codeMemoryLimit, codeNoShardAnswered:
		return fmt.Errorf("%s: %w: %w", what, click.ErrUnavailable, err)
	case codeTooManyRows:
		return fmt.Errorf("%s: %w: %w", what, click.ErrTooManyRows, err)
	case codeTimeoutExceeded:
		return fmt.Errorf("%s: %w: %w", what, context.DeadlineExceeded, err)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}

// ofQuery reports whether a query had more memory than it may. The same code
// says that the server as a whole has none left, which passes.
func ofQuery(e *ch.Exception) bool {
	return e.Code == codeMemoryLimit && strings.Contains(e.Message, "Query memory limit exceeded")
}
