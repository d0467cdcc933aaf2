package clickhouse

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
	"clickledger/internal/config"
	"clickledger/internal/stacktest"
)

// clickStore is a migrated, empty store of its own on the real server.
func clickStore(t *testing.T) (*Store, config.Config) {
	t.Helper()
	c := stacktest.Config(t)
	if err := Migrate(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	stacktest.Cleanup(t, "database", func(ctx context.Context) error { return DropDatabase(ctx, c) })
	store, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store, c
}

// onEachShard has every shard's server do what no program would.
func onEachShard(t *testing.T, c config.Config, query string) {
	t.Helper()
	for _, addr := range c.ClickHouseAddrs {
		shard := c
		shard.ClickHouseAddrs = []string{addr}
		conn, err := connect(shard, c.Database())
		if err == nil {
			err = errors.Join(conn.Exec(t.Context(), query), conn.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// placedClick is a click at offset whose impression was issued and clicked then.
func placedClick(t *testing.T, issued, clicked time.Time, offset int64) click.Placed {
	t.Helper()
	id, err := click.NewImpressionID(issued, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return click.Placed{
		Click: click.Click{
			AdID: 11, AdvertiserID: 7, Impression: id,
			ClickedAt: clicked.UTC().Truncate(time.Millisecond), Arrival: click.NewArrivalID(3, uint64(offset)),
		},
		Position: click.Position{Partition: 2, Offset: offset},
	}
}

func TestClicksAreStoredInTheirOwnMinutes(t *testing.T) {
	store, _ := clickStore(t)
	now := time.Now()
	clicks := []click.Placed{placedClick(t, now, now, 1), placedClick(t, now, now.Add(-20*24*time.Hour), 2)}
	for range 2 { // a repeated batch changes nothing
		if err := store.InsertClicks(t.Context(), clicks); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range clicks {
		var got click.Placed
		var minute time.Time
		var arrival, impression string
		err := store.conn.QueryRow(t.Context(), `SELECT minute, advertiser_id, ad_id, toString(impression_id), clicked_at,
			toString(arrival_id), partition, offset FROM clicks FINAL WHERE offset = ?`, want.Offset).
			Scan(&minute, &got.AdvertiserID, &got.AdID, &impression, &got.ClickedAt, &arrival, &got.Partition, &got.Offset)
		if err != nil {
			t.Fatal(err)
		}
		got.Impression, got.Arrival, got.ClickedAt = want.Impression, want.Arrival, got.ClickedAt.UTC()
		if got != want || impression != want.Impression.String() || arrival != want.Arrival.String() {
			t.Errorf("stored %+v, want %+v", got, want)
		}
		if !minute.Equal(click.WindowOf(want.ClickedAt).Start()) {
			t.Errorf("stored in minute %v, clicked at %v", minute, want.ClickedAt)
		}
	}
	if rows := countClicks(t, store); rows != 2 {
		t.Errorf("%d clicks counted, want 2", rows)
	}
}

func countClicks(t *testing.T, store *Store) uint64 {
	t.Helper()
	var rows uint64
	if err := store.conn.QueryRow(t.Context(), "SELECT count() FROM clicks FINAL").Scan(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestDataTheServerRefusesIsRejected(t *testing.T) {
	store, c := clickStore(t)
	onEachShard(t, c, "ALTER TABLE clicks_local ADD CONSTRAINT no_ad_13 CHECK ad_id != 13")
	for advertiser := range int64(4) { // of two shards each has some
		bad := placedClick(t, time.Now(), time.Now(), 1)
		bad.AdID, bad.AdvertiserID = 13, advertiser
		if err := store.InsertClicks(t.Context(), []click.Placed{bad}); !errors.Is(err, click.ErrRejected) {
			t.Errorf("got %v, want %v", err, click.ErrRejected)
		}
	}
}

func TestAnOutageIsNotTheDatasFault(t *testing.T) {
	for name, err := range map[string]error{
		"cut connection":   errors.New("read: connection reset by peer"),
		"too many parts":   &ch.Exception{Code: 252},
		"memory limit":     &ch.Exception{Code: 241},
		"unknown table":    &ch.Exception{Code: 60},
		"read-only table":  &ch.Exception{Code: 242},
		"wrong password":   &ch.Exception{Code: 516},
		"disk full":        &ch.Exception{Code: 243},
		"unknown to us":    &ch.Exception{Code: 99999},
		"context deadline": context.DeadlineExceeded,
	} {
		if errors.Is(insertError(err), click.ErrRejected) {
			t.Errorf("%s was taken for bad data", name)
		}
	}
}

func TestForgottenImpressionsAreFoundInTheStore(t *testing.T) {
	const validity = 24 * time.Hour
	store, _ := clickStore(t)
	issued := time.Now().Add(-40 * time.Hour)
	const asked, known = 50_000, 40_000 // a whole batch, after a very long outage
	clicks := make([]click.Placed, asked)
	for i := range clicks {
		at := issued.Add(time.Duration(i) * 100 * time.Millisecond)
		clicks[i] = placedClick(t, at, at.Add(20*time.Hour), int64(i))
	}
	if err := store.InsertClicks(t.Context(), clicks[:known]); err != nil {
		t.Fatal(err)
	}
	// The copy that is asked about was clicked later than the stored one.
	for i := range clicks {
		clicks[i].ClickedAt = clicks[i].ClickedAt.Add(3 * time.Hour)
	}
	stored, err := store.StoredAmong(t.Context(), clicks, validity)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range stored {
		if want := i < known; got != want {
			t.Fatalf("impression %d: stored %v, want %v", i, got, want)
		}
	}
}

func TestStreamedImpressionsBeginWithTheAskedIssueTime(t *testing.T) {
	store, _ := clickStore(t)
	since := time.Now().Add(-30 * time.Hour).Truncate(time.Second)
	wanted := placedClick(t, since, since.Add(time.Minute), 1)
	older := placedClick(t, since.Add(-time.Second), since.Add(time.Minute), 2)
	if err := store.InsertClicks(t.Context(), []click.Placed{wanted, older}); err != nil {
		t.Fatal(err)
	}
	var got []click.ImpressionID
	err := store.StreamImpressions(t.Context(), since, func(ids []click.ImpressionID) error {
		got = append(got, ids...)
		return nil
	})
	if err != nil || len(got) != 1 || got[0] != wanted.Impression {
		t.Errorf("streamed %v, want %v: %v", got, wanted.Impression, err)
	}
	stop := errors.New("stop")
	if err := store.StreamImpressions(t.Context(), since, func([]click.ImpressionID) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the caller's error came back as %v", err)
	}
}
