package click

import (
	"crypto/rand"
	"testing"
)

func TestClicksOfOneImpressionMeet(t *testing.T) {
	for range 1000 {
		k := token(t, now)
		p := Partition(k.AdID, k.Impression, 8, 12)
		if p < 0 || p >= 12 || p != Partition(k.AdID, k.Impression, 8, 12) {
			t.Fatalf("partition %d", p)
		}
	}
}

func TestFanOutSpreadsOneAdEvenly(t *testing.T) {
	const clicks, partitions = 12000, 12
	for _, fanOut := range []uint8{1, 4, 12} {
		var load [partitions]int
		for range clicks {
			id, _ := NewImpressionID(now, rand.Reader)
			load[Partition(42, id, fanOut, partitions)]++
		}
		used, heaviest := 0, 0
		for _, n := range load {
			if n > 0 {
				used++
			}
			heaviest = max(heaviest, n)
		}
		if used != int(fanOut) {
			t.Errorf("fan-out %d uses %d partitions", fanOut, used)
		}
		if mean := clicks / int(fanOut); heaviest > mean*3/2 {
			t.Errorf("fan-out %d: the heaviest partition has %d clicks, the mean is %d", fanOut, heaviest, mean)
		}
	}
}

func TestAdsSpreadOverPartitions(t *testing.T) {
	const ads, partitions = 60000, 6
	var load [partitions]int
	for ad := range int64(ads) { // sequential ids: the hash must not need random ones
		load[Partition(ad+1, ImpressionID{}, 1, partitions)]++
	}
	for p, n := range load {
		if n < ads/partitions*9/10 || n > ads/partitions*11/10 {
			t.Errorf("partition %d has %d of %d ads", p, n, ads)
		}
	}
}
