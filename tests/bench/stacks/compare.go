package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"clickledger/tests/report"
)

// comparison is .local/reports/stacks.json.
type comparison struct {
	report.Origin
	RatioMax float64     `json:"ratio_max"`
	Points   []ratePoint `json:"points"`
}

// ratePoint is one rate, in each round.
type ratePoint struct {
	Rate      int       `json:"rate"`
	LocalUS   []float64 `json:"local_us_per_click"`
	ClusterUS []float64 `json:"cluster_us_per_click"`
	Ratios    []float64 `json:"ratios"` // cluster by one of each, of the same round
	Ratio     float64   `json:"ratio"`  // the median of these
}

func newComparison(s settings) *comparison {
	c := &comparison{Origin: report.NewOrigin(time.Now()), RatioMax: s.RatioMax}
	c.Stack = "both"
	for _, rate := range slices.Sorted(slices.Values(s.Rates)) {
		c.Points = append(c.Points, ratePoint{Rate: rate})
	}
	return c
}

// add takes the curves of one round.
func (c *comparison) add(local, cluster curve) error {
	for i := range c.Points {
		p := &c.Points[i]
		one, ok := local.at(p.Rate)
		many, also := cluster.at(p.Rate)
		if !ok || !also || one <= 0 {
			return fmt.Errorf("the load generator did not tell what a click costs at %d clicks/s", p.Rate)
		}
		p.LocalUS, p.ClusterUS = append(p.LocalUS, one), append(p.ClusterUS, many)
		p.Ratios = append(p.Ratios, math.Round(100*many/one)/100)
		p.Ratio = median(p.Ratios)
	}
	return nil
}

// median is the mean of the two in the middle where there is an even number.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func (c *comparison) show() {
	t := table.NewWriter()
	t.SetOutputMirror(os.Stdout)
	t.SetStyle(table.StyleLight)
	t.SetTitle("CPU µs per click, by round")
	t.AppendHeader(table.Row{"clicks/s", "one of each", "cluster", "times as much", "median"})
	for _, p := range c.Points {
		t.AppendRow(table.Row{p.Rate, list("%.0f", p.LocalUS), list("%.0f", p.ClusterUS), list("%.2f", p.Ratios), fmt.Sprintf("%.2f", p.Ratio)})
	}
	t.Render()
}

func list(format string, values []float64) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprintf(format, v)
	}
	return strings.Join(words, ", ")
}

// verdict is an error for each rate at which the cluster costs too much.
func (c *comparison) verdict() error {
	var wrong error
	for _, p := range c.Points {
		if p.Ratio > c.RatioMax {
			wrong = errors.Join(wrong, fmt.Errorf("at %d clicks/s a click costs %.2f times as much on the cluster; %.2f are aimed at", p.Rate, p.Ratio, c.RatioMax))
		}
	}
	return wrong
}
