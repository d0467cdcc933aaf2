package activities

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"

	"clickledger/internal/click"
)

// Types of application errors, as the Temporal UI and retry rules see them.
const (
	ErrorBadInput     = "BadInput"     // the input can never be served
	ErrorOtherTopic   = "OtherTopic"   // the stored offsets speak of another topic
	ErrorNotReady     = "NotReady"     // the window is not sealable yet: benign
	ErrorNoLedger     = "NoLedger"     // setup has not started the ledger
	ErrorVerification = "Verification" // what was written is not what is stored

	ErrorGone          = "Gone"          // the stream dropped what was to be archived
	ErrorOtherManifest = "OtherManifest" // the window was archived, and otherwise

	ErrorShrunk = "Shrunk" // the store has fewer rows than were exported before

	ErrorRollup         = "Rollup"         // a day could not be rolled up
	ErrorLakeIncomplete = "LakeIncomplete" // a manifest or an object of the lake is missing: nothing can be judged

	ErrorReplaced = "Replaced" // the object was replaced while it was imported
)

// BadInput is an error that no retry mends.
func BadInput(sentence string) error {
	return temporal.NewNonRetryableApplicationError(sentence, ErrorBadInput, nil)
}

// notReady is benign: it is asked again after wait, nothing is logged as wrong.
func notReady(sentence string, wait time.Duration) error {
	return temporal.NewApplicationErrorWithOptions(sentence, ErrorNotReady, temporal.ApplicationErrorOptions{
		NextRetryDelay: wait,
		Category:       temporal.ApplicationErrorCategoryBenign,
	})
}

// translate decides which of the stores' errors a retry cannot mend.
func translate(err error) error {
	for sentinel, name := range map[error]string{
		click.ErrOtherTopic: ErrorOtherTopic, click.ErrGone: ErrorGone, click.ErrOtherManifest: ErrorOtherManifest,
		click.ErrLakeIncomplete: ErrorLakeIncomplete, click.ErrBadFile: ErrorBadInput, click.ErrReplaced: ErrorReplaced,
	} {
		if errors.Is(err, sentinel) {
			return temporal.NewNonRetryableApplicationError(err.Error(), name, err)
		}
	}
	return err
}
