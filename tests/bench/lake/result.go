package main

import (
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"

	"clickledger/tests/report"
)

// result is the report, .local/reports/lake.json.
type result struct {
	report.Origin
	Clicks            int       `json:"clicks"`       // of the hour, in the lake
	Counted           uint64    `json:"counted"`      // of these: each impression once, and only if it was not clicked before
	HoursBefore       int       `json:"hours_before"` // that the lake has
	Ads               int       `json:"ads"`
	ReconcileSeconds  float64   `json:"reconcile_hour_s"`
	ReconcilePeakGB   float64   `json:"reconcile_peak_gb"` // of one query; they run one after the other
	ArchiveCores      float64   `json:"archive_cores_at_10k"`
	BackfillPerSecond float64   `json:"backfill_clicks_per_s"` // from an empty store until all figures are final
	BackfillSeconds   float64   `json:"backfill_s"`
	BackfillSteps     []float64 `json:"backfill_steps_s"`  // look, insert, flush
	VerifySeconds     float64   `json:"backfill_verify_s"` // the comparison after it, on top
}

// table shows the figures beside what is aimed at.
func (r result) table() string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"figure", "measured", "aim"})
	t.AppendRow(table.Row{fmt.Sprintf("reconcile an hour of %d clicks", r.Clicks), fmt.Sprintf("%.1f s", r.ReconcileSeconds), "≤ 90 s"})
	t.AppendRow(table.Row{"its memory in ClickHouse", fmt.Sprintf("%.2f GB", r.ReconcilePeakGB), "≤ 4 GB"})
	t.AppendRow(table.Row{"archive 10,000 clicks/s", fmt.Sprintf("%.3f cores", r.ArchiveCores), "≤ 0.1"})
	t.AppendRow(table.Row{"backfill into an empty store", fmt.Sprintf("%.0f clicks/s", r.BackfillPerSecond), "≥ 400000/s"})
	t.AppendRow(table.Row{"comparing afterwards, on top", fmt.Sprintf("%.1f s", r.VerifySeconds), "–"})
	return t.Render()
}
