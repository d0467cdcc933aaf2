package main

import (
	"fmt"
	"io"
	"math"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"clickledger/tests/report"
)

// staleAfter: older reports are told with a warning.
const staleAfter = 30 * 24 * time.Hour

func show(out io.Writer, s settings, rate float64, m measured, needs []need, now time.Time) {
	fmt.Fprintf(out, "%.0f clicks/s at the peak, %.0f on average; %.0f %% of the processors busy at the peak.\n", rate, rate/s.Peak, 100*s.Headroom)
	t := table.NewWriter()
	t.SetOutputMirror(out)
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(table.Row{"part", "cores", "memory GB", "disk TB", "instances", "of what"})
	for _, n := range needs {
		t.AppendRow(table.Row{n.Part, number(n.Cores), number(n.MemoryGB), number(n.DiskTB), n.Count, n.Of})
	}
	t.Render()
	saturated := first(needs)
	fmt.Fprintf(out, "First to need another instance: %s (%s).\n", saturated.Part, why(saturated))
	fmt.Fprintln(out, "\nMeasured:")
	origin(out, "curve.json", "CPU by process and bytes on disk", m.Curve.Origin, now)
	origin(out, "seen.json", fmt.Sprintf("%.1f bytes an impression in the seen index", m.Seen.BytesPerClick), m.Seen.Origin, now)
	origin(out, "lake.json", fmt.Sprintf("%.3f cores to archive 10,000 clicks/s, a reconciled hour of %.0f M clicks in %.0f s", m.Lake.ArchiveCores, m.Lake.Clicks/1e6, m.Lake.ReconcileHourS), m.Lake.Origin, now)
	if m.Reports.Date != "" {
		origin(out, "reports.json", fmt.Sprintf("a minute of 600,000 clicks flushed in %.0f ms", m.Reports.Flush600kMS), m.Reports.Origin, now)
	} else {
		fmt.Fprintln(out, "  reports.json is missing (`just bench-reports`): flushes are left out of the shards")
	}
	if m.Curve.Bytes.Lake == 0 {
		fmt.Fprintln(out, "  nothing had been archived yet when the curve was measured: the lake's disk is left out")
	}
	fmt.Fprintf(out, "Assumed (--help): sizes of instances, days kept, %d copies in Kafka of which each costs what the leader's does, %d clicks/s a partition,\n"+
		"and that a cost which was a line up to %.0f clicks/s stays one.\n", s.Replicas, s.PartitionRate, highestRate(m.Curve.Points))
}

// why is what limits a part.
func why(n need) string {
	switch {
	case n.MemoryGB > 0:
		return fmt.Sprintf("%s GB of memory, %s cores", number(n.MemoryGB), number(n.Cores))
	case n.DiskTB > 0:
		return fmt.Sprintf("%s cores, %s TB of disk", number(n.Cores), number(n.DiskTB))
	default:
		return fmt.Sprintf("%s cores", number(n.Cores))
	}
}

func origin(out io.Writer, name, what string, o report.Origin, now time.Time) {
	stale := ""
	if at, err := time.Parse(time.RFC3339, o.Date); err == nil && now.Sub(at) > staleAfter {
		stale = ", OLD"
	}
	fmt.Fprintf(out, "  %-12s %s (%s, %d cores, %s%s)\n", name, what, o.Date, o.Machine.Cores, o.Machine.CPU, stale)
}

func highestRate(points []point) float64 {
	most := 0.0
	for _, p := range points {
		most = max(most, p.Achieved)
	}
	return most
}

// number has two digits that matter.
func number(x float64) string {
	switch {
	case x == 0:
		return "–"
	case x >= 10:
		return fmt.Sprintf("%.0f", x)
	default:
		return fmt.Sprintf("%.*f", max(0, 1-int(math.Floor(math.Log10(x)))), x)
	}
}
