package main

import (
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"

	"clickledger/tests/report"
)

// result is the report, .local/reports/seen.json.
type result struct {
	report.Origin
	Clicks             int     `json:"clicks"`
	SpanSeconds        float64 `json:"span_s"`
	Batch              int     `json:"batch"` // impressions of one check and one mark
	Shards             int     `json:"shards"`
	BytesPerClick      float64 `json:"bytes_per_click"` // of Valkey's used_memory
	CheckUS            float64 `json:"check_us"`        // per impression
	MarkUS             float64 `json:"mark_us"`         // per impression
	Burst              int     `json:"burst"`           // impressions issued in one second
	BurstBytesPerClick float64 `json:"burst_bytes_per_click"`
	RebuildPerS        float64 `json:"rebuild_per_s"` // impressions
}

// table shows the figures beside what is aimed at.
func (r result) table() string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"figure", "measured", "aim"})
	t.AppendRow(table.Row{fmt.Sprintf("bytes a click, %d over %.0f s", r.Clicks, r.SpanSeconds), fmt.Sprintf("%.1f", r.BytesPerClick), "≤ 10"})
	t.AppendRow(table.Row{fmt.Sprintf("bytes a click, %d in one second", r.Burst), fmt.Sprintf("%.1f", r.BurstBytesPerClick), "–"})
	t.AppendRow(table.Row{fmt.Sprintf("check of an impression, %d at once", r.Batch), fmt.Sprintf("%.2f µs", r.CheckUS), "–"})
	t.AppendRow(table.Row{fmt.Sprintf("mark of an impression, %d at once", r.Batch), fmt.Sprintf("%.2f µs", r.MarkUS), "–"})
	t.AppendRow(table.Row{"rebuilt from the store", fmt.Sprintf("%.0f/s", r.RebuildPerS), "≥ 500000/s"})
	return t.Render()
}
