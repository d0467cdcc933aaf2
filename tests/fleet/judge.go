package fleet

import (
	"testing"
	"time"

	"clickledger/tests/client"
	"clickledger/tests/oracle"
	"clickledger/tests/poll"
	"clickledger/tests/traffic"
)

const (
	countedTimeout = 2 * time.Minute
	// finalTimeout is from a minute's last click: up to a minute until it ends,
	// then the lateness, the next tick and the flush, and after an outage all
	// the minutes before. Generous: machines are slow.
	finalTimeout  = 5 * time.Minute
	judgeInterval = 250 * time.Millisecond
)

// Traffic starts a stream of clicks on all ads of an advertiser.
func (f *Fleet) Traffic(t testing.TB, clicked *oracle.Oracle, advertiser *client.Advertiser, impressions, perSecond int) *traffic.Stream {
	t.Helper()
	ads := make([]int64, len(advertiser.Ads))
	for i, ad := range advertiser.Ads {
		ads[i] = ad.GetAdId()
	}
	stream, err := traffic.NewStream(t.Context(), f.Admin, traffic.NewClicker(f.URL, clicked), ads, impressions, perSecond)
	if err != nil {
		t.Fatalf("start the stream of clicks: %v", err)
	}
	return stream
}

// WaitCounted waits until every acknowledged click of the advertisers shows.
func (f *Fleet) WaitCounted(t testing.TB, clicked *oracle.Oracle, advertisers ...*client.Advertiser) {
	t.Helper()
	if err := poll.Until(t.Context(), countedTimeout, judgeInterval, clicked.Counted(f.Admin, advertisers)); err != nil {
		t.Fatal(err)
	}
}

// WaitFinal waits until every minute clicked in is sealed, and all before.
func (f *Fleet) WaitFinal(t testing.TB, clicked *oracle.Oracle, advertiser *client.Advertiser) {
	t.Helper()
	if err := poll.Until(t.Context(), finalTimeout, judgeInterval, clicked.Final(f.Admin, advertiser)); err != nil {
		t.Fatal(err)
	}
}

// Compare fails the test for every figure that is not what was clicked.
func (f *Fleet) Compare(t testing.TB, clicked *oracle.Oracle, advertisers ...*client.Advertiser) {
	t.Helper()
	differences, err := clicked.Differences(t.Context(), advertisers)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range differences {
		t.Error(d)
	}
}
