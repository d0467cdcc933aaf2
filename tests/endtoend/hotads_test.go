package endtoend

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	clickledgerv1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/tests/client"
	"clickledger/tests/fleet"
	"clickledger/tests/oracle"
	"clickledger/tests/poll"
	"clickledger/tests/traffic"
)

const (
	// 50 clicks a second for a minute make an ad hot; twice that, because a
	// minute may end among them.
	hotClicks    = 6_500
	hotTabs      = 16
	spreadClicks = 3_000
	spreadMost   = 1.5 // times the mean of a partition
	// raiseTimeout: found each minute, told at once.
	raiseTimeout = 2 * time.Minute

	tokenFanOutByte = 2 // of a decoded token: design, section 5
)

// One ad has nearly all clicks. Within two minutes its new tokens spread them
// over all partitions; the old ones go on to count, and nothing is lost.
func TestHotAdIsSpreadOverThePartitions(t *testing.T) {
	t.Parallel()
	f := fleet.Start(t, programs, nil)
	advertiser, err := f.Admin.NewAdvertiser(t.Context(), "Advertiser", 2)
	if err != nil {
		t.Fatal(err)
	}
	var clicked oracle.Oracle
	clicker := traffic.NewClicker(f.URL, &clicked)
	hot, cold := advertiser.Ads[0].GetAdId(), advertiser.Ads[1].GetAdId()
	before := ends(t, f)
	old := issueWith(t, f, hot, 1, hotClicks)
	clickAllOf(t, clicker, old[:hotClicks-100])
	few := issueWith(t, f, cold, 1, 10)
	clickAllOf(t, clicker, few)
	if most := fullest(before, ends(t, f)); most < 5 {
		t.Errorf("the fullest of 6 partitions has %.2f times the mean before the ad is spread", most)
	}

	err = poll.Until(t.Context(), raiseTimeout, askInterval, func(ctx context.Context) error {
		issued, err := f.Admin.Issue(ctx, hot, 1)
		if err != nil {
			return err
		}
		if got := fanOutOf(t, issued[0].GetToken()); got < 2 {
			return fmt.Errorf("its tokens have fan-out %d", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	expectHotAd(t, f, hot, advertiser.ID)
	issueWith(t, f, cold, 1, 1)

	// The owner changes the ad: that takes nothing of its fan-out back.
	url := "https://example.com/after-the-raise"
	if _, err := advertiser.API.Catalog.UpdateAd(t.Context(), &clickledgerv1.UpdateAdRequest{AdId: hot, LandingUrl: &url}); err != nil {
		t.Fatal(err)
	}
	before = ends(t, f)
	spread, err := traffic.Issue(t.Context(), f.Admin, hot, spreadClicks)
	if err != nil {
		t.Fatal(err)
	}
	clickAllOf(t, clicker, spread)
	if most := fullest(before, ends(t, f)); most > spreadMost {
		t.Errorf("the fullest partition has %.2f times the mean, at most %.1f is wanted", most, spreadMost)
	}
	answer, err := client.Click(t.Context(), clicker.HTTP, clicker.URL, spread[0].Token)
	if err != nil || answer.Location != url {
		t.Errorf("redirected to %q after the ad was changed, %v", answer.Location, err)
	}

	clickAllOf(t, clicker, old[hotClicks-100:]) // tokens from before the raise
	clickAllOf(t, clicker, old[:100])           // and clicked again
	for _, list := range [][]*traffic.Impression{old, few, spread} {
		for _, impression := range list {
			clicker.Tell(impression)
		}
	}
	f.WaitCounted(t, &clicked, advertiser)
	f.Compare(t, &clicked, advertiser)
}

func fanOutOf(t *testing.T, token string) int {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	return int(raw[tokenFanOutByte])
}

// issueWith issues impressions whose tokens must have a fan-out.
func issueWith(t *testing.T, f *fleet.Fleet, adID int64, fanOut, count int) []*traffic.Impression {
	t.Helper()
	issued, err := traffic.Issue(t.Context(), f.Admin, adID, count)
	if err != nil {
		t.Fatal(err)
	}
	if got := fanOutOf(t, issued[0].Token); got != fanOut {
		t.Errorf("a token of ad %d has fan-out %d, want %d", adID, got, fanOut)
	}
	return issued
}

func clickAllOf(t *testing.T, clicker *traffic.Clicker, impressions []*traffic.Impression) {
	t.Helper()
	tabs, ctx := errgroup.WithContext(t.Context())
	tabs.SetLimit(hotTabs)
	for _, impression := range impressions {
		tabs.Go(func() error {
			answer, err := clicker.Click(ctx, impression)
			if err == nil && answer.Status != http.StatusFound {
				err = fmt.Errorf("a click was answered %d %q", answer.Status, answer.Body)
			}
			return err
		})
	}
	if err := tabs.Wait(); err != nil {
		t.Fatal(err)
	}
}

// ends is how many clicks each partition has.
func ends(t *testing.T, f *fleet.Fleet) map[int32]int64 {
	t.Helper()
	status, err := f.Admin.Operations.GetStatus(t.Context(), &clickledgerv1.GetStatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[int32]int64{}
	for _, p := range status.GetPartitions() {
		all[p.GetPartition()] = p.GetEndOffset()
	}
	if len(all) == 0 {
		t.Fatal("the status names no partition")
	}
	return all
}

// fullest is how many times the mean the fullest partition got in between.
func fullest(before, after map[int32]int64) float64 {
	var sum, most int64
	for p, end := range after {
		sum += end - before[p]
		most = max(most, end-before[p])
	}
	return float64(most) * float64(len(after)) / float64(sum)
}

func expectHotAd(t *testing.T, f *fleet.Fleet, adID, advertiserID int64) {
	t.Helper()
	status, err := f.Admin.Operations.GetStatus(t.Context(), &clickledgerv1.GetStatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	hot := status.GetHotAds()
	if len(hot) != 1 || hot[0].GetAdId() != adID || hot[0].GetAdvertiserId() != advertiserID || hot[0].GetFanOut() != 240 {
		t.Errorf("the status has the hot ads %v, want ad %d", hot, adID)
	}
}
