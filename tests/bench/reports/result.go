package main

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"clickledger/tests/report"
)

// What is aimed at.
const (
	minuteRowsMin = 300_000_000
	flushMSMax    = 1000
	rollupMin     = 1_000_000
	lightP50MSMax = 30
	lightP99MSMax = 100
	heavyP50MSMax = 300
	heavyP99MSMax = 800
	togetherMSMax = 1000
	rawClicksMin  = 10_000_000
	rawRatioMin   = 50
	redirectMSMax = 25
	shapesMin     = 12
	// askedShare of the questions that were due must be answered in time.
	askedShare = 0.95
)

// result is the report, .local/reports/reports.json.
type result struct {
	report.Origin
	Scale           float64       `json:"scale"`
	Days            int           `json:"days"`
	Ads             uint64        `json:"ads"`
	Advertisers     uint64        `json:"advertisers"`
	LargestAds      uint64        `json:"largest_ads"` // of one advertiser
	MinuteRows      uint64        `json:"minute_rows"`
	Clicks          uint64        `json:"clicks"` // raw, in the store
	FullDayClicks   uint64        `json:"full_day_clicks"`
	FlushMS         float64       `json:"flush_600k_ms"`   // the slowest
	ReflushMS       float64       `json:"reflush_600k_ms"` // of a minute that was final
	RollupPerSecond float64       `json:"rollup_rows_per_s"`
	Shapes          []shapeResult `json:"shapes"`
	RedirectP50MS   float64       `json:"redirect_p50_ms"`
	RedirectP99MS   float64       `json:"redirect_p99_ms"`    // while questions are asked at a rate
	AskedPerSecond  float64       `json:"asked_per_s"`        // meanwhile
	RedirectP99MS16 float64       `json:"redirect_p99_ms_16"` // while 16 clients ask as fast as they can

	live  bool // programs were asked while people clicked
	asked int  // questions a second that were due
}

// shapeResult is of one shape; a suffix is the number of clients.
type shapeResult struct {
	Name      string   `json:"name"`
	Heavy     bool     `json:"heavy"`
	P50MS1    float64  `json:"p50_ms_1"`
	P99MS1    float64  `json:"p99_ms_1"`
	P50MS16   float64  `json:"p50_ms_16"`
	P99MS16   float64  `json:"p99_ms_16"`
	Asked16   int      `json:"asked_16"`
	RawClicks uint64   `json:"raw_clicks"` // behind the answer, where the clicks were asked too
	RawRatio  *float64 `json:"raw_ratio"`  // how many times as long the clicks took
}

func rounded(x float64) float64 { return math.Round(x*100) / 100 }

// table shows the figures beside what is aimed at.
func (r result) table() string {
	figures := table.NewWriter()
	figures.SetStyle(table.StyleLight)
	figures.AppendHeader(table.Row{"figure", "measured", "aim"})
	figures.AppendRow(table.Row{"machine", fmt.Sprintf("%s, %d cores, %d MB", r.Machine.CPU, r.Machine.Cores, r.Machine.MemoryMB), "2 cores"})
	figures.AppendRow(table.Row{"ads, of advertisers, the largest's", fmt.Sprintf("%d, %d, %d", r.Ads, r.Advertisers, r.LargestAds), "10,000,000, 100,000, 100,000"})
	figures.AppendRow(table.Row{"figures per minute", fmt.Sprintf("%d in %d days", r.MinuteRows, r.Days), "≥ 300,000,000 in 90"})
	figures.AppendRow(table.Row{"clicks, of the last day", fmt.Sprintf("%d, %d", r.Clicks, r.FullDayClicks), "200,000,000 in the day"})
	figures.AppendRow(table.Row{"flush of 600,000 clicks, the slowest", fmt.Sprintf("%.0f ms", r.FlushMS), "< 1000 ms"})
	figures.AppendRow(table.Row{"the same of a minute that was final", fmt.Sprintf("%.0f ms", r.ReflushMS), "–"})
	figures.AppendRow(table.Row{"rollup", fmt.Sprintf("%.0f figures/s", r.RollupPerSecond), "≥ 1000000/s"})
	figures.AppendRow(table.Row{fmt.Sprintf("redirect p99 while %.0f questions/s", r.AskedPerSecond), fmt.Sprintf("%.1f ms", r.RedirectP99MS), "< 25 ms"})
	figures.AppendRow(table.Row{"redirect p99 while 16 clients ask", fmt.Sprintf("%.1f ms", r.RedirectP99MS16), "–"})
	shapes := table.NewWriter()
	shapes.SetStyle(table.StyleLight)
	shapes.AppendHeader(table.Row{"question", "p50, 1 client", "p99, 1 client", "p99, 16 clients, received", "clicks behind it", "by the clicks"})
	for _, s := range r.Shapes {
		raw, behind := "–", "–"
		if s.RawRatio != nil {
			raw, behind = fmt.Sprintf("%.0f × as long", *s.RawRatio), fmt.Sprint(s.RawClicks)
		}
		shapes.AppendRow(table.Row{s.Name, fmt.Sprintf("%.1f ms", s.P50MS1), fmt.Sprintf("%.1f ms", s.P99MS1), fmt.Sprintf("%.0f ms", s.P99MS16), behind, raw})
	}
	return figures.Render() + "\n" + shapes.Render()
}

// missed is an error that names each aim that was not reached. A part of the
// whole reaches none and misses none.
func (r result) missed() error {
	if r.Scale < 1 {
		return nil
	}
	var misses []string
	miss := func(bad bool, format string, args ...any) {
		if bad {
			misses = append(misses, fmt.Sprintf(format, args...))
		}
	}
	miss(r.MinuteRows < minuteRowsMin, "there are %d figures per minute, not %d", r.MinuteRows, minuteRowsMin)
	miss(r.FullDayClicks < clicksOfFullDay, "there are %d clicks in the day, not %d", r.FullDayClicks, clicksOfFullDay)
	miss(r.FlushMS >= flushMSMax, "a flush took %.0f ms, not under %d", r.FlushMS, flushMSMax)
	miss(r.RollupPerSecond < rollupMin, "%.0f figures a second were rolled up, not %d", r.RollupPerSecond, rollupMin)
	miss(len(r.Shapes) < shapesMin, "%d kinds of questions were asked, not %d", len(r.Shapes), shapesMin)
	for _, s := range r.Shapes {
		p50, p99 := lightP50MSMax, lightP99MSMax
		if s.Heavy {
			p50, p99 = heavyP50MSMax, heavyP99MSMax
		}
		miss(s.P50MS1 >= float64(p50), "%q took one client %.1f ms at the median, not under %d", s.Name, s.P50MS1, p50)
		miss(s.P99MS1 >= float64(p99), "%q took one client %.1f ms at the 99th percentile, not under %d", s.Name, s.P99MS1, p99)
		miss(r.live && s.P99MS16 >= togetherMSMax, "%q took 16 clients %.0f ms at the 99th percentile, not under %d", s.Name, s.P99MS16, togetherMSMax)
		miss(s.RawRatio != nil && s.RawClicks >= rawClicksMin && *s.RawRatio < rawRatioMin,
			"%q is %.0f times faster than over the clicks, not %d", s.Name, value(s.RawRatio), rawRatioMin)
	}
	miss(r.live && r.RedirectP99MS >= redirectMSMax, "redirects took %.1f ms at the 99th percentile, not under %d", r.RedirectP99MS, redirectMSMax)
	miss(r.live && r.AskedPerSecond < askedShare*float64(r.asked), "%.1f questions a second were answered meanwhile, not %d", r.AskedPerSecond, r.asked)
	if len(misses) == 0 {
		return nil
	}
	return errors.New(strings.Join(misses, "; "))
}

func value(x *float64) float64 {
	if x == nil {
		return 0
	}
	return *x
}
