package endtoend

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	v1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/tests/client"
	"clickledger/tests/fleet"
	"clickledger/tests/oracle"
	"clickledger/tests/traffic"
)

const (
	racedAds         = 8
	racedImpressions = 500 // of each
	// racedAtOnce is how many impressions are clicked by one barrier, at each gateway.
	racedAtOnce = 200
)

// Two gateways stand behind one list of addresses, and know nothing of each
// other's clicks. The same impression is clicked at both at the same instant,
// thousands of times: both acknowledge it, both put it into the stream, and it
// counts once, in the minute of one of the two.
func TestClicksAtTwoGatewaysAtTheSameInstantCountOnce(t *testing.T) {
	t.Parallel()
	f := fleet.Start(t, programs, nil)
	_, other := f.AnotherGateway(t, nil)
	advertiser, err := f.Admin.NewAdvertiser(t.Context(), "Advertiser", racedAds)
	if err != nil {
		t.Fatal(err)
	}
	var impressions []*traffic.Impression
	for _, ad := range advertiser.Ads {
		issued, err := traffic.Issue(t.Context(), f.Admin, ad.GetAdId(), racedImpressions)
		if err != nil {
			t.Fatal(err)
		}
		impressions = append(impressions, issued...)
	}
	rand.Shuffle(len(impressions), func(i, j int) { impressions[i], impressions[j] = impressions[j], impressions[i] })
	count, streamed := int64(len(impressions)), ends(t, f)

	var clicked oracle.Oracle
	clickers := []*traffic.Clicker{traffic.NewClicker(f.URL, &clicked), traffic.NewClicker(other, &clicked)}
	began := time.Now()
	for wave := range slices.Chunk(impressions, racedAtOnce) {
		race(t, clickers, wave)
	}
	for _, impression := range impressions {
		clickers[0].Tell(impression)
	}
	t.Logf("%d impressions were clicked at two gateways in %v", count, time.Since(began).Round(time.Millisecond))
	if got := clicked.Promised(); got != count {
		t.Fatalf("%d impressions were acknowledged, not %d", got, count)
	}

	f.WaitCounted(t, &clicked, advertiser)
	// One click of each counts, and one of each is told to be a duplicate.
	expectGross(t, began, []*client.Advertiser{advertiser}, count, map[v1.Verdict]int64{v1.Verdict_VERDICT_DUPLICATE: count})
	f.Compare(t, &clicked, advertiser)
	expectTotalsAgree(t, &clicked, f, []*client.Advertiser{advertiser})
	// Neither gateway kept a click back: it was the stream's order that decided.
	added := int64(0)
	for partition, end := range ends(t, f) {
		added += end - streamed[partition]
	}
	if added < 2*count {
		t.Errorf("the stream has %d clicks of %d impressions clicked at two gateways", added, count)
	}
}

// race clicks each impression by each clicker; one barrier lets all go at once.
func race(t *testing.T, clickers []*traffic.Clicker, impressions []*traffic.Impression) {
	t.Helper()
	start := make(chan struct{})
	var clicks errgroup.Group
	for _, impression := range impressions {
		for _, clicker := range clickers {
			clicks.Go(func() error {
				<-start
				answer, err := clicker.Click(t.Context(), impression)
				return expectRecorded(answer, err)
			})
		}
	}
	close(start)
	if err := clicks.Wait(); err != nil {
		t.Fatal(err)
	}
}
