package endtoend

import (
	"fmt"
	"testing"

	"clickledger/tests/client"
	"clickledger/tests/fleet"
	"clickledger/tests/oracle"
	"clickledger/tests/traffic"
)

// port is one fleet that the tests of the public port share. All of its good
// clicks are known to the oracle, so that a wrong input that counts, or one
// that breaks something for others, shows.
type port struct {
	fleet   *fleet.Fleet
	forger  *traffic.Forger
	clicker *traffic.Clicker
	clicked *oracle.Oracle
	own     *client.Advertiser
	foreign *client.Advertiser
}

func TestPublicPort(t *testing.T) {
	t.Parallel()
	p := newPort(t)
	t.Run("wrong clicks get their status and count nothing", p.testWrongClicks)
	t.Run("no input chooses a header or where a click leads", p.testInjection)
	t.Run("what is too large is refused", p.testTooLarge)
	t.Run("wrong calls get their code and a sentence", p.testWrongCalls)
	t.Run("ranges are checked", p.testWrongRanges)
	t.Run("plain HTTP mistakes are answered in words", p.testPlainHTTP)
	t.Run("an advertiser sees nothing of another", p.testIsolation)
	t.Run("no key opens nothing", p.testNoKey)
	t.Run("each role may do its own", p.testRoles)
	t.Run("a key ends at every gateway when it is revoked or over", p.testKeysEnd)
	t.Run("a key that calls too often is told when to come back", p.testCallsAreLimited)
	t.Run("every protocol answers", p.testProtocols)
	t.Run("health and reflection answer", p.testHealthAndReflection)
	t.Run("a paused ad redirects and does not count", p.testPaused)
	t.Run("an app records a click by itself", p.testRecordClick)
	t.Run("what is not counted is told by reason", p.testFiltered)

	// The good clicks of all the tests above, and nothing else, are counted.
	p.click(t)
	p.fleet.WaitCounted(t, p.clicked, p.own, p.foreign)
	p.fleet.Compare(t, p.clicked, p.own, p.foreign)
	p.expectNoSecretLogged(t)
}

func newPort(t *testing.T) *port {
	f := fleet.Start(t, programs, nil)
	forger, err := traffic.NewForger(f.Config)
	if err != nil {
		t.Fatal(err)
	}
	p := &port{fleet: f, forger: forger, clicked: &oracle.Oracle{}}
	p.clicker = traffic.NewClicker(f.URL, p.clicked)
	for i, advertiser := range []**client.Advertiser{&p.own, &p.foreign} {
		if *advertiser, err = f.Admin.NewAdvertiser(t.Context(), fmt.Sprintf("Advertiser %d", i+1), 3); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// token is a fresh, valid click token of the advertiser's first ad.
func (p *port) token(t *testing.T) string {
	t.Helper()
	return p.impression(t).Token
}

func (p *port) impression(t *testing.T) *traffic.Impression {
	t.Helper()
	issued, err := traffic.Issue(t.Context(), p.fleet.Admin, p.own.Ads[0].GetAdId(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return issued[0]
}

// click makes one good click and returns its token.
func (p *port) click(t *testing.T) string {
	t.Helper()
	impression := p.impression(t)
	answer, err := p.clicker.Click(t.Context(), impression)
	if err != nil || !answer.Recorded() || answer.Location != p.own.Ads[0].GetLandingUrl() {
		t.Fatalf("a good click was answered %+v, %v", answer, err)
	}
	p.clicker.Tell(impression)
	return impression.Token
}
