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
	// ErrFewerPartitions: the clicks topic has fewer partitions than are configured.
	// Setup raises it; until then clicks wait in the journals.
	ErrFewerPartitions = errors.New("the clicks topic has fewer partitions than are configured")
	// ErrGone: the stream has dropped what was asked for.
	ErrGone = errors.New("dropped by the stream")
	// ErrOtherManifest: an archive window has a manifest already, and it says
	// something else.
	ErrOtherManifest = errors.New("another manifest of the window")
	// ErrLake: what the lake consists of cannot be read.
	ErrLake = errors.New("the lake cannot be read")
	// ErrLakeIncomplete: a manifest or an object that the lake must have is
	// missing, or is not what it was. Nothing can be judged by such a lake.
	ErrLakeIncomplete = errors.New("the lake is incomplete")
	// ErrTooManyRows and ErrTooMuchMemory: a question costs more than one may. It
	// is the same when it is asked again.
	ErrTooManyRows   = errors.New("it reads more rows than it may")
	ErrTooMuchMemory = errors.New("it needs more memory than it may")
	// ErrBadFile: a file that was brought from outside is not of its format.
	ErrBadFile = errors.New("the file cannot be read")
	// ErrReplaced: an object is not the one any more that was begun with.
	ErrReplaced = errors.New("the object was replaced meanwhile")
)
