package click

import "time"

// Origin names the record that became a dead letter, for good: a topic that was
// made anew has the same offsets, but not the same append times. Copies of one
// letter, buried again after a crash, have one origin.
type Origin struct {
	Topic string
	Position
	AppendedAt time.Time // by the broker's clock, whole milliseconds
}

// Buried is a dead letter as it is kept.
type Buried struct {
	Origin
	Place      int64     // its offset in the topic of dead letters
	BuriedAt   time.Time // by the clock of the ingester that buried it
	Reason     string    // a plain sentence
	Key, Value []byte    // the original's, byte for byte, unless it was cut off
	WholeBytes int       // of the original's key and value
}

// CutOff reports whether only a part of the original is kept.
func (b *Buried) CutOff() bool { return len(b.Key)+len(b.Value) < b.WholeBytes }

// LetterAction is a row of the audit of dead letters.
type LetterAction struct {
	Origin
	At       time.Time // by the store's clock; set by the store
	ActionID int64     // the rows of one action share it
	Action   LetterState
	Stage    LetterStage
	KeyID    int64 // who; 0: the admin key of the configuration
	Note     string
	Result   string
}

// LetterState is what became of a dead letter.
type LetterState string

// A letter is open until an action on it is done; then the last one done says.
const (
	LetterOpen      LetterState = "OPEN"
	LetterReplayed  LetterState = "REPLAYED"
	LetterDiscarded LetterState = "DISCARDED"
)

// LetterStage is how far an action came.
type LetterStage string

// A begun action that is neither done nor failed was cut short: it may have
// been carried out, and may be repeated.
const (
	LetterBegun  LetterStage = "BEGUN"
	LetterDone   LetterStage = "DONE"
	LetterFailed LetterStage = "FAILED"
)

// StateOfLetter is what the actions on one letter, in their order, made of it.
func StateOfLetter(actions []LetterAction) LetterState {
	state := LetterOpen
	for _, a := range actions {
		if a.Stage == LetterDone {
			state = a.Action
		}
	}
	return state
}
