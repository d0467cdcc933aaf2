package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"clickledger/tests/oracle"
	"clickledger/tests/report"
)

// differencesShown bounds what is listed; the sums are complete.
const differencesShown = 20

// result is .local/reports/chaos.json.
type result struct {
	Seed          uint64               `json:"seed"`
	Minutes       float64              `json:"minutes"`
	RateTarget    int                  `json:"rate_target"`
	Faults        int                  `json:"faults"` // made; planned ones that could not be are in NotMade
	FaultsByKind  map[string]*kindLine `json:"faults_by_kind"`
	NotMade       []string             `json:"faults_not_made"`
	Clicks        int64                `json:"clicks"`  // every try
	Sent          int64                `json:"sent"`    // distinct impressions acknowledged
	Counted       int64                `json:"counted"` // by QueryClicks
	Lost          int64                `json:"lost"`
	Doubled       int64                `json:"doubled"`
	Table         tableFaults          `json:"table"`           // the same by impression, in the table of clicks
	Strangers     int                  `json:"table_strangers"` // stored, never clicked
	Declared      int64                `json:"declared"`        // redirected, said not to be recorded, clicked again
	Failures      map[string]int64     `json:"failures"`        // tries that were not redirected
	RedirectMS    redirectMS           `json:"redirect_ms"`
	CountedS      float64              `json:"counted_s"` // from the last click
	Final         bool                 `json:"final"`
	FinalS        float64              `json:"final_s"`
	EndedByItself []string             `json:"ended_by_itself"` // programs that gave up and were started again
	report.Origin

	differences                  []oracle.Difference
	missing, repeated, misplaced []*impression
}

// kindLine is what one kind of fault did, over all its times.
type kindLine struct {
	Hit             int     `json:"hit"`
	InFlight        int64   `json:"in_flight"` // impressions clicked or waiting at some time of it
	Lost            int     `json:"lost"`      // clicked meanwhile; under other faults, too
	Doubled         int     `json:"doubled"`
	WorstRedirectMS float64 `json:"worst_redirect_ms"`
	WorstRecoveryS  float64 `json:"worst_recovery_s"` // from the fault's end until all it touched is ready and new clicks are stored
	Unrecovered     int     `json:"unrecovered"`      // not within two minutes
}

type tableFaults struct {
	Missing   int `json:"missing"`
	Repeated  int `json:"repeated"`
	Misplaced int `json:"misplaced"`
}

type redirectMS struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func newResult(s settings) *result {
	return &result{
		Seed: s.Seed, Minutes: s.Minutes, RateTarget: s.Rate,
		FaultsByKind: map[string]*kindLine{}, NotMade: []string{}, EndedByItself: []string{},
		Origin: report.NewOrigin(time.Now()),
	}
}

// group is the scorecard's line of a fault: the two gateways are one, and so are
// all brokers.
func (f fault) group() string {
	if f.kind.hitsLink() {
		return "any connection: " + string(f.kind)
	}
	return partOf(f.target) + ": " + string(f.kind)
}

func (r *result) fill(s *score, ends []error) {
	latency, failures, declared := s.figures()
	const microsecond = 1000.0
	r.RedirectMS = redirectMS{
		P50: float64(latency.ValueAtQuantile(50)) / microsecond,
		P99: float64(latency.ValueAtQuantile(99)) / microsecond,
		Max: float64(latency.Max()) / microsecond,
	}
	r.Failures, r.Declared = failures, declared
	r.Table = tableFaults{len(r.missing), len(r.repeated), len(r.misplaced)}
	r.Lost = max(r.Lost, int64(len(r.missing)+len(r.misplaced)))
	r.Doubled = max(r.Doubled, int64(len(r.repeated)+r.Strangers))
	for _, err := range ends {
		r.EndedByItself = append(r.EndedByItself, err.Error())
	}
	for _, hit := range s.all() {
		r.add(&hit)
	}
}

func (r *result) add(hit *strike) {
	if hit.problem != "" {
		r.NotMade = append(r.NotMade, fmt.Sprintf("%d %s: %s", hit.fault.number, hit.fault.group(), hit.problem))
		return
	}
	r.Faults++
	line := r.FaultsByKind[hit.fault.group()]
	if line == nil {
		line = &kindLine{}
		r.FaultsByKind[hit.fault.group()] = line
	}
	line.Hit++
	line.InFlight += hit.inFlight
	line.Lost += touched(hit, r.missing) + touched(hit, r.misplaced)
	line.Doubled += touched(hit, r.repeated)
	line.WorstRedirectMS = max(line.WorstRedirectMS, float64(hit.worst.Microseconds())/1000)
	if hit.recovered.IsZero() {
		line.Unrecovered++
	} else {
		line.WorstRecoveryS = max(line.WorstRecoveryS, hit.recovery().Seconds())
	}
}

// touched is how many impressions were being clicked during a strike.
func touched(hit *strike, impressions []*impression) int {
	n := 0
	for _, i := range impressions {
		if hit.touches(i.first, i.acknowledged) {
			n++
		}
	}
	return n
}

// finish shows and stores the scorecard and is an error when anything was lost
// or doubled.
func (r *result) finish(plan []fault) error {
	r.show()
	path, err := report.Write("chaos", r)
	if err != nil {
		return err
	}
	fmt.Println("Report:", path)
	if r.Lost == 0 && r.Doubled == 0 && len(r.differences) == 0 && r.Final {
		return nil
	}
	for _, d := range r.differences[:min(len(r.differences), differencesShown)] {
		fmt.Println(" ", d)
	}
	for what, impressions := range map[string][]*impression{"missing": r.missing, "repeated": r.repeated, "misplaced": r.misplaced} {
		for _, i := range impressions[:min(len(impressions), differencesShown)] {
			fmt.Printf("  %s: impression %s of ad %d, first clicked %s, acknowledged %s\n", what, i.id, i.adID, i.first.UTC().Format(time.RFC3339Nano), i.acknowledged.UTC().Format(time.RFC3339Nano))
		}
	}
	fmt.Printf("The plan of seed %d:\n", r.Seed)
	for _, f := range plan {
		fmt.Println(" ", f)
	}
	return errors.New("what was counted is not what was clicked")
}

func (r *result) show() {
	lines := newTable()
	lines.AppendHeader(table.Row{"fault", "times", "clicks in flight", "lost", "doubled", "worst redirect", "worst recovery"})
	for _, name := range slices.Sorted(maps.Keys(r.FaultsByKind)) {
		l := r.FaultsByKind[name]
		recovery := fmt.Sprintf("%.1f s", l.WorstRecoveryS)
		if l.Unrecovered > 0 {
			recovery = fmt.Sprintf("%d not in %v", l.Unrecovered, recoverTimeout)
		}
		lines.AppendRow(table.Row{name, l.Hit, l.InFlight, l.Lost, l.Doubled, fmt.Sprintf("%.0f ms", l.WorstRedirectMS), recovery})
	}
	lines.Render()
	sums := newTable()
	sums.AppendRows([]table.Row{
		{"stack, seed", fmt.Sprintf("%s, %d", r.Stack, r.Seed)},
		{"faults", r.Faults},
		{"clicks; of them redirected, not recorded", fmt.Sprintf("%d; %d", r.Clicks, r.Declared)},
		{"not redirected", fmt.Sprint(r.Failures)},
		{"impressions acknowledged, counted", fmt.Sprintf("%d, %d", r.Sent, r.Counted)},
		{"lost, doubled", fmt.Sprintf("%d, %d", r.Lost, r.Doubled)},
		{"redirect", fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, worst %.0f ms", r.RedirectMS.P50, r.RedirectMS.P99, r.RedirectMS.Max)},
		{"all counted, all final after", fmt.Sprintf("%.0f s, %.0f s (final: %t)", r.CountedS, r.FinalS, r.Final)},
		{"programs that gave up", len(r.EndedByItself)},
	})
	sums.Render()
	for _, problem := range r.NotMade {
		fmt.Println("Not made:", problem)
	}
}

func newTable() table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(os.Stdout)
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	return t
}
