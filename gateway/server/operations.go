package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

const (
	statusPartTimeout = 2 * time.Second
	sealDelayMax      = 3 * time.Minute
	watermarkDelayMax = 2 * time.Minute
	watermarkStepMax  = 64 * time.Minute // further back it is not searched
)

// Pinger tells whether a server answers.
type Pinger interface {
	Ping(ctx context.Context) error
}

// PartitionLag is what is not stored yet of one partition, in offsets.
type PartitionLag struct {
	Partition      int32
	Committed, End int64
}

// streamStatus is what Kafka knows of the ingester.
type streamStatus interface {
	Progress(ctx context.Context, notBefore time.Time) (topicID string, partitions []click.PartitionProgress, err error)
	Lag(ctx context.Context) ([]PartitionLag, error)
}

// sealStatus is how far figures are final.
type sealStatus interface {
	SealedThrough(ctx context.Context) (time.Time, error)
}

// hotAdStatus is which ads are spread over the partitions.
type hotAdStatus interface {
	HotAds(ctx context.Context) ([]click.FanOut, error)
}

// gatewayStates is what the gateways tell of their journals.
type gatewayStates interface {
	List(ctx context.Context) ([]click.GatewayState, error)
}

// seenStatus is how full the seen index is; the alarm is empty while it has room.
type seenStatus interface {
	CheckMemory(ctx context.Context) (alarm string, err error)
}

// archiveStatus is how far the lake is behind the stream. An error that wraps
// click.ErrLake means that the lake cannot be read; with any other one Through
// is told nevertheless.
type archiveStatus interface {
	State(ctx context.Context) (click.ArchiveState, error)
}

// operationsService answers OperationsService.
type operationsService struct {
	namespace  string
	lateness   time.Duration
	stream     streamStatus
	letters    letterShelf
	audit      letterAudit
	trail      auditTrail
	seals      sealStatus
	record     reconciliationRecord
	hot        hotAdStatus
	gateways   gatewayStates
	seen       seenStatus
	archive    archiveStatus
	kafka      Pinger
	clickhouse Pinger
	cache      Pinger
	now        func() time.Time
}

// GetStatus asks every part at once. A part that does not answer is listed as
// degraded and what it would have told is left out.
func (s *operationsService) GetStatus(ctx context.Context, _ *v1.GetStatusRequest) (*v1.GetStatusResponse, error) {
	if err := requireAdmin(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, statusPartTimeout)
	defer cancel()
	out := &v1.GetStatusResponse{Namespace: s.namespace}
	var mu sync.Mutex
	degraded := map[string]string{}
	report := func(part, sentence string) {
		mu.Lock()
		defer mu.Unlock()
		degraded[part] = sentence
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		s.ping(ctx, s.kafka, "kafka", "Kafka does not answer: clicks are kept in the gateways' journals and counted when it is back.", report)
	})
	wait.Go(func() {
		s.ping(ctx, s.clickhouse, "clickhouse", "ClickHouse does not answer, or one of its shards: no reports of the advertisers there, with the first no new ads; clicks on known ads go on, wait in Kafka and are counted when it is back.", report)
	})
	wait.Go(func() {
		s.ping(ctx, s.cache, "cache", "The catalogue cache does not answer: ads are looked up in the store, and changed ones take up to a second at other gateways.", report)
	})
	wait.Go(func() { s.seenIndex(ctx, report) })
	wait.Go(func() { s.sealed(ctx, out, report) })
	wait.Go(func() { s.lag(ctx, out) })
	wait.Go(func() { s.hotAds(ctx, out) })
	wait.Go(func() { s.journals(ctx, out, report) })
	wait.Go(func() { s.watermark(ctx, out, report) })
	wait.Go(func() { s.dead(ctx, out, report) })
	lake := sync.OnceValues(func() (click.ArchiveState, error) { return s.archive.State(ctx) })
	wait.Go(func() { s.archived(out, lake, report) })
	wait.Go(func() { s.reconciled(ctx, out, lake, report) })
	wait.Wait()
	for _, part := range []string{"kafka", "clickhouse", "cache", "seen", "journal", "ingester", "flush", "archive", "reconcile", "dead"} {
		if sentence, ok := degraded[part]; ok {
			out.DegradedModes = append(out.DegradedModes, &v1.DegradedMode{Part: part, Message: sentence})
		}
	}
	return out, nil
}

func (s *operationsService) ping(ctx context.Context, p Pinger, part, sentence string, report func(part, sentence string)) {
	if err := p.Ping(ctx); err != nil {
		report(part, sentence)
	}
}

func (s *operationsService) seenIndex(ctx context.Context, report func(part, sentence string)) {
	switch alarm, err := s.seen.CheckMemory(ctx); {
	case errors.Is(err, click.ErrUnavailable):
		report("seen", "The seen index does not answer: clicks wait in Kafka and are counted when it is back.")
	case err != nil:
		report("seen", "The seen index cannot be used: "+err.Error())
	case alarm != "":
		report("seen", alarm)
	}
}

func (s *operationsService) sealed(ctx context.Context, out *v1.GetStatusResponse, report func(part, sentence string)) {
	through, err := s.seals.SealedThrough(ctx)
	switch {
	case err != nil:
		report("flush", "How far figures are final cannot be read.")
		return
	case through.IsZero():
		report("flush", "The ledger has no start yet: setup has not run.")
		return
	}
	delay := s.now().Sub(through)
	out.SealedThrough, out.SealDelay = timeToProto(through), durationpb.New(delay)
	if delay > sealDelayMax {
		report("flush", fmt.Sprintf("Figures are final only up to %v ago: flushes are behind.", delay.Round(time.Second)))
	}
}

// archived tells how far the lake is. When only Kafka cannot be asked, its ping
// tells of it.
func (s *operationsService) archived(out *v1.GetStatusResponse, lake func() (click.ArchiveState, error), report func(part, sentence string)) {
	state, err := lake()
	if !state.Through.IsZero() {
		out.ArchivedThrough = timeToProto(state.Through)
	}
	switch {
	case errors.Is(err, click.ErrLake):
		report("archive", "The lake's last manifest cannot be read: clicks wait in Kafka and are archived when S3 is back.")
	case err == nil:
		if alarm := state.Alarm(s.now()); alarm != "" {
			report("archive", alarm)
		}
	}
}

func (s *operationsService) hotAds(ctx context.Context, out *v1.GetStatusResponse) {
	hot, err := s.hot.HotAds(ctx)
	if err != nil {
		return // ClickHouse's ping tells of it
	}
	for _, each := range hot {
		out.HotAds = append(out.HotAds, &v1.HotAd{AdId: each.AdID, AdvertiserId: each.AdvertiserID, FanOut: uint32(each.FanOut)})
	}
}

func (s *operationsService) lag(ctx context.Context, out *v1.GetStatusResponse) {
	partitions, err := s.stream.Lag(ctx)
	if err != nil {
		return // Kafka's ping and the watermark tell of it
	}
	for _, p := range partitions {
		lag := max(p.End-p.Committed, 0)
		out.Lag += lag
		out.Partitions = append(out.Partitions, &v1.PartitionStatus{
			Partition: p.Partition, CommittedOffset: p.Committed, EndOffset: p.End, Lag: lag,
		})
	}
}

// journals lists what the gateways told last. The gateways' states live in the
// cache's server, and its ping tells when it is away.
func (s *operationsService) journals(ctx context.Context, out *v1.GetStatusResponse, report func(part, sentence string)) {
	states, err := s.gateways.List(ctx)
	if err != nil {
		return
	}
	var sentences []string
	for _, g := range states {
		status := &v1.GatewayStatus{
			JournalId: g.JournalID, JournalDepth: g.Depth, Recording: g.Recording, HeartbeatTime: timeToProto(g.At),
		}
		out.JournalDepth += g.Depth
		if g.Depth > 0 {
			status.OldestMinute = timeToProto(g.Oldest.Start())
		}
		silent := s.now().Sub(g.At)
		switch {
		case g.Gone(s.now()) && g.Depth > 0:
			sentences = append(sentences, fmt.Sprintf("Gateway %s is gone since %v and its journal holds %d clicks: start it again with the same journal.",
				g.JournalID, silent.Round(time.Second), g.Depth))
		case !g.Recording:
			sentences = append(sentences, fmt.Sprintf("The journal of gateway %s is full or cannot be written: while Kafka is away its clicks are redirected but not recorded.", g.JournalID))
		case g.Depth > 0:
			sentences = append(sentences, fmt.Sprintf("The journal of gateway %s holds %d clicks, the oldest of %s: figures from then on are final later.",
				g.JournalID, g.Depth, g.Oldest))
		}
		out.Gateways = append(out.Gateways, status)
	}
	if len(sentences) > 0 {
		report("journal", strings.Join(sentences, " "))
	}
}

// watermark is the newest whole minute for which a seal would be allowed: the
// clock is past it by the allowed lateness, and so is what the ingester has
// committed. Behind the newest it searches in doubling steps: while the
// ingester is far behind, the watermark is told that much coarser.
func (s *operationsService) watermark(ctx context.Context, out *v1.GetStatusResponse, report func(part, sentence string)) {
	newest := click.WindowOf(s.now().Add(-s.lateness)).Start()
	for step := time.Duration(0); step <= watermarkStepMax; step = max(2*step, time.Minute) {
		minute := newest.Add(-step)
		_, partitions, err := s.stream.Progress(ctx, minute.Add(s.lateness))
		if err != nil {
			report("ingester", "How far clicks are stored cannot be read.")
			return
		}
		if click.Sealable(partitions) {
			out.Watermark = timeToProto(minute)
			if step > watermarkDelayMax {
				report("ingester", fmt.Sprintf("Clicks are stored only up to %v ago: the ingester is behind.", step))
			}
			return
		}
	}
	report("ingester", fmt.Sprintf("Clicks are not stored since more than %v: the ingester stands still or is far behind.", watermarkStepMax))
}
