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
	if errors.Is(err, click.ErrOtherTopic) {
		return temporal.NewNonRetryableApplicationError(err.Error(), ErrorOtherTopic, err)
	}
	return err
}
