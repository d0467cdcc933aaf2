package click

import "errors"

// Errors that callers decide on, whatever store they come from.
var (
	// ErrNotFound: the thing named does not exist.
	ErrNotFound = errors.New("not found")
	// ErrUnavailable: no server that could answer was reachable; try again.
	ErrUnavailable = errors.New("unavailable")
	// ErrOtherTopic: the topic is not the one the stored offsets speak of. Kafka
	// was lost or the topic recreated; offsets mean nothing without their topic.
	ErrOtherTopic = errors.New("the clicks topic is not the one this ledger was built from")
)
