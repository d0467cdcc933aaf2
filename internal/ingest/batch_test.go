package ingest

import (
	"slices"
	"testing"
	"time"

	"clickledger/internal/click"
)

// of makes clicks of impressions named by a letter each, at offsets 0, 1, 2…
func of(letters string) []click.Placed {
	clicks := make([]click.Placed, len(letters))
	for i, letter := range letters {
		clicks[i].Impression = click.ImpressionID{15: byte(letter)}
		clicks[i].Offset = int64(i)
	}
	return clicks
}

func offsets(clicks []click.Placed) []int64 {
	out := []int64{}
	for _, c := range clicks {
		out = append(out, c.Offset)
	}
	return out
}

func TestFirstOfEachKeepsTheLowestOffset(t *testing.T) {
	for letters, want := range map[string][]int64{
		"":        {},
		"abc":     {0, 1, 2},
		"aaa":     {0},
		"abacbda": {0, 1, 3, 5},
	} {
		if got := offsets(firstOfEach(of(letters))); !slices.Equal(got, want) {
			t.Errorf("%q: kept %v, want %v", letters, got, want)
		}
	}
}

func TestAfterARefusedClickComesTheNextOfItsImpression(t *testing.T) {
	for letters, want := range map[string][]int64{
		"abc":      {},
		"Aba":      {2},
		"Abaa":     {2, 3},
		"aAba":     {3}, // not what came before
		"ABab":     {2, 3},
		"bAcabcaB": {3, 6},
	} {
		var refused []click.DeadLetter
		clicks := of(letters)
		for i := range clicks {
			if letter := clicks[i].Impression[15]; letter < 'a' { // a capital is refused
				clicks[i].Impression[15] = letter - 'A' + 'a'
				refused = append(refused, click.DeadLetter{Position: clicks[i].Position})
			}
		}
		if got := offsets(afterRefused(clicks, refused)); !slices.Equal(got, want) {
			t.Errorf("%q: kept %v, want %v", letters, got, want)
		}
	}
}

func TestWithoutDropsTheFlagged(t *testing.T) {
	got := offsets(without(of("abcd"), []bool{true, false, false, true}))
	if want := []int64{1, 2}; !slices.Equal(got, want) {
		t.Errorf("kept %v, want %v", got, want)
	}
}

func TestSplitLosesNothing(t *testing.T) {
	for letters, want := range map[string][2][]int64{
		"":     {{}, {}},
		"aaa":  {{0, 1, 2}, {}},
		"bbb":  {{}, {0, 1, 2}},
		"abab": {{0, 2}, {1, 3}},
		"aab":  {{0, 1}, {2}},
	} {
		as, others := split(of(letters), func(c click.Placed) bool { return c.Impression[15] == 'a' })
		if !slices.Equal(offsets(as), want[0]) || !slices.Equal(offsets(others), want[1]) {
			t.Errorf("%q: split into %v and %v, want %v", letters, offsets(as), offsets(others), want)
		}
	}
}

func TestProgressIsGettingOnNotRunning(t *testing.T) {
	start := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	type seen struct {
		second         int
		committed, end int64
	}
	for name, test := range map[string]struct {
		seen  []seen
		asked int
		ready bool
	}{
		"idle for long":                      {[]seen{{0, 5, 5}, {60, 5, 5}}, 61, true},
		"gets on":                            {[]seen{{0, 0, 100}, {15, 1, 200}, {30, 2, 300}}, 31, true},
		"stands still while the end moves":   {[]seen{{0, 1, 100}, {15, 1, 200}, {30, 1, 300}}, 31, false},
		"just began to stand":                {[]seen{{0, 1, 1}, {30, 1, 1}, {35, 1, 2}}, 40, true},
		"stood still, then had nothing left": {[]seen{{0, 1, 2}, {15, 2, 2}, {45, 2, 3}}, 46, true},
		"offsets are not known any more":     {[]seen{{0, 1, 1}}, 30, false},
	} {
		t.Run(name, func(t *testing.T) {
			var p progress
			for _, s := range test.seen {
				p.observe(at(s.second), []click.PartitionProgress{{Partition: 3, Committed: s.committed, Required: s.end}}, true)
			}
			if err := p.fault(at(test.asked)); (err == nil) != test.ready {
				t.Errorf("fault is %v, want ready=%v", err, test.ready)
			}
		})
	}
}

func TestReadyNeedsTheGroupButNoPartition(t *testing.T) {
	var p progress
	now := time.Now()
	if p.fault(now) == nil {
		t.Error("ready before the group answered")
	}
	p.observe(now, nil, true)
	if err := p.fault(now); err != nil {
		t.Errorf("not ready although others hold all partitions: %v", err)
	}
	p.left()
	if p.fault(now) == nil {
		t.Error("ready after it left the group")
	}
}

func TestComingBackIsNotGettingOn(t *testing.T) {
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	stands := []click.PartitionProgress{{Partition: 3, Committed: 7, Required: 9}}
	var p progress
	p.observe(at(0), stands, true)
	p.left()
	p.observe(at(62), stands, true)
	if p.fault(at(62)) == nil {
		t.Error("ready although nothing was committed since it left")
	}
	p.observe(at(67), []click.PartitionProgress{{Partition: 3, Committed: 8, Required: 9}}, true)
	if err := p.fault(at(67)); err != nil {
		t.Errorf("not ready although it gets on: %v", err)
	}
}
