package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"clickledger/tests/client"
	"clickledger/tests/openloop"
	"clickledger/tests/oracle"
	"clickledger/tests/report"
)

// differencesShown bounds what is listed; the sums are complete.
const (
	differencesShown = 20
	slowestShown     = 8
)

// result is .local/reports/load.json.
type result struct {
	RateTarget   int                   `json:"rate_target"`
	RateAchieved float64               `json:"rate_achieved"` // answers per second, until the last
	Sent         int64                 `json:"sent"`
	Counted      int64                 `json:"counted"`
	Lost         int64                 `json:"lost"`    // acknowledged, not counted in their minute
	Doubled      int64                 `json:"doubled"` // counted, never acknowledged
	Errors       map[string]int64      `json:"errors"`
	RedirectMS   redirectMS            `json:"redirect_ms"` // from the intended send time
	SlowestS     []openloop.SlowSecond `json:"slowest_seconds"`
	QueryableMS  queryableMS           `json:"queryable_ms"` // from the click to QueryClicks showing it
	FinalS       float64               `json:"final_s"`      // worst, from a minute's end

	RSSMB         map[string]float64 `json:"rss_mb"`                    // when the last click was answered
	RSSMBSettled  map[string]float64 `json:"rss_mb_after_5m,omitempty"` // of a load that lasts longer
	CPUUSPerClick map[string]float64 `json:"cpu_us_per_click"`          // until all were counted
	report.Origin

	differences []oracle.Difference
	steadyCPU   map[string]float64 // µs a click from the warm-up's end until the last click was answered
}

type redirectMS struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
}

type queryableMS struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

func (r *result) measureUsage(before, during, after usage, clicks int64) {
	r.RSSMB, r.CPUUSPerClick = during.rssMB(), cpuPerClick(before, after, clicks)
}

// compare reads every figure and finds what differs from what was promised.
func (r *result) compare(ctx context.Context, admin *client.API, c *catalogue, promised *oracle.Oracle) (err error) {
	from, to := promised.Range()
	for _, advertiser := range c.all() {
		clicks, _, err := admin.Total(ctx, advertiser.ID, from, to)
		if err != nil {
			return err
		}
		r.Counted += clicks
	}
	r.differences, err = promised.Differences(ctx, c.all())
	for _, d := range r.differences {
		r.Lost += d.Lost()
		r.Doubled += d.Doubled()
	}
	return err
}

func (r *result) fill(t *openloop.Tally, w *watch) {
	r.Sent = t.Sent() + w.sent()
	r.RateAchieved = rounded(r.RateAchieved)
	r.Errors = t.Errors()
	maps.Copy(r.Errors, w.failures)
	ms := func(quantile float64) float64 { return rounded(float64(t.Latency().ValueAtQuantile(quantile)) / 1000) }
	r.RedirectMS = redirectMS{ms(50), ms(99), ms(99.9)}
	r.SlowestS = t.SlowestSeconds(slowestShown)
	r.QueryableMS = queryableMS{float64(w.queryable.ValueAtQuantile(50)), float64(w.queryable.ValueAtQuantile(99))}
}

func (r *result) fillFinal(w *watch) {
	if worst, err := w.finalAfter(); err == nil {
		r.FinalS = rounded(worst.Seconds())
	}
}

func rounded(x float64) float64 { return math.Round(x*100) / 100 }

// finish shows the result, writes the report, and is an error if anything was
// lost or doubled.
func (r *result) finish() error {
	r.show()
	path, err := report.Write("load", r)
	if err != nil {
		return err
	}
	fmt.Println("Report:", path)
	return r.verdict()
}

// verdict is an error, and lists what differs, if anything was lost or doubled.
func (r *result) verdict() error {
	if r.Lost == 0 && r.Doubled == 0 && len(r.differences) == 0 {
		return nil
	}
	for _, d := range r.differences[:min(len(r.differences), differencesShown)] {
		fmt.Println(" ", d)
	}
	return errors.New("what was counted is not what was clicked")
}

func (r *result) show() {
	figures := table.NewWriter()
	figures.SetOutputMirror(os.Stdout)
	figures.SetStyle(table.StyleLight)
	figures.AppendRows([]table.Row{
		{"rate", fmt.Sprintf("%.0f of %d clicks/s", r.RateAchieved, r.RateTarget)},
		{"sent, counted", fmt.Sprintf("%d, %d", r.Sent, r.Counted)},
		{"lost, doubled", fmt.Sprintf("%d, %d", r.Lost, r.Doubled)},
		{"errors", fmt.Sprint(r.Errors)},
		{"redirect", fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, p99.9 %.1f ms", r.RedirectMS.P50, r.RedirectMS.P99, r.RedirectMS.P999)},
		{"over 25 ms", fmt.Sprint(r.SlowestS)},
		{"queryable after", fmt.Sprintf("p50 %.0f ms, p99 %.0f ms", r.QueryableMS.P50, r.QueryableMS.P99)},
		{"final after", fmt.Sprintf("%.1f s at worst", r.FinalS)},
	})
	figures.Render()
	processes := table.NewWriter()
	processes.SetOutputMirror(os.Stdout)
	processes.SetStyle(table.StyleLight)
	processes.Style().Format.Header = text.FormatDefault
	processes.Style().Format.Footer = text.FormatDefault
	processes.AppendHeader(table.Row{"process", "CPU µs per click", "RSS MB", "RSS MB after 5 min"})
	total := 0.0
	for _, name := range slices.Sorted(maps.Keys(r.CPUUSPerClick)) {
		processes.AppendRow(table.Row{name, fmt.Sprintf("%.1f", r.CPUUSPerClick[name]), fmt.Sprintf("%.0f", r.RSSMB[name]), settled(r.RSSMBSettled, name)})
		total += r.CPUUSPerClick[name]
	}
	processes.AppendFooter(table.Row{"all", fmt.Sprintf("%.1f", total), "", ""})
	processes.Render()
}

func settled(rssMB map[string]float64, name string) string {
	if mb, ok := rssMB[name]; ok {
		return fmt.Sprintf("%.0f", mb)
	}
	return "–"
}
