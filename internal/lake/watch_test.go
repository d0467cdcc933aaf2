package lake

import (
	"context"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"clickledger/internal/click"
	"clickledger/internal/config"
	"clickledger/internal/kafka"
)

// memoryManifests is a lake of one manifest, or none, with an outage.
type memoryManifests struct {
	last *click.Manifest
	away bool
}

func (m *memoryManifests) LastManifest(context.Context) (click.Manifest, error) {
	switch {
	case m.away:
		return click.Manifest{}, click.ErrUnavailable
	case m.last == nil:
		return click.Manifest{}, click.ErrNotFound
	}
	return *m.last, nil
}

// watched is a watch over an in-process broker that keeps clicks for a day.
type watched struct {
	*Watch
	manifests *memoryManifests
	registry  *prometheus.Registry
	client    *kgo.Client
	config    config.Config
	now       time.Time
	logs      *strings.Builder
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	w := &watched{
		manifests: &memoryManifests{}, registry: prometheus.NewRegistry(), logs: &strings.Builder{},
		config: config.Config{Namespace: "test_watch", KafkaBrokers: cluster.ListenAddrs(), Partitions: 1},
		now:    time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC),
	}
	if w.client, err = kgo.NewClient(kgo.SeedBrokers(w.config.KafkaBrokers...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	retention := strconv.FormatInt((24 * time.Hour).Milliseconds(), 10)
	if _, err := kadm.NewClient(w.client).CreateTopic(t.Context(), 1, 1, map[string]*string{"retention.ms": &retention}, w.config.ClicksTopic()); err != nil {
		t.Fatal(err)
	}
	admin, err := kafka.NewAdmin(w.config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	archive := &Archive{Lake: w.manifests, Stream: admin, Now: func() time.Time { return w.now }}
	w.Watch = NewWatch(archive, slog.New(slog.NewTextHandler(w.logs, nil)), w.registry)
	return w
}

func (w *watched) produce(t *testing.T, count int) {
	t.Helper()
	for range count {
		record := &kgo.Record{Topic: w.config.ClicksTopic(), Timestamp: w.now, Value: []byte("click")}
		if err := w.client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *watched) archived(t *testing.T, next int64) {
	t.Helper()
	_, id, _, err := w.archive.Stream.Bounds(t.Context(), w.now)
	if err != nil {
		t.Fatal(err)
	}
	m := click.Manifest{TopicID: id, End: w.now, Ranges: []click.ArchivedRange{{}}}
	m.Ranges[0].Next = next
	w.manifests.last = &m
}

// want looks once and compares the gauges: lag, until loss, late, dropped, unknown.
func (w *watched) want(t *testing.T, what string, want ...float64) {
	t.Helper()
	w.look(t.Context())
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		got[strings.TrimPrefix(family.GetName(), "clickledger_archive_")] = family.GetMetric()[0].GetGauge().GetValue()
	}
	for i, name := range []string{"lag_seconds", "until_loss_seconds", "late", "dropped_offsets", "unknown"} {
		if got[name] != want[i] {
			t.Errorf("%s: %s is %v, want %v", what, name, got[name], want[i])
		}
	}
}

func TestTheWatchTellsOfALateArchiveAlsoWhileTheLakeIsAway(t *testing.T) {
	w := newWatched(t)
	day, hour := (24 * time.Hour).Seconds(), time.Hour.Seconds()
	w.want(t, "nothing there", 0, day, 0, 0, 0)
	w.produce(t, 10)
	w.archived(t, 10)
	w.now = w.now.Add(time.Hour)
	w.want(t, "an hour behind", hour, day-hour, 0, 0, 0)
	w.manifests.away = true
	w.now = w.now.Add(6 * time.Hour)
	w.want(t, "the lake is away", 7*hour, day-7*hour, 1, 0, 1)
	w.manifests.away = false
	w.archived(t, 10)
	w.want(t, "caught up", 0, day, 0, 0, 0)
	if logs := w.logs.String(); strings.Count(logs, "ERROR") != 1 || !strings.Contains(logs, "7h0m0s behind") || !strings.Contains(logs, "is over") {
		t.Errorf("it logged %s", logs)
	}
}

func TestTheWatchTellsWhatKafkaDropsBeforeItIsArchived(t *testing.T) {
	w := newWatched(t)
	w.produce(t, 20)
	w.archived(t, 10)
	var offsets kadm.Offsets
	offsets.AddOffset(w.config.ClicksTopic(), 0, 13, -1)
	if _, err := kadm.NewClient(w.client).DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	w.want(t, "three are gone", 0, 0, 1, 3, 0)
	if logs := w.logs.String(); !strings.Contains(logs, "has dropped 3 offsets") {
		t.Errorf("it logged %s", logs)
	}
}

func TestAStreamKeptWithoutEndLosesNothing(t *testing.T) {
	w, without := newWatched(t), "-1"
	if _, err := kadm.NewClient(w.client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "retention.ms", Value: &without}}, w.config.ClicksTopic()); err != nil {
		t.Fatal(err)
	}
	w.produce(t, 1)
	w.archived(t, 1)
	w.now = w.now.Add(1000 * time.Hour)
	w.want(t, "long behind", 3600_000, math.Inf(1), 0, 0, 0)
}
