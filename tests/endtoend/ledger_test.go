package endtoend

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	clickledgerv1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/tests/client"
	"clickledger/tests/fleet"
	"clickledger/tests/oracle"
	"clickledger/tests/traffic"
)

// 20,000 clicks: 4 clients, each 4,500 impressions and 500 repeats of them.
const (
	clients              = 4
	tabsPerClient        = 4 // connections that click at once
	advertisers          = 3
	adsPerAdvertiser     = 10
	impressionsPerClient = 4500
	twinsPerClient       = 250 // clicked twice at the same instant
	repeatsPerClient     = 250 // clicked again later
	wrongPerClient       = 100 // of each kind
)

func TestTwentyThousandClicksAreCountedExactly(t *testing.T) {
	t.Parallel()
	f := fleet.Start(t, programs, nil)
	forger, err := traffic.NewForger(f.Config)
	if err != nil {
		t.Fatal(err)
	}
	var clicked oracle.Oracle
	all := make([]*client.Advertiser, advertisers)
	for i := range all {
		if all[i], err = f.Admin.NewAdvertiser(t.Context(), fmt.Sprintf("Advertiser %d", i+1), adsPerAdvertiser); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	crowd, ctx := errgroup.WithContext(t.Context())
	for range clients {
		person := person{t: t, fleet: f, clicker: traffic.NewClicker(f.URL, &clicked), forger: forger, advertisers: all}
		crowd.Go(func() error { return person.clickAll(ctx) })
	}
	if err := crowd.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("clicked in %v", time.Since(began).Round(time.Millisecond))
	if want := int64(clients * impressionsPerClient); clicked.Promised() != want {
		t.Fatalf("%d impressions were acknowledged, not %d", clicked.Promised(), want)
	}

	f.WaitCounted(t, &clicked, all...)
	t.Logf("counted %v after the first click", time.Since(began).Round(time.Millisecond))
	f.Compare(t, &clicked, all...)
	expectStatesAgree(t, &clicked, all[0])

	f.WaitFinal(t, &clicked, all[0])
	f.Compare(t, &clicked, all...)
	for _, advertiser := range all {
		expectAllFinal(t, &clicked, advertiser)
	}
	expectTotalsAgree(t, &clicked, f, all)
	expectGross(t, began, all, clicked.Promised(), map[clickledgerv1.Verdict]int64{
		clickledgerv1.Verdict_VERDICT_DUPLICATE: clients * (twinsPerClient + repeatsPerClient),
		clickledgerv1.Verdict_VERDICT_EXPIRED:   clients * wrongPerClient,
	})
}

// person is one client: its clicks, some twice, and what it gets wrong.
type person struct {
	t           *testing.T
	fleet       *fleet.Fleet
	clicker     *traffic.Clicker
	forger      *traffic.Forger
	advertisers []*client.Advertiser
}

func (p *person) clickAll(ctx context.Context) error {
	var impressions []*traffic.Impression
	for _, advertiser := range p.advertisers {
		for _, ad := range advertiser.Ads {
			issued, err := traffic.Issue(ctx, p.fleet.Admin, ad.GetAdId(), impressionsPerClient/advertisers/adsPerAdvertiser)
			if err != nil {
				return err
			}
			impressions = append(impressions, issued...)
		}
	}
	rand.Shuffle(len(impressions), func(i, j int) { impressions[i], impressions[j] = impressions[j], impressions[i] })
	twins, rest := impressions[:twinsPerClient], impressions[twinsPerClient:]
	tabs, tabCtx := errgroup.WithContext(ctx)
	tabs.SetLimit(tabsPerClient)
	for i, impression := range rest {
		tabs.Go(func() error { return p.click(tabCtx, impression) })
		if i < len(twins) {
			tabs.Go(func() error { return p.clickTwice(tabCtx, twins[i]) })
		}
		if i < wrongPerClient {
			tabs.Go(func() error { return p.clickWrong(tabCtx, impression) })
		}
	}
	if err := tabs.Wait(); err != nil {
		return err
	}
	for _, impression := range rest[:repeatsPerClient] {
		if err := p.click(ctx, impression); err != nil {
			return err
		}
	}
	for _, impression := range impressions {
		p.clicker.Tell(impression)
	}
	return nil
}

func (p *person) click(ctx context.Context, i *traffic.Impression) error {
	answer, err := p.clicker.Click(ctx, i)
	return expectRecorded(answer, err)
}

func (p *person) clickTwice(ctx context.Context, i *traffic.Impression) error {
	answers, errs := p.clicker.AtOnce(ctx, i, 2)
	for n, answer := range answers {
		if err := expectRecorded(answer, errs[n]); err != nil {
			return err
		}
	}
	return nil
}

// expectRecorded: a valid click was redirected and is durable.
func expectRecorded(answer client.Answer, err error) error {
	switch {
	case err != nil:
		return err
	case answer.Status != http.StatusFound || !answer.Recorded():
		return fmt.Errorf("a valid click was answered %d %q, recorded: %v", answer.Status, answer.Body, answer.Recorded())
	default:
		return nil
	}
}

// clickWrong makes one click of every wrong kind; none may be recorded.
func (p *person) clickWrong(ctx context.Context, i *traffic.Impression) error {
	for _, wrong := range []struct {
		kind, token string
		status      int
	}{
		{"forged", p.forger.Forged(i.AdID), http.StatusForbidden},
		{"flipped", traffic.Flipped(i.Token, 3*8+rand.IntN(24*8)), http.StatusForbidden},
		{"malformed", i.Token[:len(i.Token)-1], http.StatusBadRequest},
		{"expired", p.forger.Expired(i.AdID), http.StatusFound},
		{"unknown ad", p.forger.Issued(rand.Int64(), time.Now()), http.StatusNotFound},
		{"future", p.forger.Issued(i.AdID, time.Now().Add(time.Hour)), http.StatusForbidden},
	} {
		answer, err := client.Click(ctx, p.clicker.HTTP, p.clicker.URL, wrong.token)
		if err != nil {
			return err
		}
		if answer.Status != wrong.status || answer.Recorded() {
			p.t.Errorf("%s: answered %d %q, recorded: %v", wrong.kind, answer.Status, answer.Body, answer.Recorded())
		}
	}
	return nil
}

// expectStatesAgree: exactly the minutes that are not sealed are provisional.
func expectStatesAgree(t *testing.T, clicked *oracle.Oracle, advertiser *client.Advertiser) {
	t.Helper()
	from, to := clicked.Range()
	figures, err := advertiser.API.Figures(t.Context(), advertiser, from, to)
	if err != nil {
		t.Fatal(err)
	}
	for minute, state := range figures.States {
		sealed := minute.Before(figures.SealedThrough)
		if provisional := state == clickledgerv1.State_STATE_PROVISIONAL; provisional == sealed {
			t.Errorf("minute %s is %s with all sealed through %s", minute, state, figures.SealedThrough)
		}
	}
}

func expectAllFinal(t *testing.T, clicked *oracle.Oracle, advertiser *client.Advertiser) {
	t.Helper()
	from, to := clicked.Range()
	figures, err := advertiser.API.Figures(t.Context(), advertiser, from, to)
	if err != nil {
		t.Fatal(err)
	}
	for minute, state := range figures.States {
		if state != clickledgerv1.State_STATE_FINAL {
			t.Errorf("minute %s is %s: nothing was late", minute, state)
		}
	}
}

// expectTotalsAgree: what is asked without ads is the sum of what is asked by ad.
func expectTotalsAgree(t *testing.T, clicked *oracle.Oracle, f *fleet.Fleet, all []*client.Advertiser) {
	t.Helper()
	from, to := clicked.Range()
	var sum int64
	for _, advertiser := range all {
		total, _, err := f.Admin.Total(t.Context(), advertiser.ID, from, to)
		if err != nil {
			t.Fatal(err)
		}
		sum += total
	}
	if sum != clicked.Promised() {
		t.Errorf("the advertisers' totals are %d, %d were clicked", sum, clicked.Promised())
	}
}
