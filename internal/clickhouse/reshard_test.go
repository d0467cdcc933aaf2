package clickhouse

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
	"clickledger/internal/stacktest/shards"
)

// A store of one shard becomes one of two. The first try dies between the copy
// of a day and its deletion; what is told is the same before and after, and what
// comes later is flushed on the new shards.
func TestAShardIsAddedAndEveryFigureStays(t *testing.T) {
	s := newShardedLedger(t, shards.Start(t, 2, 1), 1)
	before := s.config
	want := map[int64][]string{}
	for _, advertiser := range []int64{onHome, onOther} {
		told, err := s.told(t.Context(), advertiser)
		s.must(err)
		want[advertiser] = told
	}

	s.shards.Spread(t, 2)
	if err := Migrate(t.Context(), before); err == nil || !strings.Contains(err.Error(), "2 shards, the settings name 1") {
		t.Errorf("a shard that the settings do not name: %v", err)
	}
	grown := before
	grown.ClickHouseAddrs = s.shards.Addrs()
	s.copyWithoutDeleting(t, grown.ClickHouseAddrs)
	var doing []string
	s.must(MigrateTelling(t.Context(), grown, func(what string) { doing = append(doing, what) }))
	for _, table := range []string{"clicks", "clicks_filtered", "restatements", "clicks_per_minute", "clicks_per_hour", "clicks_per_day"} {
		if !strings.Contains(strings.Join(doing, "\n"), "moves rows of "+table+" from shard 1 of 2") {
			t.Errorf("nothing of %s was moved: %q", table, doing)
		}
	}

	old := s.Store
	store, err := Open(grown)
	s.must(err)
	t.Cleanup(func() { _ = store.Close() })
	s.Store = store
	t.Run("each advertiser is on one shard, whole", s.areApart)
	for advertiser, want := range want {
		for name, store := range map[string]*Store{"a program that knows both": store, "one that was not restarted": old} {
			s.Store = store
			if told, err := s.told(t.Context(), advertiser); err != nil || !reflect.DeepEqual(told, want) {
				t.Errorf("of advertiser %d is told by %s\n%q, was\n%q: %v", advertiser, name, told, want, err)
			}
		}
	}
	s.Store = store
	due, err := s.DirtyWindows(t.Context(), s.start, s.fresh, 10)
	if err != nil || len(due) > 0 {
		t.Errorf("minutes became dirty by being moved: %v, %v", due, err)
	}
	s.clickBoth(s.past[1], 300)
	if restated := s.flush(s.snapshot(s.past[1], 400, 400)); restated != 4 {
		t.Errorf("a late click restated %d figures, want 4", restated)
	}
	s.expect("figures", s.figures(s.past[1]), "7/0=3", "7/70=3", "9/0=3", "9/90=3")

	doing = nil
	s.must(MigrateTelling(t.Context(), grown, func(what string) { doing = append(doing, what) }))
	if len(doing) > 0 {
		t.Errorf("a second setup does %q", doing)
	}
	s.shards.Spread(t, 1)
	if err := Migrate(t.Context(), before); err == nil || !strings.Contains(err.Error(), "shards can be added, not taken away") {
		t.Errorf("a shard that was taken away: %v", err)
	}
}

// From two shards on, the tables in front follow the servers' own configuration,
// so they are taken away before that changes.
func TestAThirdShardIsAddedAndEveryFigureStays(t *testing.T) {
	s := newShardedLedger(t, shards.Start(t, 3, 2), 2)
	want := map[int64][]string{}
	for _, advertiser := range []int64{onHome, onOther} {
		told, err := s.told(t.Context(), advertiser)
		s.must(err)
		want[advertiser] = told
	}
	tables, err := shardedTables()
	s.must(err)
	for _, table := range tables {
		onEachShard(t, s.config, "DROP TABLE "+table.name)
	}
	s.shards.Spread(t, 3)
	if _, err := s.told(t.Context(), onHome); !allUnavailable(err) {
		t.Errorf("before setup is told: %v", err)
	}
	grown := s.config
	grown.ClickHouseAddrs = s.shards.Addrs()
	s.must(Migrate(t.Context(), grown))
	for advertiser, want := range want {
		if told, err := s.told(t.Context(), advertiser); err != nil || !reflect.DeepEqual(told, want) {
			t.Errorf("of advertiser %d is told\n%q, was\n%q: %v", advertiser, told, want, err)
		}
	}
	rows := s.strings("SELECT concat(toString(_shard_num), ' ', toString(advertiser_id)) FROM clicks GROUP BY _shard_num, advertiser_id ORDER BY _shard_num")
	s.expect("shards and advertisers", rows, "2 9", "3 7")
}

// copyWithoutDeleting leaves what a setup leaves that died right behind a copy.
func (s shardedLedger) copyWithoutDeleting(t *testing.T, addrs []string) {
	t.Helper()
	for i, addr := range addrs {
		c := s.config
		c.ClickHouseAddrs = []string{addr}
		db := ch.OpenDB(options(c, c.Database()))
		s.must(migrateShard(t.Context(), c, db))
		if i > 0 {
			do(t, db, `INSERT INTO clicks_local SELECT * FROM remote('`+addrs[0]+`', currentDatabase(), 'clicks_local', '`+c.ClickHouseUser+`', '`+c.ClickHousePassword+`')
				WHERE advertiser_id = 9`)
			do(t, db, `INSERT INTO clicks_per_minute_local SELECT * FROM remote('`+addrs[0]+`', currentDatabase(), 'clicks_per_minute_local', '`+c.ClickHouseUser+`', '`+c.ClickHousePassword+`')
				WHERE advertiser_id = 9`)
		} else {
			do(t, db, "DROP TABLE clicks SYNC")
			if err := s.CheckClicks(t.Context()); err == nil {
				t.Error("with its tables away a store says that it is there")
			}
		}
		s.must(db.Close())
	}
	if _, err := s.FreshFigures(t.Context(), ReportQuery{AdvertiserID: onHome, From: s.fresh.Start(), To: s.fresh.End(), RowsMax: 1}); !errors.Is(err, click.ErrUnavailable) {
		t.Errorf("while rows are moved a report is told: %v", err)
	}
}
