package kafka

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"clickledger/internal/click"
	recordv1 "clickledger/proto/gen/clickledger/record/v1"
)

// someFiltered is one entry for every reason.
func someFiltered() []click.Filtered {
	var entries []click.Filtered
	for i, reason := range click.Reasons() {
		entries = append(entries, click.Filtered{
			Window: click.WindowOf(time.Now()), AdvertiserID: 7, AdID: int64(i + 1), Reason: reason,
			Count: uint64(i + 1), ID: click.NewArrivalID(5, uint64(i)),
		})
	}
	return entries
}

func TestFilteredRecordCarriesEveryEntry(t *testing.T) {
	for name, want := range map[string][]click.Filtered{"every reason": someFiltered(), "nothing": {}} {
		value, err := encodeFiltered(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeFiltered(value)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: decoded %+v, want %+v: %v", name, got, want, err)
		}
	}
}

func TestAnAcceptedClickIsNotFiltered(t *testing.T) {
	entries := someFiltered()
	entries[1].Reason = click.Accepted
	if _, err := encodeFiltered(entries); err == nil {
		t.Error("ACCEPTED was taken for a reason not to count")
	}
}

func TestFilteredRecordThatIsNoneIsRefusedWithItsReason(t *testing.T) {
	record := func(change func(*recordv1.FilteredBatch)) []byte {
		value, err := encodeFiltered(someFiltered())
		if err != nil {
			t.Fatal(err)
		}
		var batch recordv1.FilteredBatch
		if err := proto.Unmarshal(value, &batch); err != nil {
			t.Fatal(err)
		}
		change(&batch)
		value, err = proto.Marshal(&batch)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	entry := func(change func(*recordv1.Filtered)) []byte {
		return record(func(b *recordv1.FilteredBatch) { change(b.Entries[2]) })
	}
	for name, test := range map[string]struct {
		value  []byte
		reason string
	}{
		"garbage":          {[]byte("\xff\xff not protobuf"), "not a record"},
		"empty":            {nil, "schema version 0"},
		"newer schema":     {record(func(b *recordv1.FilteredBatch) { b.SchemaVersion = 2 }), "schema version 2"},
		"no reason":        {entry(func(e *recordv1.Filtered) { e.Reason = 0 }), "reason 0"},
		"newer reason":     {entry(func(e *recordv1.Filtered) { e.Reason = 99 }), "entry 2: reason 99"},
		"short id":         {entry(func(e *recordv1.Filtered) { e.Id = e.Id[:15] }), "id has 15 bytes"},
		"no advertiser":    {entry(func(e *recordv1.Filtered) { e.AdvertiserId = 0 }), "advertiser id"},
		"no ad":            {entry(func(e *recordv1.Filtered) { e.AdId = -1 }), "ad id"},
		"no minute":        {entry(func(e *recordv1.Filtered) { e.Minute = 0 }), "minute 0"},
		"the far future":   {entry(func(e *recordv1.Filtered) { e.Minute = 1 << 50 }), "between 1970 and 2106"},
		"count of nothing": {entry(func(e *recordv1.Filtered) { e.Count = 0 }), "count 0"},
		"count of too many": {
			entry(func(e *recordv1.Filtered) { e.Count = filteredCountMax + 1 }), "count 1099511627777",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := decodeFiltered(test.value); err == nil || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("got %v, want a reason with %q", err, test.reason)
			}
		})
	}
}

// What is decoded at all is encoded to the same again: nothing is guessed.
func FuzzFilteredRecord(f *testing.F) {
	value, err := encodeFiltered(someFiltered())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(value)
	f.Add(value[:len(value)-1])
	f.Add([]byte{8, 1})
	f.Fuzz(func(t *testing.T, value []byte) {
		entries, err := decodeFiltered(value)
		if err != nil {
			return
		}
		again, err := encodeFiltered(entries)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := decodeFiltered(again)
		if err != nil || !slices.Equal(decoded, entries) {
			t.Errorf("decoded %+v, then %+v: %v", entries, decoded, err)
		}
	})
}
