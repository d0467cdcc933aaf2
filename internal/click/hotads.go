package click

import "time"

// Hot ads. An ad's clicks go to one partition unless its tokens carry a
// fan-out; an ad that alone fills a good part of a partition would make that
// one slower than the rest, so it is spread over all of them.
const (
	// FanOutCold is the fan-out of all but hot ads.
	FanOutCold uint8 = 1
	// FanOutHot is that of hot ads. The fullest of P partitions gets
	// P·ceil(240/P)/240 times the mean of such an ad's clicks: 1 for the many P
	// that divide 240, never above 1+P/240. It fits the token's one byte.
	FanOutHot uint8 = 240

	// hotShare of a partition's mean load makes an ad hot. So there are at most
	// ten hot ads for each partition, and what is not hot is small enough to
	// even out.
	hotShare = 0.1
	// HotRateMin is the rate, in clicks per second, below which no ad is worth
	// spreading: any partition takes a hundred times as much.
	HotRateMin = 50

	// fanOutKept is how long an ad keeps its fan-out after it was last hot. It is
	// raised at once and lowered once a day: an evening's peak comes back tomorrow.
	fanOutKept = 24 * time.Hour
	// fanOutConfirmed is how old a raise may grow before it is written again for
	// an ad that is still hot, so that fanOutKept is counted from then.
	fanOutConfirmed = time.Hour
)

// AdLoad is how many clicks an ad had in its busiest minute of late.
type AdLoad struct {
	AdID         int64  `json:"ad_id"`
	AdvertiserID int64  `json:"advertiser_id"`
	Clicks       uint64 `json:"clicks"`
}

// FanOut is an ad's fan-out as the catalogue keeps it, apart from the ad, so
// that a change of the one never undoes a change of the other. Its version is
// the home server's microseconds at which the ad was last found hot, or lowered.
type FanOut struct {
	AdID         int64  `json:"ad_id"`
	AdvertiserID int64  `json:"advertiser_id"`
	FanOut       uint8  `json:"fan_out"`
	Version      uint64 `json:"version"`
}

// PlanFanOuts is what must be written at version so that the hot ads among
// loads are spread over partitions, and those that were not hot for a day no
// longer are. Busiest is the clicks of all ads in the busiest minute of late;
// known are the newest rows of all ads that are spread.
func PlanFanOuts(loads []AdLoad, busiest uint64, known []FanOut, partitions int32, version uint64) []FanOut {
	spread := make(map[int64]FanOut, len(known))
	for _, each := range known {
		spread[each.AdID] = each
	}
	var changes []FanOut
	for _, load := range loads {
		if !hot(load.Clicks, busiest, partitions) {
			continue
		}
		there := spread[load.AdID]
		delete(spread, load.AdID)
		if there.FanOut != FanOutHot || age(there, version) >= fanOutConfirmed {
			changes = append(changes, FanOut{load.AdID, load.AdvertiserID, FanOutHot, version})
		}
	}
	for _, each := range known {
		if _, cold := spread[each.AdID]; cold && age(each, version) >= fanOutKept {
			changes = append(changes, FanOut{each.AdID, each.AdvertiserID, FanOutCold, version})
		}
	}
	return changes
}

// hot reports whether an ad with so many clicks in its busiest minute is worth
// spreading. With one partition there is nothing to spread over.
func hot(clicks, busiest uint64, partitions int32) bool {
	seconds := WindowLength.Seconds()
	return partitions > 1 && float64(clicks) >= HotRateMin*seconds &&
		float64(clicks) >= hotShare*float64(busiest)/float64(partitions)
}

// age is how long before version f was written.
func age(f FanOut, version uint64) time.Duration {
	if f.Version >= version {
		return 0
	}
	return time.Duration(version-f.Version) * time.Microsecond
}
