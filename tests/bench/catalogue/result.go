package main

import (
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"

	"clickledger/tests/report"
)

// result is the report, .local/reports/catalogue.json.
type result struct {
	report.Origin
	Ads             int     `json:"ads"`
	FileBytes       int     `json:"file_bytes"` // Parquet
	ImportSeconds   float64 `json:"import_s"`
	ImportPerS      float64 `json:"import_ads_per_s"`
	Changed         int     `json:"changed"`
	UpdateSeconds   float64 `json:"update_s"` // a file with so many changed ads, until all gateways know
	SyncAds         int64   `json:"sync_ads"`
	SyncPerS        float64 `json:"sync_ads_per_s"`
	SyncFull        bool    `json:"sync_full"` // the cache took no more
	CacheBytesPerAd float64 `json:"valkey_bytes_per_ad"`
	GatewayAds      float64 `json:"gateway_ads"` // kept when it was measured
	GatewayBytes    float64 `json:"gateway_bytes_per_ad"`
	Edits           int     `json:"edits"`
	ChangeP50MS     float64 `json:"change_p50_ms"` // until both gateways answer by it, from the answer to the change
	ChangeP99MS     float64 `json:"change_p99_ms"`
	ChangeMaxMS     float64 `json:"change_max_ms"`
	LostP50MS       float64 `json:"lost_change_p50_ms"` // with the shared cache unreachable for the second gateway
	LostP99MS       float64 `json:"lost_change_p99_ms"`
	LostMaxMS       float64 `json:"lost_change_max_ms"`
}

// table shows the figures beside what is aimed at.
func (r result) table() string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"figure", "measured", "aim"})
	t.AppendRow(table.Row{fmt.Sprintf("import of %d new ads", r.Ads), fmt.Sprintf("%.0f s, %.0f ads/s", r.ImportSeconds, r.ImportPerS), "a few minutes"})
	t.AppendRow(table.Row{fmt.Sprintf("import of %d changed ads", r.Changed), fmt.Sprintf("%.1f s", r.UpdateSeconds), "–"})
	sync := fmt.Sprintf("%d ads, %.0f ads/s", r.SyncAds, r.SyncPerS)
	if r.SyncFull {
		sync += " (then it was full)"
	}
	t.AppendRow(table.Row{"filling the shared cache", sync, "–"})
	t.AppendRow(table.Row{"an ad in the shared cache", fmt.Sprintf("%.0f bytes", r.CacheBytesPerAd), "–"})
	t.AppendRow(table.Row{"an ad in a gateway", fmt.Sprintf("%.0f bytes", r.GatewayBytes), "–"})
	t.AppendRow(table.Row{"a change takes effect at both gateways", fmt.Sprintf("p50 %.0f ms, p99 %.0f ms, max %.0f ms", r.ChangeP50MS, r.ChangeP99MS, r.ChangeMaxMS), "1 s"})
	t.AppendRow(table.Row{"… the second one without the shared cache", fmt.Sprintf("p50 %.0f ms, p99 %.0f ms, max %.0f ms", r.LostP50MS, r.LostP99MS, r.LostMaxMS), "1 s"})
	return t.Render()
}
