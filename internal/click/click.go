package click

import (
	"encoding/binary"
	"time"
)

// Click is one counted-to-be click as it travels: made by the gateway, carried
// by Kafka, stored by the ingester.
type Click struct {
	AdID         int64
	AdvertiserID int64
	Impression   ImpressionID
	ClickedAt    time.Time // event time: set by the gateway on arrival, milliseconds, UTC
	Arrival      ArrivalID
}

// Routed is a click with what its token says of its way into the stream.
type Routed struct {
	Click
	FanOut uint8 // over how many partitions the ad's clicks are spread
}

// Journalled is a click in a gateway's journal. Numbers grow in the order of
// arrival and are never used again.
type Journalled struct {
	Routed
	Number uint64
}

// Position is where a click stands in the stream.
type Position struct {
	Partition int32
	Offset    int64
}

// Placed is a click with its place in the stream.
type Placed struct {
	Click
	Position
}

// ArrivalID names one HTTP request: the gateway's random instance number and a
// sequence number, both 8 bytes big endian. Two copies of one click (a
// redelivery) share it; two clicks do not.
type ArrivalID [16]byte

// NewArrivalID joins a gateway's instance number and its sequence number.
func NewArrivalID(instance, sequence uint64) ArrivalID {
	var id ArrivalID
	binary.BigEndian.PutUint64(id[0:8], instance)
	binary.BigEndian.PutUint64(id[8:16], sequence)
	return id
}

// String is the 8-4-4-4-12 form, as ClickHouse shows the column.
func (id ArrivalID) String() string { return formatUUID(id) }

// Verdict says what became of a click that was answered.
type Verdict string

// The verdicts. Accepted does not yet mean counted: only the ingester judges
// that. The others were redirected but never count. NotRecorded would have
// counted: it could be made durable nowhere, and the answer says so.
const (
	Accepted    Verdict = "ACCEPTED"
	Duplicate   Verdict = "DUPLICATE"
	Expired     Verdict = "EXPIRED"
	Paused      Verdict = "PAUSED"
	Prefetch    Verdict = "PREFETCH"
	NotRecorded Verdict = "NOT_RECORDED"
)
