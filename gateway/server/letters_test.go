package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// memoryLetters keeps dead letters in memory; the letter at place i is its i-th.
type memoryLetters struct {
	kept     []click.Buried
	replayed []click.Buried
	fault    func(click.Buried) error
}

func (m *memoryLetters) DeadLetters(_ context.Context, from int64, limit int) ([]click.Buried, int64, int64, error) {
	end := int64(len(m.kept))
	from = min(from, end)
	next := min(from+int64(limit), end)
	return m.kept[from:next], next, end, nil
}

func (m *memoryLetters) DeadRange(context.Context) (start, end int64, err error) {
	return 0, int64(len(m.kept)), nil
}

func (m *memoryLetters) Decode(click.Buried) (click.Click, error) {
	return click.Click{}, errors.New("no click")
}

func (m *memoryLetters) Replay(_ context.Context, l click.Buried) (click.Position, error) {
	if m.fault != nil {
		if err := m.fault(l); err != nil {
			return click.Position{}, err
		}
	}
	m.replayed = append(m.replayed, l)
	return click.Position{Partition: l.Partition, Offset: 1000}, nil
}

func (m *memoryStore) AddLetterActions(_ context.Context, actions []click.LetterAction) error {
	defer m.mu.Unlock()
	err := m.enter()
	if err == nil {
		m.actions = append(m.actions, actions...)
	}
	return err
}

func (m *memoryStore) LetterActions(_ context.Context, origins []click.Origin) (map[click.Origin][]click.LetterAction, error) {
	defer m.mu.Unlock()
	found := map[click.Origin][]click.LetterAction{}
	for _, origin := range origins {
		for _, a := range m.actions {
			if a.Origin == origin {
				found[origin] = append(found[origin], a)
			}
		}
	}
	return found, m.enter()
}

// bury puts a letter of an origin's offset on the shelf and returns its id.
func (g *gateway) bury(offset int64) string {
	letter := click.Buried{
		Origin: click.Origin{Topic: "clicks", Position: click.Position{Partition: 1, Offset: offset}, AppendedAt: time.UnixMilli(1_795_428_000_000).UTC()},
		Place:  int64(len(g.letters.kept)), Reason: "bad", Value: []byte("v"), WholeBytes: 1,
	}
	g.letters.kept = append(g.letters.kept, letter)
	return letterID(&letter)
}

func TestDeadLettersAreListedByStateInPagesAndCopiesOnce(t *testing.T) {
	g := newGateway(t)
	api, ctx := g.as(testAdminKey), t.Context()
	var ids []string
	for offset := range int64(1_500) {
		ids = append(ids, g.bury(offset))
	}
	g.bury(1_499) // a copy
	for from := 0; from < 1_000; from += 100 {
		if _, err := api.DiscardDeadLetters(ctx, &v1.DiscardDeadLettersRequest{Ids: ids[from : from+100], Note: "tests"}); err != nil {
			t.Fatal(err)
		}
	}
	for state, want := range map[v1.DeadLetterState]int{
		v1.DeadLetterState_DEAD_LETTER_STATE_UNSPECIFIED: 1_500, v1.DeadLetterState_DEAD_LETTER_STATE_OPEN: 500,
		v1.DeadLetterState_DEAD_LETTER_STATE_DISCARDED: 1_000, v1.DeadLetterState_DEAD_LETTER_STATE_REPLAYED: 0,
	} {
		listed, token := map[string]bool{}, ""
		for {
			page, err := api.ListDeadLetters(ctx, &v1.ListDeadLettersRequest{State: state, PageSize: 301, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range page.GetDeadLetters() {
				if listed[l.GetId()] {
					t.Errorf("%s is listed twice", l.GetId())
				}
				listed[l.GetId()] = true
			}
			if token = page.GetNextPageToken(); token == "" {
				break
			}
		}
		if len(listed) != want {
			t.Errorf("%v: %d listed, want %d", state, len(listed), want)
		}
	}
}

func TestAReplayIsNotedBeforeAndAfterAndMayBeRepeated(t *testing.T) {
	g := newGateway(t)
	api, ctx := g.as(testAdminKey), t.Context()
	ids := []string{g.bury(4), g.bury(5), g.bury(6)}
	g.letters.fault = func(l click.Buried) error {
		switch l.Offset {
		case 5:
			return fmt.Errorf("only a part was kept: %w", click.ErrRejected)
		case 6:
			return click.ErrUnavailable
		}
		return nil
	}
	request := &v1.ReplayDeadLettersRequest{Ids: ids, Note: "mended"}
	_, err := api.ReplayDeadLetters(ctx, request)
	wantCode(t, "Kafka away in the middle", err, connect.CodeUnavailable)
	states := func() (all []v1.DeadLetterState, actions []int) {
		for _, id := range ids {
			got, err := api.GetDeadLetter(ctx, &v1.GetDeadLetterRequest{Id: id})
			if err != nil {
				t.Fatal(err)
			}
			all, actions = append(all, got.GetDeadLetter().GetState()), append(actions, len(got.GetActions()))
		}
		return all, actions
	}
	got, actions := states()
	if fmt.Sprint(got, actions) != "[DEAD_LETTER_STATE_REPLAYED DEAD_LETTER_STATE_OPEN DEAD_LETTER_STATE_OPEN] [2 2 1]" {
		t.Errorf("after the outage: %v %v", got, actions)
	}
	g.letters.fault = nil
	answer, err := api.ReplayDeadLetters(ctx, request)
	if err != nil || len(answer.GetResults()) != 3 || !answer.GetResults()[2].GetDone() || len(g.letters.replayed) != 4 {
		t.Errorf("again: %v, %v", answer, err)
	}
	// Nothing is appended that could not be noted.
	g.store.goAway()
	_, err = api.ReplayDeadLetters(ctx, request)
	wantCode(t, "the audit is away", err, connect.CodeUnavailable)
	if len(g.letters.replayed) != 4 {
		t.Errorf("%d were replayed", len(g.letters.replayed))
	}
}

func TestDeadLettersAreForAdminsWhoSayWhichAndWhy(t *testing.T) {
	g := newGateway(t)
	_, key, _ := g.advertiser(t)
	id := g.bury(1)
	for name, c := range map[string]struct {
		key, id, note string
		want          connect.Code
	}{
		"an advertiser": {key, id, "why", connect.CodePermissionDenied},
		"nobody":        {"", id, "why", connect.CodeUnauthenticated},
		"no note":       {testAdminKey, id, "", connect.CodeInvalidArgument},
		"no id":         {testAdminKey, "", "why", connect.CodeInvalidArgument},
		"not an id":     {testAdminKey, "x", "why", connect.CodeInvalidArgument},
		"another id":    {testAdminKey, "clicks/1/2/3@0", "why", connect.CodeNotFound},
		"none there":    {testAdminKey, "clicks/1/2/3@99", "why", connect.CodeNotFound},
	} {
		_, err := g.as(c.key).ReplayDeadLetters(t.Context(), &v1.ReplayDeadLettersRequest{Ids: []string{c.id}, Note: c.note})
		wantCode(t, name+" replays", err, c.want)
		_, err = g.as(c.key).DiscardDeadLetters(t.Context(), &v1.DiscardDeadLettersRequest{Ids: []string{c.id}, Note: c.note})
		wantCode(t, name+" discards", err, c.want)
	}
	_, err := g.as(key).ListDeadLetters(t.Context(), &v1.ListDeadLettersRequest{})
	wantCode(t, "an advertiser lists", err, connect.CodePermissionDenied)
	_, err = g.as(key).GetDeadLetter(t.Context(), &v1.GetDeadLetterRequest{Id: id})
	wantCode(t, "an advertiser looks", err, connect.CodePermissionDenied)
	if len(g.letters.replayed)+len(g.store.actions) != 0 {
		t.Errorf("replayed %v, noted %v", g.letters.replayed, g.store.actions)
	}
}

func TestStatusTellsWhileDeadLettersAreOpen(t *testing.T) {
	g := newGateway(t)
	g.store.sealed = time.Now().UTC().Truncate(time.Minute)
	api := g.as(testAdminKey)
	status := func() []*v1.DegradedMode {
		t.Helper()
		got, err := api.GetStatus(t.Context(), &v1.GetStatusRequest{})
		if err != nil || int(got.GetDeadLetters()) != len(g.letters.kept) {
			t.Fatalf("%v, %v", got, err)
		}
		return got.GetDegradedModes()
	}
	if modes := status(); len(modes) != 0 {
		t.Errorf("without letters: %v", modes)
	}
	ids := []string{g.bury(1), g.bury(2)}
	g.bury(2) // a copy
	if modes := status(); len(modes) != 1 || modes[0].GetPart() != "dead" || !strings.Contains(modes[0].GetMessage(), "2 are open") {
		t.Errorf("two open: %v", modes)
	}
	if _, err := api.DiscardDeadLetters(t.Context(), &v1.DiscardDeadLettersRequest{Ids: ids, Note: "known"}); err != nil {
		t.Fatal(err)
	}
	if modes := status(); len(modes) != 0 {
		t.Errorf("all discarded: %v", modes)
	}
	for offset := range int64(lettersScanMax) {
		g.bury(100 + offset)
	}
	g.store.goAway()
	if modes := status(); slices.ContainsFunc(modes, func(m *v1.DegradedMode) bool { return m.GetPart() == "dead" }) {
		t.Errorf("the audit is away: %v", modes)
	}
}
