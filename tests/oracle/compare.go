package oracle

import (
	"maps"
	"slices"
	"time"
)

// Compare is every difference between what was clicked and counted (by ad and
// minute), in the order of ads and minutes. Ads that were never clicked must
// not have counted anything. An ad's sum is compared only where its minutes
// leave room.
func (o *Oracle) Compare(counted map[int64]map[time.Time]int64) []Difference {
	o.mu.Lock()
	defer o.mu.Unlock()
	ids := map[int64]bool{}
	for id := range o.ads {
		ids[id] = true
	}
	for id := range counted {
		ids[id] = true
	}
	var differences []Difference
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		differences = append(differences, o.ads[id].compare(id, counted[id])...)
	}
	return differences
}

func (a *ad) compare(id int64, counted map[time.Time]int64) []Difference {
	if a == nil {
		a = &ad{}
	}
	atLeast, atMost := a.bounds()
	minutes := map[time.Time]bool{}
	var sum int64
	for minute := range atMost {
		minutes[minute] = true
	}
	for minute, n := range counted {
		minutes[minute] = true
		sum += n
	}
	var differences []Difference
	for _, minute := range slices.SortedFunc(maps.Keys(minutes), time.Time.Compare) {
		n := counted[minute]
		if n < atLeast[minute] || n > atMost[minute] {
			differences = append(differences, Difference{id, minute, atLeast[minute], atMost[minute], n})
		}
	}
	if most := a.possible(); len(differences) == 0 && (sum < a.promised || sum > most) {
		differences = append(differences, Difference{id, time.Time{}, a.promised, most, sum})
	}
	return differences
}

// bounds is by minute what must and what may be counted.
func (a *ad) bounds() (atLeast, atMost map[time.Time]int64) {
	atLeast, atMost = map[time.Time]int64{}, map[time.Time]int64{}
	maps.Copy(atLeast, a.exact)
	maps.Copy(atMost, a.exact)
	for _, l := range a.loose {
		for _, minute := range l.minutes {
			atMost[minute]++
		}
	}
	return atLeast, atMost
}

// possible is how many impressions may be counted in all.
func (a *ad) possible() int64 {
	n := int64(len(a.loose))
	for _, exact := range a.exact {
		n += exact
	}
	return n
}
