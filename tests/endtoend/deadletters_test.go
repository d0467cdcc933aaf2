package endtoend

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	recordv1 "clickledger/proto/gen/clickledger/record/v1"
	v1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/tests/client"
	"clickledger/tests/fleet"
	"clickledger/tests/poll"
)

const deadTimeout = time.Minute

// A valid click that was buried counts once however often it is replayed; a
// record that is none is buried again; a discarded letter can still be seen.
func TestBuriedClickIsReplayedAndCountsOnce(t *testing.T) {
	t.Parallel()
	f := fleet.Start(t, programs, nil)
	advertiser, err := f.Admin.NewAdvertiser(t.Context(), "Advertiser", 1)
	if err != nil {
		t.Fatal(err)
	}
	sender, err := kgo.NewClient(kgo.SeedBrokers(f.Config.KafkaBrokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	send := func(record *kgo.Record) {
		if err := sender.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	list := func(state v1.DeadLetterState, want int) []*v1.DeadLetter {
		var listed []*v1.DeadLetter
		err := poll.Until(t.Context(), deadTimeout, askInterval, func(ctx context.Context) error {
			page, err := f.Admin.Operations.ListDeadLetters(ctx, &v1.ListDeadLettersRequest{State: state})
			if listed = page.GetDeadLetters(); err == nil && len(listed) != want {
				err = fmt.Errorf("%d letters are %v, want %d", len(listed), state, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return listed
	}
	count := func(want int64) {
		err := poll.Until(t.Context(), deadTimeout, askInterval, func(ctx context.Context) error {
			return expectTotal(ctx, advertiser.API, advertiser.ID, want)
		})
		if err != nil {
			t.Fatal(err)
		}
	}

	send(&kgo.Record{Topic: f.Config.ClicksTopic(), Partition: 1, Value: []byte("no click")})
	open := list(v1.DeadLetterState_DEAD_LETTER_STATE_OPEN, 1)

	// As if an ingester that did not know better had buried a click.
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
	header := func(key, value string) kgo.RecordHeader {
		return kgo.RecordHeader{Key: key, Value: []byte(value)}
	}
	partition := click.Partition(ad, id, 1, f.Config.Partitions)
	send(&kgo.Record{Topic: f.Config.DeadTopic(), Value: value, Headers: []kgo.RecordHeader{
		header("reason", "not understood"), header("topic", f.Config.ClicksTopic()), header("partition", fmt.Sprint(partition)),
		header("offset", "0"), header("appended_at_ms", fmt.Sprint(now.UnixMilli())),
	}})
	letters := list(v1.DeadLetterState_DEAD_LETTER_STATE_UNSPECIFIED, 2)
	shown, err := f.Admin.Operations.GetDeadLetter(t.Context(), &v1.GetDeadLetterRequest{Id: letters[1].GetId()})
	if err != nil || shown.GetClick().GetAdId() != ad || string(shown.GetValue()) != string(value) {
		t.Fatalf("inspected %v, %v", shown, err)
	}
	for range 2 {
		replayed, err := f.Admin.Operations.ReplayDeadLetters(t.Context(), &v1.ReplayDeadLettersRequest{Ids: []string{letters[1].GetId()}, Note: "it is a click"})
		if err != nil || !replayed.GetResults()[0].GetDone() {
			t.Fatalf("replayed: %v, %v", replayed, err)
		}
		count(1)
	}
	if _, err := f.Admin.Operations.ReplayDeadLetters(t.Context(), &v1.ReplayDeadLettersRequest{Ids: []string{open[0].GetId()}, Note: "try"}); err != nil {
		t.Fatal(err)
	}
	again := list(v1.DeadLetterState_DEAD_LETTER_STATE_OPEN, 1) // buried again, with a new origin
	if _, err := f.Admin.Operations.DiscardDeadLetters(t.Context(), &v1.DiscardDeadLettersRequest{Ids: []string{again[0].GetId()}, Note: "no click"}); err != nil {
		t.Fatal(err)
	}
	list(v1.DeadLetterState_DEAD_LETTER_STATE_OPEN, 0)
	shown, err = f.Admin.Operations.GetDeadLetter(t.Context(), &v1.GetDeadLetterRequest{Id: again[0].GetId()})
	if err != nil || string(shown.GetValue()) != "no click" || len(shown.GetActions()) != 1 {
		t.Errorf("the discarded letter: %v, %v", shown, err)
	}
	count(1)
}

// expectTotal is an error unless the advertiser's clicks of the last hour are so many.
func expectTotal(ctx context.Context, api *client.API, advertiserID, want int64) error {
	answer, err := api.Reports.QueryClicks(ctx, &v1.QueryClicksRequest{
		AdvertiserId: advertiserID, StartTime: timestamppb.New(time.Now().Truncate(time.Minute).Add(-time.Hour)),
		EndTime: timestamppb.New(time.Now().Truncate(time.Minute).Add(time.Minute)),
	})
	if err == nil && answer.GetTotalClicks() != want {
		err = fmt.Errorf("%d clicks are counted, want %d", answer.GetTotalClicks(), want)
	}
	return err
}
