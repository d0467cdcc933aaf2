package server

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// memoryTrail is an audit in memory.
type memoryTrail struct {
	begun, ended []click.AuditEvent
	refuseEnds   bool
}

func (m *memoryStore) AddAuditEvent(_ context.Context, e click.AuditEvent) error {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return err
	}
	if e.EndedAt.IsZero() {
		m.trail.begun = append(m.trail.begun, e)
		return nil
	}
	if m.trail.refuseEnds {
		return click.ErrUnavailable
	}
	m.trail.ended = append(m.trail.ended, e)
	return nil
}

// AuditEvents is all of them, the newest first; only After restricts it.
func (m *memoryStore) AuditEvents(_ context.Context, q click.AuditQuery) ([]click.AuditEvent, error) {
	defer m.mu.Unlock()
	if err := m.enter(); err != nil {
		return nil, err
	}
	var events []click.AuditEvent
	for _, e := range m.trail.begun {
		if i := slices.IndexFunc(m.trail.ended, func(ended click.AuditEvent) bool { return ended.ID == e.ID }); i >= 0 {
			e = m.trail.ended[i]
		}
		if q.After == nil || e.At.Before(q.After.At) || (e.At.Equal(q.After.At) && e.ID < q.After.ID) {
			events = append(events, e)
		}
	}
	slices.SortFunc(events, func(a, b click.AuditEvent) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.ID, a.ID)) })
	return events[:min(q.Limit, len(events))], nil
}

// listed is all events, page by page, the newest first.
func (g *gateway) listed(t *testing.T, size int32) []*v1.AuditEvent {
	t.Helper()
	var events []*v1.AuditEvent
	for token := ""; ; {
		page, err := g.as(testAdminKey).ListAuditEvents(t.Context(), &v1.ListAuditEventsRequest{PageSize: size, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, page.GetEvents()...)
		if token = page.GetNextPageToken(); token == "" {
			return events
		}
	}
}

func TestTheAuditTellsWhoDidWhatAndHowItEnded(t *testing.T) {
	g := newGateway(t)
	id, key, ad := g.advertiser(t)
	own, ctx := g.as(key), t.Context()
	ownID, _ := keyID(key)
	url := "https://somebody:passphrase@shop.example.com/landing?token=hush#part"
	_, err := own.UpdateAd(ctx, &v1.UpdateAdRequest{AdId: ad.GetAdId(), LandingUrl: &url})
	wantCode(t, "a landing URL with a user", err, connect.CodeInvalidArgument)
	url = "https://shop.example.com/landing?token=hush#part"
	paused := v1.AdStatus_AD_STATUS_PAUSED
	if _, err := own.UpdateAd(ctx, &v1.UpdateAdRequest{AdId: ad.GetAdId(), LandingUrl: &url, Status: &paused}); err != nil {
		t.Fatal(err)
	}
	made, err := g.as(testAdminKey).CreateApiKey(ctx, &v1.CreateApiKeyRequest{
		Role: v1.Role_ROLE_PUBLISHER, Name: "p", ExpireTime: timestamppb.New(time.Date(2199, 1, 2, 3, 4, 5, 0, time.UTC)), CallsPerSecond: 7,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.as(made.GetApiKey()).CreateAdvertiser(ctx, &v1.CreateAdvertiserRequest{Name: "not mine to make"})
	wantCode(t, "a publisher", err, connect.CodePermissionDenied)
	if _, err := own.GetAd(ctx, &v1.GetAdRequest{AdId: ad.GetAdId()}); err != nil { // changes nothing
		t.Fatal(err)
	}

	var got []string
	for _, e := range g.listed(t, 2) {
		if e.GetEventId() == 0 || e.GetTime() == nil || e.GetEndTime() == nil {
			t.Errorf("not whole: %v", e)
		}
		got = append(got, fmt.Sprintf("%s by %s key %d of %d on %q: %s: %s %s",
			e.GetMethod(), e.GetRole(), e.GetKeyId(), e.GetAdvertiserId(), e.GetSubject(), e.GetDetail(), e.GetCode(), e.GetMessage()))
	}
	want := []string{
		fmt.Sprintf(`CatalogService/CreateAdvertiser by ROLE_PUBLISHER key %d of 0 on "": name "not mine to make", with a first key: permission_denied %s`, made.GetKeyId(), errForbidden),
		fmt.Sprintf(`CatalogService/CreateApiKey by ROLE_ADMIN key 0 of 0 on "key %d": PUBLISHER, name "p", until 2199-01-02T03:04:05Z, 7 calls a second: ok `, made.GetKeyId()),
		fmt.Sprintf(`CatalogService/UpdateAd by ROLE_ADVERTISER key %d of %d on "ad %d": status PAUSED, landing_url https://shop.example.com/landing: ok `, ownID, id, ad.GetAdId()),
		fmt.Sprintf(`CatalogService/UpdateAd by ROLE_ADVERTISER key %d of %d on "ad %d": landing_url https://shop.example.com/landing: invalid_argument `, ownID, id, ad.GetAdId()),
		fmt.Sprintf(`CatalogService/CreateAds by ROLE_ADVERTISER key %d of %d on "advertiser %d": 1 ads: %d: ok `, ownID, id, id, ad.GetAdId()),
		fmt.Sprintf(`CatalogService/CreateAdvertiser by ROLE_ADMIN key 0 of 0 on "advertiser %d": name "a", with a first key: ok `, id),
	}
	for i := range want {
		if i >= len(got) || !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("event %d of %d:\n%v\nwant\n%s", i, len(got), got, want[i])
		}
	}
	for _, secret := range []string{key, made.GetApiKey(), "hush", "somebody", "passphrase"} {
		if strings.Contains(strings.Join(got, "\n"), secret) || strings.Contains(g.logs.String(), secret) {
			t.Errorf("a secret is in the audit or the log")
		}
	}
}

func TestWhatCannotBeWrittenDownIsNotDone(t *testing.T) {
	s := newScene(t)
	before := s.state()
	s.store.goAway()
	_, err := s.as(testAdminKey).CreateAdvertiser(t.Context(), &v1.CreateAdvertiserRequest{Name: "x"})
	wantCode(t, "without the audit", err, connect.CodeUnavailable)
	if s.state() != before {
		t.Error("it was done nevertheless")
	}
}

func TestAnEndThatCannotBeWrittenDownIsLoud(t *testing.T) {
	g := newGateway(t)
	g.store.trail.refuseEnds = true
	made, err := g.as(testAdminKey).CreateAdvertiser(t.Context(), &v1.CreateAdvertiserRequest{Name: "x"})
	if err != nil {
		t.Fatalf("it has happened, and is answered %v", err)
	}
	events := g.listed(t, 0)
	if len(events) != 1 || events[0].GetCode() != "" || events[0].GetEndTime() != nil {
		t.Errorf("listed %v", events)
	}
	if log := g.logs.String(); !strings.Contains(log, "the end of a call is not in the audit") ||
		!strings.Contains(log, fmt.Sprint("advertiser ", made.GetAdvertiser().GetAdvertiserId())) {
		t.Error("the log does not tell of it")
	}
}

func TestDeadLettersAndTheAuditNameACallByOneID(t *testing.T) {
	g := newGateway(t)
	id := g.bury(4)
	if _, err := g.as(testAdminKey).ReplayDeadLetters(t.Context(), &v1.ReplayDeadLettersRequest{Ids: []string{id}, Note: "mended"}); err != nil {
		t.Fatal(err)
	}
	letter, err := g.as(testAdminKey).GetDeadLetter(t.Context(), &v1.GetDeadLetterRequest{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	events := g.listed(t, 0)
	if len(events) != 1 || len(letter.GetActions()) != 2 || letter.GetActions()[0].GetActionId() != events[0].GetEventId() || events[0].GetEventId() == 0 {
		t.Errorf("the audit has %v, the letter %v", events, letter.GetActions())
	}
}
