package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"clickledger/internal/config"
	"clickledger/tests/report"
)

// generator is this program's name among the processes: it is no part of what a
// click costs.
const generator = "load"

// curve is .local/reports/curve.json: what a click costs at several rates, in
// one run on one machine.
type curve struct {
	report.Origin
	Points        []curvePoint  `json:"points"`
	BytesPerClick bytesPerClick `json:"bytes_per_click"`
	// KafkaReplicas is how many copies the brokers' CPU was for.
	KafkaReplicas int `json:"kafka_replicas"`
	// Falls says that a click costs less at the highest rate than at the lowest.
	Falls bool `json:"falls"`
}

// curvePoint is one rate.
type curvePoint struct {
	Rate          int     `json:"rate"`
	RateAchieved  float64 `json:"rate_achieved"`
	CPUUSPerClick float64 `json:"cpu_us_per_click"` // of all processes but the load generator, from the warm-up's end until the last answer
	RedirectP99MS float64 `json:"redirect_p99_ms"`
	Sent          int64   `json:"sent"`
	Counted       int64   `json:"counted"`
	Lost          int64   `json:"lost"`
	Doubled       int64   `json:"doubled"`
	// Processes is CPUUSPerClick by process, and the load generator's.
	Processes map[string]float64 `json:"cpu_us_per_click_of"`
	RSSMB     map[string]float64 `json:"rss_mb"`
}

// runCurve measures one rate after the other and writes the report. It goes on
// at a rate that the machine does not hold: that is what the curve shows.
func runCurve(ctx context.Context, s settings, c config.Config, gateways []string) error {
	result := curve{Origin: report.NewOrigin(time.Now()), KafkaReplicas: int(c.KafkaReplicas)}
	var wrong error
	for _, rate := range s.Rates {
		at := s
		at.Rate = rate
		measured, watch, err := measure(ctx, at, c, gateways)
		if err != nil {
			return fmt.Errorf("at %d clicks/s: %w", rate, err)
		}
		watch.stop()
		result.Points = append(result.Points, pointOf(measured))
		wrong = errors.Join(wrong, measured.verdict())
	}
	var err error
	if result.BytesPerClick, err = measureBytes(ctx, c); err != nil {
		return err
	}
	slices.SortFunc(result.Points, func(a, b curvePoint) int { return a.Rate - b.Rate })
	result.Falls = result.Points[len(result.Points)-1].CPUUSPerClick < result.Points[0].CPUUSPerClick
	result.show()
	path, err := report.Write("curve", result)
	if err != nil {
		return err
	}
	fmt.Println("Report:", path)
	return wrong
}

func pointOf(r *result) curvePoint {
	p := curvePoint{
		Rate: r.RateTarget, RateAchieved: r.RateAchieved, RedirectP99MS: r.RedirectMS.P99,
		Sent: r.Sent, Counted: r.Counted, Lost: r.Lost, Doubled: r.Doubled, Processes: r.steadyCPU, RSSMB: r.RSSMB,
	}
	for name, us := range r.steadyCPU {
		if name != generator {
			p.CPUUSPerClick += us
		}
	}
	p.CPUUSPerClick = rounded(p.CPUUSPerClick)
	return p
}

func (c curve) show() {
	t := table.NewWriter()
	t.SetOutputMirror(os.Stdout)
	t.SetStyle(table.StyleLight)
	header, cpu, p99, counted := table.Row{"clicks/s"}, table.Row{"CPU µs per click"}, table.Row{"redirect p99 ms"}, table.Row{"sent, lost, doubled"}
	for _, p := range c.Points {
		header = append(header, p.Rate)
		cpu = append(cpu, fmt.Sprintf("%.1f", p.CPUUSPerClick))
		p99 = append(p99, fmt.Sprintf("%.1f", p.RedirectP99MS))
		counted = append(counted, fmt.Sprintf("%d, %d, %d", p.Sent, p.Lost, p.Doubled))
	}
	t.AppendHeader(header)
	t.AppendRows([]table.Row{cpu, p99, counted})
	t.AppendSeparator()
	for _, name := range slices.Sorted(maps.Keys(c.Points[0].Processes)) {
		row := table.Row{"of " + name}
		for _, p := range c.Points {
			row = append(row, fmt.Sprintf("%.1f", p.Processes[name]))
		}
		t.AppendRow(row)
	}
	t.Render()
	b := c.BytesPerClick
	fmt.Printf("Bytes a click: %.0f in Kafka, %.1f stored as a click, %.1f in the lake (one copy each; 0: nothing there yet).\n", b.Kafka, b.Store, b.Lake)
	switch {
	case len(c.Points) < 2: // nothing to compare
	case c.Falls:
		fmt.Println("A click costs less at the highest rate than at the lowest.")
	default:
		fmt.Println("A click does NOT cost less at the highest rate than at the lowest.")
	}
}
