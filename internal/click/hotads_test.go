package click

import (
	"crypto/rand"
	"reflect"
	"testing"
	"time"
)

const hotVersion = uint64(1_800_000_000_000_000) // some microseconds

func ago(d time.Duration) uint64 { return hotVersion - uint64(d/time.Microsecond) }

func TestFanOutsAreRaisedAtOnceAndLoweredAfterADay(t *testing.T) {
	const second = 60 // clicks in a minute for one in a second
	raised := []FanOut{{AdID: 1, AdvertiserID: 7, FanOut: FanOutHot, Version: hotVersion}}
	for name, c := range map[string]struct {
		clicks, busiest uint64
		partitions      int32
		known           []FanOut
		want            []FanOut
	}{
		"nothing is clicked":               {partitions: 6},
		"80 % of 10,000 clicks/s":          {8000 * second, 10_000 * second, 6, nil, raised},
		"a tenth of a partition's mean":    {1000 * second, 60_000 * second, 6, nil, raised},
		"a little less":                    {999 * second, 60_000 * second, 6, nil, nil},
		"all clicks, but few":              {49 * second, 49 * second, 6, nil, nil},
		"one partition":                    {8000 * second, 10_000 * second, 1, nil, nil},
		"hot and spread already":           {8000 * second, 10_000 * second, 6, []FanOut{{1, 7, FanOutHot, ago(59 * time.Minute)}}, nil},
		"still hot after an hour":          {8000 * second, 10_000 * second, 6, []FanOut{{1, 7, FanOutHot, ago(time.Hour)}}, raised},
		"spread otherwise":                 {8000 * second, 10_000 * second, 6, []FanOut{{1, 7, 12, ago(time.Minute)}}, raised},
		"cold for less than a day":         {10, 10_000 * second, 6, []FanOut{{1, 7, FanOutHot, ago(24*time.Hour - time.Second)}}, nil},
		"cold for a day":                   {10, 10_000 * second, 6, []FanOut{{1, 7, FanOutHot, ago(24 * time.Hour)}}, []FanOut{{1, 7, FanOutCold, hotVersion}}},
		"hot again after a day":            {8000 * second, 10_000 * second, 6, []FanOut{{1, 7, FanOutHot, ago(25 * time.Hour)}}, raised},
		"written by a clock that is ahead": {10, 10_000 * second, 6, []FanOut{{1, 7, FanOutHot, hotVersion + 1}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := PlanFanOuts([]AdLoad{{AdID: 1, AdvertiserID: 7, Clicks: c.clicks}}, c.busiest, c.known, c.partitions, hotVersion)
			if len(got)+len(c.want) > 0 && !reflect.DeepEqual(got, c.want) {
				t.Errorf("planned %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestAdThatIsNoLongerClickedAtAllIsLowered(t *testing.T) {
	got := PlanFanOuts(nil, 0, []FanOut{{1, 7, FanOutHot, ago(30 * time.Hour)}}, 6, hotVersion)
	if want := []FanOut{{1, 7, FanOutCold, hotVersion}}; !reflect.DeepEqual(got, want) {
		t.Errorf("planned %+v, want %+v", got, want)
	}
}

// One ad has 80 % of the clicks and the fan-out of a hot ad; the other clicks
// are of many ads. Counted over the real hash, for every number of partitions.
func TestHotAdLeavesNoPartitionOverOneAndAHalfTimesTheMean(t *testing.T) {
	const clicks = 40_000
	for partitions := int32(3); partitions <= 16; partitions++ {
		for _, hotAd := range []int64{1, 42, 1<<62 + 7} {
			load := make([]int, partitions)
			for i := range clicks {
				id, err := NewImpressionID(now, rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				if i%5 < 4 {
					load[Partition(hotAd, id, FanOutHot, partitions)]++
				} else {
					load[Partition(int64(i), id, FanOutCold, partitions)]++
				}
			}
			for p, n := range load {
				if times := float64(n) * float64(partitions) / clicks; times > 1.2 {
					t.Errorf("%d partitions, ad %d: partition %d has %.2f times the mean", partitions, hotAd, p, times)
				}
			}
		}
	}
}

// What the comment of FanOutHot says, for every number of partitions there may be.
func TestFullestPartitionOfAHotAdIsBounded(t *testing.T) {
	for partitions := 1; partitions <= 120; partitions++ {
		salts := make([]int, partitions)
		for salt := range int(FanOutHot) {
			salts[salt%partitions]++
		}
		fullest := 0
		for _, n := range salts {
			fullest = max(fullest, n)
		}
		times := float64(fullest*partitions) / float64(FanOutHot)
		if bound := 1 + float64(partitions)/float64(FanOutHot); times > bound || int(FanOutHot)%partitions == 0 && times != 1 {
			t.Errorf("%d partitions: %.3f times the mean, bound %.3f", partitions, times, bound)
		}
	}
}
