package main

import (
	"encoding/json"
	"slices"
	"testing"
)

func curveOf(t *testing.T, text string) (c curve) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRoundsAreComparedEachByItself(t *testing.T) {
	c := newComparison(settings{Rates: []int{5000, 1000}, RatioMax: 1.3})
	for _, round := range []struct{ local, cluster string }{
		{`{"points":[{"rate":1000,"cpu_us_per_click":500},{"rate":5000,"cpu_us_per_click":100}]}`,
			`{"points":[{"rate":5000,"cpu_us_per_click":120},{"rate":1000,"cpu_us_per_click":500}]}`},
		{`{"points":[{"rate":1000,"cpu_us_per_click":500},{"rate":5000,"cpu_us_per_click":200}]}`, // a slower minute
			`{"points":[{"rate":5000,"cpu_us_per_click":320},{"rate":1000,"cpu_us_per_click":600}]}`},
		{`{"points":[{"rate":1000,"cpu_us_per_click":500},{"rate":5000,"cpu_us_per_click":100}]}`,
			`{"points":[{"rate":5000,"cpu_us_per_click":140},{"rate":1000,"cpu_us_per_click":550}]}`},
	} {
		if err := c.add(curveOf(t, round.local), curveOf(t, round.cluster)); err != nil {
			t.Fatal(err)
		}
	}
	if p := c.Points[0]; p.Rate != 1000 || !slices.Equal(p.Ratios, []float64{1, 1.2, 1.1}) || p.Ratio != 1.1 {
		t.Errorf("1,000: %+v", p)
	}
	if p := c.Points[1]; p.Rate != 5000 || !slices.Equal(p.Ratios, []float64{1.2, 1.6, 1.4}) || p.Ratio != 1.4 {
		t.Errorf("5,000: %+v", p)
	}
	if err := c.verdict(); err == nil {
		t.Error("1.4 times is taken for 1.3")
	}
	if c.RatioMax = 1.4; c.verdict() != nil {
		t.Errorf("1.4 times is too much for 1.4: %v", c.verdict())
	}
}

func TestACurveWithoutARateIsNoComparison(t *testing.T) {
	c := newComparison(settings{Rates: []int{1000}})
	if err := c.add(curve{}, curveOf(t, `{"points":[{"rate":1000,"cpu_us_per_click":500}]}`)); err == nil {
		t.Error("a missing point was compared")
	}
}

func TestTheMedianOfAnEvenNumberIsBetweenTheTwoInTheMiddle(t *testing.T) {
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("%v", got)
	}
}
