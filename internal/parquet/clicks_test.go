package parquet

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"clickledger/internal/click"
)

func someClicks(count int) []click.Appended {
	random := rand.New(rand.NewPCG(1, 2))
	start := time.Date(2026, 11, 23, 10, 5, 0, 0, time.UTC)
	clicks := make([]click.Appended, count)
	for i := range clicks {
		c := &clicks[i]
		c.AdID, c.AdvertiserID = 1+random.Int64N(1000), 1+random.Int64N(50)
		c.ClickedAt, c.AppendedAt = start.Add(time.Duration(i)*time.Millisecond), start.Add(time.Duration(i+5)*time.Millisecond)
		c.Arrival = click.NewArrivalID(7, uint64(i))
		c.Partition, c.Offset = 3, int64(100+i)
		for j := range c.Impression {
			c.Impression[j] = byte(random.Uint32())
		}
	}
	return clicks
}

func TestAFileHoldsItsClicksSortedByImpression(t *testing.T) {
	clicks := someClicks(5000)
	clicks[9].Impression = clicks[8].Impression // a repeat
	file, err := EncodeClicks(slices.Clone(clicks))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := parquet.Read[row](bytes.NewReader(file), int64(len(file)))
	if err != nil || len(rows) != len(clicks) {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, r := range rows {
		want := clicks[r.Offset-100]
		if r.Impression != want.Impression || r.Arrival != want.Arrival || r.AdID != want.AdID || r.AdvertiserID != want.AdvertiserID ||
			r.ClickedAt != want.ClickedAt.UnixMilli() || r.AppendedAt != want.AppendedAt.UnixMilli() || r.Partition != 3 {
			t.Fatalf("row %d is %+v, want %+v", i, r, want)
		}
		if i > 0 && bytes.Compare(rows[i-1].Impression[:], r.Impression[:]) > 0 {
			t.Fatalf("row %d is out of order", i)
		}
		if i > 0 && rows[i-1].Impression == r.Impression && rows[i-1].Offset >= r.Offset {
			t.Fatalf("row %d: a repeat comes before the first", i)
		}
	}
}

func TestTheSameClicksMakeTheSameBytes(t *testing.T) {
	clicks := someClicks(3000)
	first, err := EncodeClicks(slices.Clone(clicks))
	if err != nil {
		t.Fatal(err)
	}
	rand.Shuffle(len(clicks), func(i, j int) { clicks[i], clicks[j] = clicks[j], clicks[i] })
	second, err := EncodeClicks(clicks)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("%d and %d bytes differ, %v", len(first), len(second), err)
	}
}

func BenchmarkEncode(b *testing.B) {
	clicks := someClicks(500_000)
	for b.Loop() {
		file, err := EncodeClicks(slices.Clone(clicks))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(file))/float64(len(clicks)), "B/click")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(clicks)), "ns/click")
}
