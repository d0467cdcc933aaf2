package click

import (
	"errors"
	"time"
)

// AsOfSettled is how long ago a time must be for it to be told what was final
// then: a seal is dated just before it can be seen.
const AsOfSettled = 10 * time.Second

// Why it cannot be told what was final at a time.
var (
	// ErrNotSettled: the time is not AsOfSettled ago, by the home server's clock.
	ErrNotSettled = errors.New("what is sealed at this moment cannot be told yet")
	// ErrBeforeLedger: nothing is known to have been final at that time.
	ErrBeforeLedger = errors.New("nothing is known to have been final then")
)

// SealTime is when a seal of a minute was entered into the ledger first.
type SealTime struct {
	Minute  time.Time
	Version uint64
	State   string // as in the ledger: SEALED or EARLIER
	At      time.Time
}

// Correction is a restatement that took effect: the minute was sealed with it.
type Correction struct {
	AdID            int64
	Minute          time.Time
	ReplacedVersion uint64 // of the figure: tells the corrections of a minute apart, in order
	Before, After   uint64
	At              time.Time // when it was sealed, by the home server's clock
	Reason          string
}
