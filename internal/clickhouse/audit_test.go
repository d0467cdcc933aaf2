package clickhouse_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"clickledger/internal/click"
)

func TestAnAuditEventIsListedAsItIsKnownLast(t *testing.T) {
	store, ctx := catalogueStore(t), t.Context()
	at := time.Date(2026, 11, 25, 10, 5, 0, 123_456_000, time.UTC)
	begun := make([]click.AuditEvent, 5)
	for i := range begun {
		begun[i] = click.AuditEvent{
			ID: int64(i + 1), At: at.Add(time.Duration(i) * time.Second), Method: "CatalogService/CreateApiKey", KeyID: int64(i % 2),
			Role: click.RoleAdmin, Detail: "PUBLISHER, name \"it's\"",
		}
	}
	begun[4].At = begun[3].At // two at once are told apart by their ids
	known := slices.Clone(begun)
	for i := range known[:4] { // the last was cut short
		known[i].EndedAt, known[i].Subject, known[i].Code = known[i].At.Add(time.Millisecond), fmt.Sprint("key ", i), "ok"
	}
	known[1].Code, known[1].Message, known[1].Subject = "not_found", "there is no such advertiser", ""
	for i := range begun {
		for _, e := range []click.AuditEvent{begun[i], known[i], known[i]} { // the same again is one
			if err := store.AddAuditEvent(ctx, e); err != nil {
				t.Fatal(err)
			}
		}
	}
	key := int64(1)
	for name, c := range map[string]struct {
		q    click.AuditQuery
		want []int
	}{
		"all, the newest first": {click.AuditQuery{}, []int{5, 4, 3, 2, 1}},
		"a page":                {click.AuditQuery{Limit: 2}, []int{5, 4}},
		"behind it":             {click.AuditQuery{Limit: 2, After: &click.AuditKey{At: begun[3].At, ID: 4}}, []int{3, 2}},
		"behind one of two":     {click.AuditQuery{After: &click.AuditKey{At: begun[4].At, ID: 5}}, []int{4, 3, 2, 1}},
		"half-open":             {click.AuditQuery{From: begun[1].At, To: begun[3].At}, []int{3, 2}},
		"of a key":              {click.AuditQuery{KeyID: &key}, []int{4, 2}},
		"of a method":           {click.AuditQuery{Method: "CatalogService/UpdateAd"}, nil},
		"on a subject":          {click.AuditQuery{Subject: "key 2"}, []int{3}},
	} {
		if c.q.Limit == 0 {
			c.q.Limit = 100
		}
		got, err := store.AuditEvents(ctx, c.q)
		if err != nil {
			t.Fatal(err)
		}
		var want []click.AuditEvent
		for _, id := range c.want {
			want = append(want, known[id-1])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	rows := all(t, store.EachAuditEvent)
	if len(rows) != 9 {
		t.Errorf("%d rows are exported, want 9", len(rows))
	}
	restored := catalogueStore(t)
	if err := restored.InsertAuditEvents(ctx, rows); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(known)
	if got, err := restored.AuditEvents(ctx, click.AuditQuery{Limit: 100}); err != nil || !slices.Equal(got, known) {
		t.Errorf("restored: %+v, %v", got, err)
	}
}
