package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/config"
	v1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/tests/client"
	"clickledger/tests/oracle"
)

const (
	minutesShown     = 8
	terminalInterval = time.Second
	logInterval      = 5 * time.Second
	temporalUI       = "http://127.0.0.1:8233"

	clearBelow = "\x1b[J"
)

// screen shows the live table: redrawn in place in a terminal, printed every
// few seconds elsewhere.
type screen struct {
	config      config.Config
	folder      string // of the stack, from the project's root
	admin       *client.API
	clicked     *oracle.Oracle
	crowd       *crowd
	advertisers []*client.Advertiser
	out         io.Writer
	terminal    bool

	mu    sync.Mutex
	note  string
	drawn int // lines to go back up
}

func newScreen(c config.Config, folder string, admin *client.API, clicked *oracle.Oracle, crowd *crowd, advertisers []*client.Advertiser) *screen {
	return &screen{
		config: c, folder: folder, admin: admin, clicked: clicked, crowd: crowd, advertisers: advertisers,
		out: os.Stdout, terminal: term.IsTerminal(int(os.Stdout.Fd())), note: "clicking; Ctrl-C ends it",
	}
}

// start draws until ctx ends, and once more then; the channel closes after that.
func (s *screen) start(ctx context.Context) <-chan struct{} {
	fmt.Fprint(s.out, s.introduction())
	interval := logInterval
	if s.terminal {
		interval = terminalInterval
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for ctx.Err() == nil {
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
			s.draw(context.WithoutCancel(ctx))
		}
	}()
	return done
}

// say puts a sentence under the table.
func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note = fmt.Sprintf(format, args...)
}

func (s *screen) introduction() string {
	return fmt.Sprintf(`Clickledger demo: %d advertisers, %d ads, %d clicks a second.
  Gateways     %s
  Temporal UI  %s/namespaces/%s/workflows
  The same figures with curl:
    curl -s -H "Authorization: Bearer $(sed -n 's/^CLICKLEDGER_ADMIN_KEY=//p' %s/env)" \
      -H 'Content-Type: application/json' %s/clickledger.v1.ReportService/QueryClicks \
      -d '{"advertiser_id": "%d", "start_time": "%s", "end_time": "%s"}'

`, len(s.advertisers), len(s.crowd.ads), s.crowd.rate, strings.Join(s.crowd.gateways(), "  "), temporalUI, s.config.TemporalNamespace(),
		s.folder, s.config.PublicURL, s.advertisers[0].ID, s.crowd.began.UTC().Truncate(time.Minute).Format(time.RFC3339),
		s.crowd.began.UTC().Truncate(time.Minute).Add(10*time.Minute).Format(time.RFC3339))
}

// draw asks for the figures and shows them beside what was clicked.
func (s *screen) draw(ctx context.Context) {
	figures, err := s.figures(ctx)
	var page bytes.Buffer
	fmt.Fprintln(&page, s.minutes(figures))
	fmt.Fprintln(&page, s.crowd.summary())
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		fmt.Fprintf(&page, "(the figures cannot be read: %v)\n", err)
	}
	fmt.Fprintf(&page, "%s  %s\n", time.Now().UTC().Format(time.TimeOnly), s.note)
	if s.terminal {
		if s.drawn > 0 {
			fmt.Fprintf(s.out, "\x1b[%dA\r%s", s.drawn, clearBelow)
		}
		s.drawn = bytes.Count(page.Bytes(), []byte("\n"))
		fmt.Fprint(s.out, cut(page.String()))
		return
	}
	_, _ = s.out.Write(page.Bytes())
}

// cut ends each line where the terminal does: a line that wraps would be two
// to go back up.
func cut(page string) string {
	width, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil || width <= 0 {
		return page
	}
	lines := strings.Split(page, "\n")
	for i, line := range lines {
		if characters := []rune(line); len(characters) > width {
			lines[i] = string(characters[:width])
		}
	}
	return strings.Join(lines, "\n")
}

// minuteFigure is one minute over all advertisers.
type minuteFigure struct {
	counted int64
	state   v1.State
}

// figures asks each advertiser's figures with its own key.
func (s *screen) figures(ctx context.Context) (map[time.Time]minuteFigure, error) {
	end := time.Now().Truncate(time.Minute).Add(time.Minute)
	start := s.crowd.began.Truncate(time.Minute)
	if shown := end.Add(-minutesShown * time.Minute); start.Before(shown) {
		start = shown
	}
	figures := map[time.Time]minuteFigure{}
	for _, advertiser := range s.advertisers {
		answer, err := advertiser.API.Reports.QueryClicks(ctx, &v1.QueryClicksRequest{
			AdvertiserId: advertiser.ID, StartTime: timestamppb.New(start), EndTime: timestamppb.New(end),
		})
		if err != nil {
			return nil, err
		}
		for _, point := range answer.GetPoints() {
			minute := point.GetStartTime().AsTime()
			figure := figures[minute]
			figure.counted += point.GetClicks()
			// Asked one after the other: the worst is what all have reached.
			if figure.state == v1.State_STATE_UNSPECIFIED || point.GetState() == v1.State_STATE_PROVISIONAL ||
				figure.state == v1.State_STATE_FINAL {
				figure.state = point.GetState()
			}
			figures[minute] = figure
		}
	}
	return figures, nil
}

func (s *screen) minutes(figures map[time.Time]minuteFigure) string {
	clicked := s.clicked.PerMinute()
	rows := table.NewWriter()
	rows.SetStyle(table.StyleLight)
	rows.Style().Format.Header = text.FormatDefault
	rows.AppendHeader(table.Row{"minute (UTC)", "distinct clicks sent", "counted", "state"})
	rows.SetColumnConfigs([]table.ColumnConfig{
		{Number: 2, Align: text.AlignRight}, {Number: 3, Align: text.AlignRight, WidthMin: 10}, {Number: 4, WidthMin: 12},
	})
	minutes := slices.SortedFunc(maps.Keys(clicked), time.Time.Compare)
	for _, minute := range minutes[max(0, len(minutes)-minutesShown):] {
		figure := figures[minute]
		state := strings.ToLower(strings.TrimPrefix(figure.state.String(), "STATE_"))
		if figure.state == v1.State_STATE_UNSPECIFIED {
			state = ""
		}
		rows.AppendRow(table.Row{minute.Format("15:04"), clicked[minute], figure.counted, state})
	}
	return rows.Render()
}

// summary is a few lines on how it goes.
func (c *crowd) summary() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	end := c.ended
	if end.IsZero() {
		end = time.Now()
	}
	ms := func(quantile float64) float64 { return float64(c.latency.ValueAtQuantile(quantile)) / 1000 }
	var kinds []string
	most := func(a, b string) int { return cmp.Or(cmp.Compare(c.answers[b], c.answers[a]), strings.Compare(a, b)) }
	for _, kind := range slices.SortedFunc(maps.Keys(c.answers), most) {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, c.answers[kind]))
	}
	return fmt.Sprintf("%.0f clicks/s, redirect p50 %.1f ms, p99 %.1f ms\n%s",
		float64(c.clicks)/end.Sub(c.began).Seconds(), ms(50), ms(99), strings.Join(kinds, ", "))
}
