//go:build drill

package drills

import (
	"context"
	"fmt"
	"testing"
	"time"

	clickledgerv1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/tests/client"
	"clickledger/tests/oracle"
	"clickledger/tests/poll"
	"clickledger/tests/traffic"
)

const (
	temporalOutage   = 3 * time.Minute
	kafkaOutage      = 20 * time.Second
	clickhouseOutage = 20 * time.Second
	valkeyOutage     = 10 * time.Second

	clickedAgain = 200 // impressions

	noticeTimeout  = 15 * time.Second
	noticeInterval = 250 * time.Millisecond
	// shownTimeout is how soon a click shows while something else is away.
	shownTimeout = 30 * time.Second
)

// Without Temporal nothing becomes final, but clicks are redirected, counted
// and shown; afterwards every window is flushed by itself.
func TestTemporalAwayForThreeMinutes(t *testing.T) {
	d := begin(t, temporalOutage)
	d.away(t, "temporal", temporalOutage, func() { d.expectFreshFigures(t) })
	d.end(t)
}

// Without Kafka clicks are kept in the gateway's journal, dated when they
// happened; they are counted when Kafka is back, also those that a gateway that
// was killed meanwhile had kept.
func TestKafkaAway(t *testing.T) {
	d := begin(t, kafkaOutage)
	d.away(t, "kafka", kafkaOutage, func() {
		d.expectRedirect(t, d.advertiser.Ads[0].GetAdId())
		d.expectJournal(t)
		if err := d.fleet.Gateway.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := d.fleet.Gateway.Start(); err != nil {
			t.Fatal(err)
		}
		if err := d.fleet.Gateway.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.expectRedirect(t, d.advertiser.Ads[0].GetAdId())
	})
	d.end(t)
}

// Without ClickHouse clicks on known ads go on; they are stored afterwards.
func TestClickHouseAway(t *testing.T) {
	d := begin(t, clickhouseOutage)
	repeatedAd := d.advertiser.Ads[0].GetAdId()
	d.away(t, "clickhouse", clickhouseOutage, func() { d.expectRedirect(t, repeatedAd) })
	d.end(t)
}

// A dead seen index comes back empty: it is rebuilt before anything is counted.
func TestSeenIndexWiped(t *testing.T) {
	d := begin(t, valkeyOutage)
	regulars, err := d.fleet.Admin.NewAdvertiser(t.Context(), "Regulars", 1)
	if err != nil {
		t.Fatal(err)
	}
	impressions, err := traffic.Issue(t.Context(), d.fleet.Admin, regulars.Ads[0].GetAdId(), clickedAgain)
	if err != nil {
		t.Fatal(err)
	}
	var clicked oracle.Oracle
	clicker := traffic.NewClicker(d.fleet.URL, &clicked)
	for _, impression := range impressions {
		clicker.Insist(t.Context(), impression)
	}
	d.fleet.WaitCounted(t, &clicked, regulars)
	d.away(t, "valkey-seen", valkeyOutage, func() {})
	// The gateway's memory of recent clicks goes too: only the index is left.
	if err := d.fleet.Gateway.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := d.fleet.Gateway.Start(); err != nil {
		t.Fatal(err)
	}
	if err := d.fleet.Gateway.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, impression := range impressions {
		if _, err := clicker.Click(t.Context(), impression); err != nil {
			t.Error(err)
		}
	}
	d.end(t)
	d.fleet.Compare(t, &clicked, regulars)
}

// The catalogue cache only saves work.
func TestCatalogueCacheAway(t *testing.T) {
	d := begin(t, valkeyOutage)
	d.away(t, "valkey-cache", valkeyOutage, func() {
		d.expectRedirect(t, d.advertiser.Ads[0].GetAdId())
		d.expectFreshFigures(t)
	})
	d.end(t)
}

// expectRedirect: a click on a known ad is recorded while a server is away.
func (d *drill) expectRedirect(t *testing.T, adID int64) {
	t.Helper()
	forger, err := traffic.NewForger(d.fleet.Config)
	if err != nil {
		t.Fatal(err)
	}
	clicker := traffic.NewClicker(d.fleet.URL, d.clicked)
	impression := &traffic.Impression{AdID: adID, Token: forger.Issued(adID, time.Now())}
	answer, err := clicker.Click(t.Context(), impression)
	if err != nil || !answer.Recorded() {
		t.Errorf("answered %d %q, %v", answer.Status, answer.Body, err)
	}
	clicker.Tell(impression)
}

// expectJournal: the status tells that clicks are journalled.
func (d *drill) expectJournal(t *testing.T) {
	t.Helper()
	err := poll.Until(t.Context(), noticeTimeout, noticeInterval, func(ctx context.Context) error {
		status, err := d.fleet.Admin.Operations.GetStatus(ctx, &clickledgerv1.GetStatusRequest{})
		if err == nil && (status.GetJournalDepth() == 0 || len(status.GetGateways()) != 1 || status.GetGateways()[0].GetOldestMinute() == nil) {
			err = fmt.Errorf("journal depth %d, gateways %v", status.GetJournalDepth(), status.GetGateways())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// expectFreshFigures: a click made now shows soon, though a server is away.
func (d *drill) expectFreshFigures(t *testing.T) {
	t.Helper()
	fresh, err := d.fleet.Admin.NewAdvertiser(t.Context(), "Advertiser of the outage", 1)
	if err != nil {
		t.Fatal(err)
	}
	adID := fresh.Ads[0].GetAdId()
	var answer client.Answer
	issued, err := d.fleet.Admin.Issue(t.Context(), adID, 1)
	if err == nil {
		answer, err = client.Click(t.Context(), client.NewHTTP(), d.fleet.URL, issued[0].GetToken())
	}
	if err != nil || !answer.Recorded() {
		t.Fatalf("answered %d %q, %v", answer.Status, answer.Body, err)
	}
	minute := answer.ClickedAt.Truncate(time.Minute)
	err = poll.Until(t.Context(), shownTimeout, noticeInterval, func(ctx context.Context) error {
		clicks, _, err := d.fleet.Admin.Total(ctx, fresh.ID, minute, minute.Add(time.Minute))
		if err == nil && clicks != 1 {
			err = fmt.Errorf("%d clicks show", clicks)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
