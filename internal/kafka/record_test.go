package kafka

import (
	"crypto/rand"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"clickledger/internal/click"
	recordv1 "clickledger/proto/gen/clickledger/record/v1"
)

func someClick(t testing.TB) click.Click {
	t.Helper()
	id, err := click.NewImpressionID(time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return click.Click{
		AdID: 11, AdvertiserID: 7, Impression: id,
		ClickedAt: time.Now().UTC().Truncate(time.Millisecond), Arrival: click.NewArrivalID(3, 4),
	}
}

func TestRecordCarriesTheWholeClick(t *testing.T) {
	want := someClick(t)
	value, err := encodeRecord(&want)
	if err != nil {
		t.Fatal(err)
	}
	// What the scratch held before must not shine through.
	scratch := recordv1.Click{SchemaVersion: 9, AdId: 9, ImpressionId: []byte("before")}
	got, err := decodeRecord(value, &scratch)
	if err != nil || got != want {
		t.Errorf("decoded %+v, want %+v: %v", got, want, err)
	}
}

func TestRecordThatIsNoClickIsRefusedWithItsReason(t *testing.T) {
	good := someClick(t)
	record := func(change func(*recordv1.Click)) []byte {
		value, err := encodeRecord(&good)
		if err != nil {
			t.Fatal(err)
		}
		var r recordv1.Click
		if err := proto.Unmarshal(value, &r); err != nil {
			t.Fatal(err)
		}
		change(&r)
		value, err = proto.Marshal(&r)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	for name, test := range map[string]struct {
		value  []byte
		reason string
	}{
		"garbage":           {[]byte("\xff\xff not protobuf"), "not a click record"},
		"empty":             {nil, "schema version 0"},
		"newer schema":      {record(func(r *recordv1.Click) { r.SchemaVersion = 2 }), "schema version 2"},
		"no ad":             {record(func(r *recordv1.Click) { r.AdId = 0 }), "ad id"},
		"no advertiser":     {record(func(r *recordv1.Click) { r.AdvertiserId = -1 }), "advertiser id"},
		"short impression":  {record(func(r *recordv1.Click) { r.ImpressionId = r.ImpressionId[:15] }), "impression id has 15 bytes"},
		"no UUIDv7":         {record(func(r *recordv1.Click) { r.ImpressionId[6] = 0x40 }), "version 7"},
		"long arrival":      {record(func(r *recordv1.Click) { r.ArrivalId = make([]byte, 17) }), "arrival id has 17 bytes"},
		"no time":           {record(func(r *recordv1.Click) { r.ClickedAtMs = 0 }), "clicked_at_ms"},
		"the far future":    {record(func(r *recordv1.Click) { r.ClickedAtMs = 1 << 60 }), "clicked_at_ms"},
		"before the epoch":  {record(func(r *recordv1.Click) { r.ClickedAtMs = -1 }), "clicked_at_ms"},
		"binary impression": {record(func(r *recordv1.Click) { r.ImpressionId = nil }), "impression id has 0 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := decodeRecord(test.value, &recordv1.Click{}); err == nil || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("got %v, want a reason with %q", err, test.reason)
			}
		})
	}
}

func BenchmarkRecord(b *testing.B) {
	c := someClick(b)
	var scratch recordv1.Click
	b.ReportAllocs()
	for b.Loop() {
		value, _ := encodeRecord(&c)
		if _, err := decodeRecord(value, &scratch); err != nil {
			b.Fatal(err)
		}
	}
}

// What is read at all is written to the same again, and reading takes memory
// for no more than is there.
func FuzzRecord(f *testing.F) {
	good := someClick(f)
	value, err := encodeRecord(&good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(value)
	f.Add(value[:len(value)-1])
	f.Add([]byte{8, 1, 16, 1, 24, 1, 34, 0xff, 0xff, 0xff, 0xff, 0x0f}) // an impression of 4 GiB
	f.Add([]byte{})
	allocated := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	f.Fuzz(func(t *testing.T, value []byte) {
		metrics.Read(allocated)
		before := allocated[0].Value.Uint64()
		c, err := decodeRecord(value, &recordv1.Click{})
		metrics.Read(allocated)
		if grew := allocated[0].Value.Uint64() - before; grew > 1<<20+64*uint64(len(value)) {
			t.Errorf("%d bytes of value took %d bytes of memory", len(value), grew)
		}
		if err != nil {
			return
		}
		again, err := encodeRecord(&c)
		if err != nil {
			t.Fatal(err)
		}
		if decoded, err := decodeRecord(again, &recordv1.Click{}); err != nil || decoded != c {
			t.Errorf("decoded %+v, then %+v: %v", c, decoded, err)
		}
	})
}
