package kafka

import (
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/proto"

	"clickledger/internal/click"
	recordv1 "clickledger/proto/gen/clickledger/record/v1"
)

// recordSchema is the schema version this code writes and reads.
const recordSchema = 1

// encodeRecord is the value of the Kafka record that carries c.
func encodeRecord(c *click.Click) ([]byte, error) {
	value, err := proto.Marshal(&recordv1.Click{
		SchemaVersion: recordSchema,
		AdId:          c.AdID,
		AdvertiserId:  c.AdvertiserID,
		ImpressionId:  c.Impression[:],
		ArrivalId:     c.Arrival[:],
		ClickedAtMs:   c.ClickedAt.UnixMilli(),
	})
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return value, nil
}

// decodeRecord reads what encodeRecord wrote. An error means that no retry will
// ever read this value: it is for the dead-letter topic, with the error as its
// reason. scratch is overwritten; it spares an allocation per record.
func decodeRecord(value []byte, scratch *recordv1.Click) (click.Click, error) {
	if err := proto.Unmarshal(value, scratch); err != nil {
		return click.Click{}, errors.New("the value is not a click record")
	}
	if scratch.SchemaVersion != recordSchema {
		return click.Click{}, fmt.Errorf("schema version %d is not %d", scratch.SchemaVersion, recordSchema)
	}
	c := click.Click{
		AdID:         scratch.AdId,
		AdvertiserID: scratch.AdvertiserId,
		ClickedAt:    time.UnixMilli(scratch.ClickedAtMs).UTC(),
	}
	switch {
	case c.AdID <= 0:
		return click.Click{}, fmt.Errorf("ad id %d is not positive", c.AdID)
	case c.AdvertiserID <= 0:
		return click.Click{}, fmt.Errorf("advertiser id %d is not positive", c.AdvertiserID)
	case len(scratch.ImpressionId) != len(c.Impression):
		return click.Click{}, fmt.Errorf("impression id has %d bytes, not %d", len(scratch.ImpressionId), len(c.Impression))
	case len(scratch.ArrivalId) != len(c.Arrival):
		return click.Click{}, fmt.Errorf("arrival id has %d bytes, not %d", len(scratch.ArrivalId), len(c.Arrival))
	case scratch.ClickedAtMs <= 0 || scratch.ClickedAtMs/1000 > math.MaxUint32:
		// ClickHouse's DateTime is unsigned 32-bit seconds.
		return click.Click{}, fmt.Errorf("clicked_at_ms %d is not between 1970 and 2106", scratch.ClickedAtMs)
	}
	copy(c.Impression[:], scratch.ImpressionId)
	copy(c.Arrival[:], scratch.ArrivalId)
	if c.Impression[6]>>4 != 7 {
		return click.Click{}, errors.New("impression id is not a UUID of version 7")
	}
	return c, nil
}
