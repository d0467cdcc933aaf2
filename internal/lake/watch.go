package lake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/click"
)

const (
	watchInterval = 15 * time.Second
	lookTimeout   = 10 * time.Second
)

// manifests is where the newest manifest is read.
type manifests interface {
	LastManifest(ctx context.Context) (click.Manifest, error)
}

// stream is what clicks are archived from.
type stream interface {
	Bounds(ctx context.Context, before time.Time) (topic, topicID string, bounds []click.StreamBounds, err error)
	Earliest(ctx context.Context) (time.Time, error)
	Retention(ctx context.Context) (time.Duration, error)
}

// Archive looks at how far the archive is behind. It only reads, and asks
// nothing of what does the archiving.
type Archive struct {
	Lake   manifests
	Stream stream
	Now    func() time.Time
}

// State looks at both sides. It is click.ErrLake when the last manifest cannot
// be read; with any other error the stream could not be asked, and what the
// lake told, Through, is right nevertheless.
func (a *Archive) State(ctx context.Context) (click.ArchiveState, error) {
	var last *click.Manifest
	switch m, err := a.Lake.LastManifest(ctx); {
	case err == nil:
		last = &m
	case !errors.Is(err, click.ErrNotFound):
		return click.ArchiveState{}, fmt.Errorf("%w: %w", click.ErrLake, err)
	}
	topicID, bounds, oldest, retention, err := a.lookAtStream(ctx)
	if err != nil {
		if last != nil {
			return click.ArchiveState{Through: last.End}, err
		}
		return click.ArchiveState{}, err
	}
	return click.NewArchiveState(last, topicID, bounds, oldest, retention), nil
}

func (a *Archive) lookAtStream(ctx context.Context) (topicID string, bounds []click.StreamBounds, oldest time.Time, retention time.Duration, err error) {
	if _, topicID, bounds, err = a.Stream.Bounds(ctx, a.Now()); err != nil {
		return
	}
	if oldest, err = a.Stream.Earliest(ctx); err != nil {
		return
	}
	retention, err = a.Stream.Retention(ctx)
	return
}

// Watch sets the archive's gauges, for as long as its process lives: an alarm
// that depended on what is watched would be silent with it.
type Watch struct {
	archive   *Archive
	log       *slog.Logger
	state     click.ArchiveState // the last that could be looked at
	known     bool
	said      alarmKind // what was logged last
	lag       prometheus.Gauge
	untilLoss prometheus.Gauge
	late      prometheus.Gauge
	dropped   prometheus.Gauge
	blind     prometheus.Gauge
}

// NewWatch registers the gauges; Run sets them.
func NewWatch(archive *Archive, log *slog.Logger, registry prometheus.Registerer) *Watch {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "clickledger_archive_" + name, Help: help})
		registry.MustRegister(g)
		return g
	}
	w := &Watch{
		archive: archive, log: log,
		lag:       gauge("lag_seconds", "How far the lake is behind the stream."),
		untilLoss: gauge("until_loss_seconds", "How long it takes until Kafka drops what is not archived; 0: it has begun, +Inf: never."),
		late:      gauge("late", "1: somebody has to look after the archive, or clicks are lost to the lake."),
		dropped:   gauge("dropped_offsets", "Offsets that Kafka dropped and no manifest accounts for yet: loss is happening."),
		blind:     gauge("unknown", "1: the lake or the stream cannot be asked; the other gauges go on from what was known."),
	}
	w.lag.Set(math.NaN()) // 0 would say that all is well, or that all is lost
	w.untilLoss.Set(math.NaN())
	w.blind.Set(1)
	return w
}

// Run looks at once and then every watchInterval, until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		w.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look sets the gauges once. When something cannot be asked, the last known
// state goes on getting older: an archive that stands still because S3 is away
// becomes late all the same.
func (w *Watch) look(ctx context.Context) {
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	state, err := w.archive.State(looking)
	if ctx.Err() != nil {
		return // the process stops
	}
	if err == nil {
		w.state, w.known = state, true
	}
	w.blind.Set(oneIf(err != nil))
	if !w.known {
		w.say("", err)
		return
	}
	now := w.archive.Now()
	alarm, untilLoss := w.state.Alarm(now), w.state.UntilLoss(now)
	w.lag.Set(w.state.Lag(now).Seconds())
	w.untilLoss.Set(untilLoss.Seconds())
	if untilLoss == math.MaxInt64 {
		w.untilLoss.Set(math.Inf(1))
	}
	w.dropped.Set(float64(w.state.Dropped))
	w.late.Set(oneIf(alarm != ""))
	w.say(alarm, err)
}

// say logs an alarm when its kind changes, and when it is over. Its figures
// change with every look.
func (w *Watch) say(alarm string, err error) {
	kind := alarmKind{alarm: alarm != "", losing: w.state.Dropped > 0, blind: err != nil}
	if kind == w.said {
		return
	}
	w.said = kind
	switch {
	case kind == (alarmKind{}):
		w.log.Info("archive: the alarm is over")
	case kind.blind:
		w.log.Error("the archive cannot be watched", "alarm", alarm, "error", err)
	default:
		w.log.Error("archive: " + alarm)
	}
}

type alarmKind struct{ alarm, losing, blind bool }

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
