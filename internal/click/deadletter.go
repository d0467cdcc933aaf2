package click

import "errors"

// DeadLetter is a record of the stream that can never be counted: it is set
// aside with the reason instead of holding up what comes behind it.
type DeadLetter struct {
	Position
	Reason string // a plain sentence
}

// ErrRejected: a store refuses this data, and would refuse it again however
// often it is tried. Never wrapped when in doubt: what is not certainly the
// data's fault is retried.
var ErrRejected = errors.New("rejected for its data")
