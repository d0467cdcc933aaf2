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

const (
	// filteredSchema is the schema version this code writes and reads.
	filteredSchema = 1
	// filteredCountMax is far above what one gateway can redirect in a minute: a
	// count beyond it is no count.
	filteredCountMax = 1 << 40
)

// encodeFiltered is the value of the Kafka record that carries entries.
func encodeFiltered(entries []click.Filtered) ([]byte, error) {
	batch := &recordv1.FilteredBatch{SchemaVersion: filteredSchema, Entries: make([]*recordv1.Filtered, len(entries))}
	for i := range entries {
		e := &entries[i]
		reason, err := reasonToRecord(e.Reason)
		if err != nil {
			return nil, err
		}
		batch.Entries[i] = &recordv1.Filtered{
			Id: e.ID[:], Minute: e.Window.Start().Unix() / 60, AdvertiserId: e.AdvertiserID, AdId: e.AdID,
			Reason: reason, Count: e.Count,
		}
	}
	value, err := proto.Marshal(batch)
	if err != nil {
		return nil, fmt.Errorf("encode filtered clicks: %w", err)
	}
	return value, nil
}

// decodeFiltered reads what encodeFiltered wrote, all of it or nothing. An
// error means that no retry will ever read this value: it is for the
// dead-letter topic, with the error as its reason.
func decodeFiltered(value []byte) ([]click.Filtered, error) {
	var batch recordv1.FilteredBatch
	if err := proto.Unmarshal(value, &batch); err != nil {
		return nil, errors.New("the value is not a record of filtered clicks")
	}
	if batch.SchemaVersion != filteredSchema {
		return nil, fmt.Errorf("schema version %d is not %d", batch.SchemaVersion, filteredSchema)
	}
	entries := make([]click.Filtered, len(batch.GetEntries()))
	for i, e := range batch.GetEntries() {
		var err error
		if entries[i], err = filteredFromRecord(e); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return entries, nil
}

func filteredFromRecord(e *recordv1.Filtered) (click.Filtered, error) {
	reason, err := reasonFromRecord(e.GetReason())
	out := click.Filtered{
		AdvertiserID: e.GetAdvertiserId(), AdID: e.GetAdId(), Reason: reason, Count: e.GetCount(),
	}
	switch {
	case err != nil:
		return click.Filtered{}, err
	case len(e.GetId()) != len(out.ID):
		return click.Filtered{}, fmt.Errorf("id has %d bytes, not %d", len(e.GetId()), len(out.ID))
	case out.AdvertiserID <= 0:
		return click.Filtered{}, fmt.Errorf("advertiser id %d is not positive", out.AdvertiserID)
	case out.AdID <= 0:
		return click.Filtered{}, fmt.Errorf("ad id %d is not positive", out.AdID)
	case e.GetMinute() <= 0 || e.GetMinute() > math.MaxUint32/60:
		// ClickHouse's DateTime is unsigned 32-bit seconds.
		return click.Filtered{}, fmt.Errorf("minute %d is not between 1970 and 2106", e.GetMinute())
	case out.Count == 0 || out.Count > filteredCountMax:
		return click.Filtered{}, fmt.Errorf("count %d is not between 1 and %d", out.Count, uint64(filteredCountMax))
	}
	copy(out.ID[:], e.GetId())
	out.Window = click.WindowOf(time.Unix(e.GetMinute()*60, 0))
	return out, nil
}

func reasonToRecord(v click.Verdict) (recordv1.Reason, error) {
	switch v {
	case click.Duplicate:
		return recordv1.Reason_REASON_DUPLICATE, nil
	case click.Expired:
		return recordv1.Reason_REASON_EXPIRED, nil
	case click.Paused:
		return recordv1.Reason_REASON_PAUSED, nil
	case click.Prefetch:
		return recordv1.Reason_REASON_PREFETCH, nil
	default: // ACCEPTED is no reason either
		return recordv1.Reason_REASON_UNSPECIFIED, fmt.Errorf("%q is no reason not to count a click", v)
	}
}

func reasonFromRecord(r recordv1.Reason) (click.Verdict, error) {
	switch r {
	case recordv1.Reason_REASON_DUPLICATE:
		return click.Duplicate, nil
	case recordv1.Reason_REASON_EXPIRED:
		return click.Expired, nil
	case recordv1.Reason_REASON_PAUSED:
		return click.Paused, nil
	case recordv1.Reason_REASON_PREFETCH:
		return click.Prefetch, nil
	default:
		return "", fmt.Errorf("reason %d is not known", r)
	}
}
