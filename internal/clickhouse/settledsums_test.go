package clickhouse

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func drawFigures(rt *rapid.T, label string) []Figure {
	var figures []Figure
	for i := range rapid.IntRange(0, 60).Draw(rt, label) {
		if rapid.Bool().Draw(rt, "there") {
			figures = append(figures, Figure{AdID: int64(i / 3), Start: time.Unix(int64(i%3), 0), Clicks: rapid.Uint64Range(1, 6).Draw(rt, "clicks")})
		}
	}
	return figures
}

func TestFiguresOfTwoKindsAddUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b := drawFigures(rt, "a"), drawFigures(rt, "b")
		type place struct{ ad, start int64 }
		want := map[place]uint64{}
		for _, f := range slices.Concat(a, b) {
			want[place{f.AdID, f.Start.Unix()}] += f.Clicks
		}
		sums := addFigures(a, b)
		for i, f := range sums {
			if at := (place{f.AdID, f.Start.Unix()}); f.Clicks != want[at] {
				rt.Fatalf("%v is %d, want %d", at, f.Clicks, want[at])
			}
			if i > 0 && cmp.Or(cmp.Compare(sums[i-1].AdID, f.AdID), sums[i-1].Start.Compare(f.Start)) >= 0 {
				rt.Fatalf("not ascending: %v", sums)
			}
		}
		if len(sums) != len(want) {
			rt.Fatalf("%d sums, want %d", len(sums), len(want))
		}
	})
}

func TestTheMostClickedComeFirstAndOfEqualsTheSmallerId(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var figures []Figure
		for i := range rapid.IntRange(0, 60).Draw(rt, "ads") {
			figures = append(figures, Figure{AdID: int64(i), Clicks: rapid.Uint64Range(1, 6).Draw(rt, "clicks")})
		}
		n := rapid.IntRange(1, 20).Draw(rt, "n")
		want := slices.Clone(figures)
		slices.SortFunc(want, func(a, b Figure) int { return cmp.Or(cmp.Compare(b.Clicks, a.Clicks), cmp.Compare(a.AdID, b.AdID)) })
		if got := mostClicked(figures, n); !slices.Equal(got, want[:min(n, len(want))]) {
			rt.Fatalf("got %v, want %v", got, want)
		}
	})
}
