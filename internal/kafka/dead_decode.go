package kafka

import (
	"clickledger/internal/click"
	recordv1 "clickledger/proto/gen/clickledger/record/v1"
)

// Decode is what the value of a dead letter says, read as the ingester reads it.
func (a *Admin) Decode(letter click.Buried) (click.Click, error) {
	return decodeRecord(letter.Value, new(recordv1.Click))
}
