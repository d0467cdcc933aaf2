//go:build drill

package drills

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	clickledgerv1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/tests/client"
	"clickledger/tests/poll"
	"clickledger/workflows"
)

const (
	disasterClicks  = 500_000
	disasterMinutes = 40 // five minutes apart: over some three and a half hours
	streamPerSecond = 50
	streamLength    = 14 * time.Minute // more than the drill takes
)

// Every table of ClickHouse is dropped while people click. Setup and one
// backfill, during which the aggregator is killed, bring back the catalogue with its keys, every click and every figure;
// what is clicked meanwhile counts, and nothing counts twice.
func TestClickHouseIsLostAndBroughtBack(t *testing.T) {
	t.Parallel()
	d := newLakeDrill(t, 3, 40)
	minutes := minutesAgo(3, 5, disasterMinutes)
	d.send(t, disasterClicks, minutes)
	run[workflows.ExportCatalogueResult](t, d, "ExportCatalogue", workflows.ExportScheduleID, `{}`)
	d.awaitRight(t)
	stream := d.fleet.Traffic(t, d.clicked, d.advertisers[0], int(streamLength.Seconds())*streamPerSecond, streamPerSecond)
	ads := d.ads(t)

	began := time.Now()
	if err := clickhouse.DropDatabase(t.Context(), d.fleet.Config); err != nil {
		t.Fatal(err)
	}
	if err := d.fleet.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	from := click.HourOf(minutes[len(minutes)-1].Start())
	id := fmt.Sprintf("backfill/%s_now", from)
	crashed := d.crashAggregator(t.Context(), id)
	result := run[workflows.BackfillResult](t, d, "Backfill", id, fmt.Sprintf(`{"from":%q,"parallelism":2}`, from))
	if err := <-crashed; err != nil {
		t.Errorf("the aggregator was not killed during the backfill: %v", err)
	}
	t.Logf("all was back %v after it was lost: %d clicks in %d chunks, %d inserted", time.Since(began).Round(time.Second), result.Lake, result.Chunks, result.Inserted)
	if result.Inserted < disasterClicks || result.Inserted > result.Lake || result.Surplus > 0 || !result.SeenRebuilt {
		t.Errorf("the backfill ended with %+v", result.BackfillTotals)
	}
	repeated := stream.Stop()
	t.Logf("%d impressions were acknowledged, %d clicks had to be repeated", d.clicked.Promised(), repeated)
	d.fleet.WaitCounted(t, d.clicked, d.advertisers...)
	d.fleet.Compare(t, d.clicked, d.advertisers...)
	d.fleet.WaitFinal(t, d.clicked, d.advertisers[0])
	d.fleet.Compare(t, d.clicked, d.advertisers...)
	if back := d.ads(t); !slices.Equal(ads, back) {
		t.Errorf("%d ads are back, of %d", len(back), len(ads))
	}

	again := run[workflows.BackfillResult](t, d, "Backfill", fmt.Sprintf("backfill/%s_again", from),
		fmt.Sprintf(`{"from":%q,"to":%q,"dry_run":true,"parallelism":2}`, from, click.WindowOf(time.Now())))
	if again.Agreed != again.Chunks || len(again.Minutes) > 0 || again.Lake != uint64(d.clicked.Promised()) {
		t.Errorf("a second look found %+v; %d were clicked", again.BackfillTotals, d.clicked.Promised())
	}
}

// crashAggregator kills the aggregator and starts another, once a workflow that
// is about to begin has been seen at work.
func (d *lakeDrill) crashAggregator(ctx context.Context, workflowID string) <-chan error {
	crashed := make(chan error, 1)
	go func() {
		err := poll.Until(ctx, lakeWait, lakeInterval, func(ctx context.Context) error {
			answer, err := d.temporal.QueryWorkflow(ctx, workflowID, "", workflows.ProgressQuery)
			if err != nil {
				return err
			}
			var progress workflows.BackfillProgress
			if err := answer.Get(&progress); err != nil {
				return err
			}
			if progress.Done == 0 || len(progress.Running) == 0 {
				return fmt.Errorf("%d chunks are done, %d run", progress.Done, len(progress.Running))
			}
			return nil
		})
		if err == nil {
			err = d.fleet.Aggregator.Kill()
		}
		if err == nil {
			err = d.fleet.Aggregator.Start()
		}
		crashed <- err
	}()
	return crashed
}

// ads are the ads as their advertisers see them, each with its own key.
func (d *lakeDrill) ads(t *testing.T) []string {
	t.Helper()
	var ads []string
	for _, advertiser := range d.advertisers {
		ads = append(ads, adsOf(t, advertiser)...)
	}
	return ads
}

func adsOf(t *testing.T, advertiser *client.Advertiser) []string {
	t.Helper()
	var ads []string
	request := &clickledgerv1.ListAdsRequest{AdvertiserId: advertiser.ID}
	for {
		page, err := advertiser.API.Catalog.ListAds(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		for _, ad := range page.GetAds() {
			ads = append(ads, fmt.Sprintf("%d %s %s %s", ad.GetAdId(), ad.GetName(), ad.GetLandingUrl(), ad.GetStatus()))
		}
		if request.PageToken = page.GetNextPageToken(); request.GetPageToken() == "" {
			slices.Sort(ads)
			return ads
		}
	}
}
