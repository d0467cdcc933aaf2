package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/durationpb"

	"clickledger/internal/click"
)

// One answer for a foreign thing and for one that does not exist.
var (
	errNoSuchAd         = errors.New("there is no such ad")
	errNoSuchAdvertiser = errors.New("there is no such advertiser")
	errNoSuchKey        = errors.New("there is no such API key")
	errForbidden        = errors.New("this API key does not allow that")
)

func notFound(err error) error { return connect.NewError(connect.CodeNotFound, err) }
func forbidden() error         { return connect.NewError(connect.CodePermissionDenied, errForbidden) }
func invalid(what string) error {
	return connect.NewError(connect.CodeInvalidArgument, errors.New(what))
}

// messageOf is the sentence of an error made here, without its code.
func messageOf(err error) string {
	var ready *connect.Error
	if errors.As(err, &ready) {
		return ready.Message()
	}
	return err.Error()
}

func invalidf(format string, args ...any) error {
	return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf(format, args...))
}

func exhaustedf(format string, args ...any) error {
	return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf(format, args...))
}

// unavailable tells the client when to come back.
func unavailable(sentence string) error {
	err := connect.NewError(connect.CodeUnavailable, errors.New(sentence))
	err.Meta().Set("Retry-After", retryAfterSeconds)
	return err
}

// exhausted tells the client that it asks too much at a time, and when to come
// back: in words, as google.rpc.RetryInfo, and in whole seconds as a header.
func exhausted(sentence error, after time.Duration) error {
	err := connect.NewError(connect.CodeResourceExhausted, sentence)
	if detail, detailErr := connect.NewErrorDetail(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)}); detailErr == nil {
		err.AddDetail(detail)
	}
	err.Meta().Set("Retry-After", strconv.Itoa(int(math.Ceil(after.Seconds()))))
	return err
}

// internalError is an error whose text is for the log; the client is told none of it.
type internalError struct{ cause error }

func (e internalError) Error() string { return "something went wrong here" }
func (e internalError) Unwrap() error { return e.cause }

// translate makes a Connect error of what the parts return. Errors that are
// Connect's already were meant for the client.
func translate(err error) error {
	var ready *connect.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ready):
		return ready
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, errors.New("the call was cancelled"))
	case errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, click.ErrUnavailable):
		return connect.NewError(connect.CodeDeadlineExceeded, errors.New("it took too long: ask for less"))
	case errors.Is(err, click.ErrUnavailable):
		translated := connect.NewError(connect.CodeUnavailable, unavailableError{err})
		translated.Meta().Set("Retry-After", retryAfterSeconds)
		return translated
	default:
		return connect.NewError(connect.CodeInternal, internalError{err})
	}
}

// unavailableError keeps the cause for the log.
type unavailableError struct{ cause error }

func (e unavailableError) Error() string {
	return "a server this needs does not answer just now: try again in a moment"
}
func (e unavailableError) Unwrap() error { return e.cause }

// cause is the text behind an error for the log, "" if the client was told all.
func cause(err error) string {
	var hidden internalError
	if errors.As(err, &hidden) {
		return hidden.cause.Error()
	}
	var away unavailableError
	if errors.As(err, &away) {
		return away.cause.Error()
	}
	return ""
}
