package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"clickledger/tests/report"
)

// measured is what the reports say.
type measured struct {
	Curve struct {
		report.Origin
		Points        []point `json:"points"`
		KafkaReplicas int     `json:"kafka_replicas"` // 0 in older reports: one
		Bytes         struct {
			Kafka  float64 `json:"kafka"`
			Store  float64 `json:"store"`
			Figure float64 `json:"figure"`
			Lake   float64 `json:"lake"`
		} `json:"bytes_per_click"`
	}
	Seen struct {
		report.Origin
		BytesPerClick float64 `json:"bytes_per_click"`
	}
	Lake struct {
		report.Origin
		ArchiveCores      float64 `json:"archive_cores_at_10k"`
		ReconcileHourS    float64 `json:"reconcile_hour_s"`
		BackfillPerSecond float64 `json:"backfill_clicks_per_s"`
		Clicks            float64 `json:"clicks"`
	}
	// Reports is optional: without it nothing is said of flushes.
	Reports struct {
		report.Origin
		Flush600kMS float64 `json:"flush_600k_ms"`
	}
}

// point is one rate of the curve.
type point struct {
	Rate          float64            `json:"rate"`
	Achieved      float64            `json:"rate_achieved"`
	CPUUSPerClick float64            `json:"cpu_us_per_click"`
	Processes     map[string]float64 `json:"cpu_us_per_click_of"`
	RSSMB         map[string]float64 `json:"rss_mb"`
}

// readReports reads the latest reports. All that is missing is named at once,
// with the recipe that makes it: no figure is made up.
func readReports() (measured, error) {
	var m measured
	root, err := report.Root()
	if err != nil {
		return m, err
	}
	var missing []string
	for _, r := range []struct {
		name, recipe string
		into         any
		optional     bool
	}{
		{"curve", "bench-curve", &m.Curve, false},
		{"seen", "bench-seen", &m.Seen, false},
		{"lake", "bench-lake", &m.Lake, false},
		{"reports", "bench-reports", &m.Reports, true},
	} {
		path := filepath.Join(report.Folder, r.name+".json")
		text, err := os.ReadFile(filepath.Join(root, path))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if !r.optional {
				missing = append(missing, fmt.Sprintf("%s (`just %s` makes it)", path, r.recipe))
			}
			continue
		case err != nil:
			return m, fmt.Errorf("read report: %w", err)
		}
		if err := json.Unmarshal(text, r.into); err != nil {
			return m, fmt.Errorf("read report %s: %w", path, err)
		}
	}
	if len(missing) > 0 {
		return m, fmt.Errorf("reports are missing: %s", strings.Join(missing, ", "))
	}
	if len(m.Curve.Points) < 2 {
		return m, errors.New("the curve has one rate only: `just bench-curve` measures several")
	}
	return m, nil
}
