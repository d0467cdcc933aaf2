package operations

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"google.golang.org/protobuf/proto"

	"clickledger/internal/click"
	recordv1 "clickledger/proto/gen/clickledger/record/v1"
	v1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/tests/poll"
	"clickledger/workflows"
)

const (
	stageTimeout  = time.Minute
	stageInterval = 100 * time.Millisecond
)

// set makes what the document speaks of: a lake, two dead letters, and a
// reconciliation that waits to be approved.
func (s *stage) set(t *testing.T) {
	t.Helper()
	temporal, err := client.DialContext(t.Context(), client.Options{
		HostPort: s.fleet.Config.TemporalAddr, Namespace: s.fleet.Config.TemporalNamespace(),
		Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(temporal.Close)
	s.archive(t, temporal)
	s.bury(t)
	s.await(t, temporal)
}

// archive begins the lake while the stream is empty: then it need not wait for
// the end of an archive window.
func (s *stage) archive(t *testing.T, temporal client.Client) {
	t.Helper()
	options := client.StartWorkflowOptions{ID: "stage-archive", TaskQueue: workflows.OperationsQueue}
	run, err := temporal.ExecuteWorkflow(t.Context(), options, workflows.ArchiveTick, workflows.ArchiveTickInput{})
	if err != nil {
		t.Fatal(err)
	}
	var result workflows.ArchiveTickResult
	if err := run.Get(t.Context(), &result); err != nil || result.Through.IsZero() {
		t.Fatalf("archived %+v, %v", result, err)
	}
}

// bury sets the stage with a click that was buried as if it could not be read,
// and behind it a record that is none.
func (s *stage) bury(t *testing.T) {
	t.Helper()
	f := s.fleet
	advertiser, err := f.Admin.NewAdvertiser(t.Context(), "Buried", 1)
	if err != nil {
		t.Fatal(err)
	}
	ad, now := advertiser.Ads[0].GetAdId(), time.Now()
	impressions, err := f.Admin.Issue(t.Context(), ad, 1)
	if err != nil {
		t.Fatal(err)
	}
	var id click.ImpressionID
	if _, err := hex.Decode(id[:], []byte(strings.ReplaceAll(impressions[0].GetImpressionId(), "-", ""))); err != nil {
		t.Fatal(err)
	}
	arrival := click.NewArrivalID(1, 1)
	value, err := proto.Marshal(&recordv1.Click{
		SchemaVersion: 1, AdId: ad, AdvertiserId: advertiser.ID, ImpressionId: id[:], ArrivalId: arrival[:], ClickedAtMs: now.UnixMilli(),
	})
	if err != nil {
		t.Fatal(err)
	}
	sender, err := kgo.NewClient(kgo.SeedBrokers(f.Config.KafkaBrokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	header := func(key string, value any) kgo.RecordHeader {
		return kgo.RecordHeader{Key: key, Value: fmt.Append(nil, value)}
	}
	for _, record := range []*kgo.Record{
		{Topic: f.Config.DeadTopic(), Value: value, Headers: []kgo.RecordHeader{
			header("reason", "the record has schema version 2"), header("topic", f.Config.ClicksTopic()),
			header("partition", click.Partition(ad, id, 1, f.Config.Partitions)), header("offset", 0), header("appended_at_ms", now.UnixMilli()),
		}},
		{Topic: f.Config.ClicksTopic(), Partition: 1, Value: []byte("no click")},
	} {
		if err := sender.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	err = poll.Until(t.Context(), stageTimeout, stageInterval, func(ctx context.Context) error {
		page, err := f.Admin.Operations.ListDeadLetters(ctx, &v1.ListDeadLettersRequest{})
		if err == nil && len(page.GetDeadLetters()) != 2 {
			err = fmt.Errorf("%d letters are buried", len(page.GetDeadLetters()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
