package clickhouse

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"clickledger/internal/click"
	"clickledger/internal/config"
	"clickledger/internal/parquet"
	"clickledger/internal/s3"
	"clickledger/internal/stacktest"
)

// What counts is decided here once more, click by click and in plain Go, from
// the whole stream: by that a store that somebody damaged is judged after its
// repair from the lake.

const (
	oracleValidity = 24 * time.Hour
	// oracleCases are a minute; LAKE_CASES asks for more.
	oracleCases = 12
)

// lakeRig is a ledger with a lake beside it.
type lakeRig struct {
	ledger
	config config.Config
	lake   *s3.Lake
}

func newLakeRig(t *testing.T) lakeRig {
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
	lake, err := s3.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	stacktest.Cleanup(t, "bucket", lake.Drop)
	if _, err := lake.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := lakeRig{ledger{store, t, click.WindowOf(time.Now().Add(-72 * time.Hour))}, c, lake}
	r.begin()
	return r
}

// stream is a made-up stream and what became of it.
type stream struct {
	random     *rand.Rand
	hour       click.Window
	partitions int32 // at its end
	before     int32 // until raised, if that is not zero
	raised     time.Time
	records    [][]click.Appended // by partition, in order
	first      click.Offsets      // of each partition
	holes      []click.Hole
	archivedAt time.Time // everything appended before it is in the lake
	tailAt     time.Time // and everything before this in its tail; zero: there is none
	committed  click.Offsets
}

func (s *stream) chance(p float64) bool { return s.random.Float64() < p }

// between is a time, in milliseconds.
func (s *stream) between(from, to time.Time) time.Time {
	return from.Add(time.Duration(s.random.Int64N(max(to.Sub(from).Milliseconds(), 1))) * time.Millisecond)
}

// newStream makes up a day around an hour: impressions issued long before, just
// before and in it, clicked several times, also in other hours; gateways that
// drain their journals hours later, so that a click with a lower offset has a
// later minute; letters that were replayed.
func newStream(seed uint64) *stream {
	s := &stream{random: rand.New(rand.NewPCG(seed, 7)), hour: click.HourOf(time.Now().Add(-12 * time.Hour)), partitions: 3, before: 3}
	start, end := s.hour.Start(), click.HourEnd(s.hour).Start()
	if s.chance(0.2) {
		s.before, s.raised = 2, s.between(start.Add(-5*time.Hour), end.Add(2*time.Hour))
	}
	s.archivedAt = click.ArchiveWindowOf(s.between(end.Add(5*time.Minute), end.Add(7*time.Hour))).Start().Add(click.ArchiveLength)
	if s.chance(0.3) {
		s.tailAt = s.between(s.archivedAt, s.archivedAt.Add(2*time.Hour))
	}
	var clicks []click.Appended
	for n := range 20 + s.random.IntN(60) {
		issued := s.between(start, end)
		switch {
		case s.chance(0.2):
			issued = s.between(start.Add(-23*time.Hour), start)
		case s.chance(0.2):
			issued = s.between(start.Add(-3*time.Hour), start.Add(time.Minute))
		}
		var seed [32]byte
		seed[0], seed[1], seed[2] = byte(n), byte(s.random.Uint32()), byte(s.random.Uint32())
		id, _ := click.NewImpressionID(issued, rand.NewChaCha8(seed))
		advertiser := 7 + s.random.Int64N(3)
		c := click.Click{AdvertiserID: advertiser, AdID: advertiser*10 + s.random.Int64N(3), Impression: id}
		for range 1 + s.random.IntN(4) {
			c.ClickedAt = s.between(issued, issued.Add(2*time.Minute))
			switch {
			case s.chance(0.3):
				c.ClickedAt = s.between(issued, issued.Add(oracleValidity))
			case s.chance(0.4):
				c.ClickedAt = s.between(later(issued, start.Add(-time.Minute)), end.Add(time.Minute))
			}
			c.Arrival = click.NewArrivalID(s.random.Uint64(), s.random.Uint64())
			appended := c.ClickedAt.Add(time.Duration(s.random.IntN(300)) * time.Millisecond)
			if s.chance(0.2) {
				appended = s.between(appended, appended.Add(6*time.Hour))
			}
			clicks = append(clicks, click.Appended{Placed: click.Placed{Click: c}, AppendedAt: appended})
			if s.chance(0.1) { // a copy: from a journal, or a letter that was replayed
				clicks = append(clicks, click.Appended{Placed: click.Placed{Click: c}, AppendedAt: s.between(appended, appended.Add(3*time.Hour))})
			}
		}
	}
	s.append(clicks)
	s.commit(end)
	s.lose()
	return s
}

// append gives the clicks their places.
func (s *stream) append(clicks []click.Appended) {
	slices.SortStableFunc(clicks, func(a, b click.Appended) int { return a.AppendedAt.Compare(b.AppendedAt) })
	s.records, s.first = make([][]click.Appended, s.partitions), make(click.Offsets, s.partitions)
	next := make(click.Offsets, s.partitions)
	for p := range next {
		if s.chance(0.5) {
			s.first[p] = s.random.Int64N(1000)
		}
		next[p] = s.first[p]
	}
	for _, c := range clicks {
		partitions := s.before
		if !s.raised.IsZero() && !c.AppendedAt.Before(s.raised) {
			partitions = s.partitions
		}
		c.Partition = click.Partition(c.AdID, c.Impression, click.FanOutHot, partitions)
		next[c.Partition] += s.random.Int64N(2) // an offset that holds no record
		c.Offset = next[c.Partition]
		next[c.Partition]++
		s.records[c.Partition] = append(s.records[c.Partition], c)
	}
}

// bound is the first offset of a partition appended at a time or later.
func (s *stream) bound(partition int32, at time.Time) int64 {
	next := s.first[partition]
	for _, c := range s.records[partition] {
		if !c.AppendedAt.Before(at) {
			break
		}
		next = c.Offset + 1
	}
	return next
}

// commit decides how far the ingester is: at least beyond the hour.
func (s *stream) commit(end time.Time) {
	at := s.archivedAt
	if s.chance(0.5) {
		at = s.between(end.Add(10*time.Second), s.archivedAt.Add(4*time.Hour))
	}
	for p := range s.partitions {
		s.committed = append(s.committed, s.bound(p, at))
	}
}

// lose drops some offsets before they are archived.
func (s *stream) lose() {
	if !s.chance(0.3) {
		return
	}
	p := s.random.Int32N(s.partitions)
	if n := len(s.records[p]); n > 10 {
		first := s.random.IntN(n - 5)
		span := click.OffsetSpan{First: s.records[p][first].Offset, Next: s.records[p][first+1+s.random.IntN(4)].Offset + 1}
		// The lake tells of a hole by the window behind it.
		if span.Next <= s.bound(p, s.archivedAt) && span.First > s.first[p] {
			s.holes = append(s.holes, click.Hole{Partition: p, OffsetSpan: span})
		}
	}
}

func (s *stream) lost(p click.Position) bool {
	return slices.ContainsFunc(s.holes, func(h click.Hole) bool {
		return h.Partition == p.Partition && h.First <= p.Offset && p.Offset < h.Next
	})
}

// archive writes the lake: every five minutes' objects, as the archive does.
func (r lakeRig) archive(s *stream) click.Lake {
	lake := click.Lake{Begins: true}
	next := slices.Clone(s.first)
	for w := click.ArchiveWindowOf(s.hour.Start().Add(-26 * time.Hour)); w.Start().Before(s.archivedAt); w = click.NextArchive(w) {
		m := click.Manifest{Version: click.ManifestVersion, TopicID: "topic", Window: w, End: click.ArchiveEnd(w)}
		partitions := s.before
		if !s.raised.IsZero() && s.raised.Before(m.End) {
			partitions = s.partitions
		}
		for p := range partitions {
			one := click.ArchivedRange{PartitionRange: click.PartitionRange{Partition: p, OffsetSpan: click.OffsetSpan{First: next[p], Next: max(s.bound(p, m.End), next[p])}}}
			for i, hole := range s.holes {
				if hole.Partition == p && hole.First >= one.First && hole.First < one.Next || hole.Partition == p && one.First < hole.Next && one.First >= hole.First {
					lost := click.OffsetSpan{First: one.First, Next: hole.Next} // from where the window would have gone on
					s.holes[i].First = min(hole.First, lost.First)
					one.Lost, one.First, one.Next = &lost, hole.Next, max(one.Next, hole.Next)
				}
			}
			next[p] = one.Next
			one.Objects = r.write(fmt.Sprintf("clicks/%s/", w), p, one.OffsetSpan, s)
			m.Ranges = append(m.Ranges, one)
		}
		lake.Manifests = append(lake.Manifests, m)
	}
	if s.tailAt.IsZero() {
		return lake
	}
	lake.Tail = &click.LakeTail{TopicID: "topic"}
	for p := range s.partitions {
		span := click.OffsetSpan{First: max(next[p]-int64(s.random.IntN(5)), s.first[p]), Next: s.bound(p, s.tailAt)} // the archive went on meanwhile
		span.Next = max(span.First, span.Next)
		lake.Tail.First, lake.Tail.Next = append(lake.Tail.First, span.First), append(lake.Tail.Next, span.Next)
		lake.Tail.Objects = append(lake.Tail.Objects, r.write("tail/", p, span, s)...)
	}
	return lake
}

// write makes the object of a span, unless it has no click.
func (r lakeRig) write(folder string, partition int32, span click.OffsetSpan, s *stream) []click.LakeObject {
	r.t.Helper()
	var clicks []click.Appended
	for _, c := range s.records[partition] {
		if span.First <= c.Offset && c.Offset < span.Next && !s.lost(c.Position) {
			clicks = append(clicks, c)
		}
	}
	if len(clicks) == 0 {
		return nil
	}
	return []click.LakeObject{r.object(folder, partition, span, clicks)}
}

func (r lakeRig) object(folder string, partition int32, span click.OffsetSpan, clicks []click.Appended) click.LakeObject {
	r.t.Helper()
	o := click.LakeObject{
		Path: fmt.Sprintf("%sclicks-%d-%d-%d.parquet", folder, partition, span.First, span.Next-1), OffsetSpan: span, Rows: int64(len(clicks)),
		ClickedMin: clicks[0].ClickedAt, ClickedMax: clicks[0].ClickedAt, AppendedMin: clicks[0].AppendedAt, AppendedMax: clicks[0].AppendedAt,
	}
	for _, c := range clicks {
		o.ClickedMin, o.ClickedMax = earlier(o.ClickedMin, c.ClickedAt), later(o.ClickedMax, c.ClickedAt)
		o.AppendedMin, o.AppendedMax = earlier(o.AppendedMin, c.AppendedAt), later(o.AppendedMax, c.AppendedAt)
	}
	file, err := parquet.EncodeClicks(clicks)
	r.must(err)
	o.Bytes = int64(len(file))
	_, err = r.lake.PutObject(r.t.Context(), o.Path, file)
	r.must(err)
	return o
}

// key is where a click counts.
type key struct {
	minute         time.Time
	advertiser, ad int64
	impression     click.ImpressionID
}

func keyOf(c click.Placed) key {
	return key{click.WindowOf(c.ClickedAt).Start(), c.AdvertiserID, c.AdID, c.Impression}
}

// counted is the stream as the ingester stored it: of each impression the first.
func (s *stream) counted() []click.Placed {
	var all []click.Appended
	for p, records := range s.records {
		for _, c := range records {
			if c.Offset < s.committed[p] {
				all = append(all, c)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b click.Appended) int {
		if a.Partition == b.Partition {
			return cmp.Compare(a.Offset, b.Offset)
		}
		return cmp.Or(a.AppendedAt.Compare(b.AppendedAt), cmp.Compare(a.Partition, b.Partition))
	})
	seen := map[click.ImpressionID]bool{}
	var counted []click.Placed
	for _, c := range all {
		if !seen[c.Impression] {
			seen[c.Impression] = true
			counted = append(counted, c.Placed)
		}
	}
	return counted
}

// stored are the keys of the hour as the store has them.
func (r lakeRig) stored(hour click.Window) map[key]bool {
	r.t.Helper()
	rows, err := r.conn.Query(r.t.Context(), "SELECT minute, advertiser_id, ad_id, impression_id FROM clicks FINAL WHERE minute >= ? AND minute < ?",
		hour.Start(), click.HourEnd(hour).Start())
	r.must(err)
	defer func() { _ = rows.Close() }()
	found := map[key]bool{}
	for rows.Next() {
		var k key
		var id uuid.UUID
		r.must(rows.Scan(&k.minute, &k.advertiser, &k.ad, &id))
		k.minute, k.impression = k.minute.UTC(), click.ImpressionID(id)
		found[k] = true
	}
	r.must(rows.Err())
	return found
}

// damage does to the stored clicks of judged offsets what nobody should: it
// deletes, doubles and alters. It returns what the store holds afterwards.
func (s *stream) damage(clicks []click.Placed, archived click.Offsets) []click.Placed {
	var left []click.Placed
	for _, c := range clicks {
		known := c.Offset < archived[c.Partition] && !s.lost(c.Position) && c.Offset >= s.first[c.Partition]
		if !known || s.chance(0.7) {
			left = append(left, c)
			continue
		}
		other := c
		switch s.random.IntN(5) {
		case 0: // deleted
			continue
		case 1: // doubled in another minute, perhaps of another hour
			other.ClickedAt = s.between(c.ClickedAt.Add(-time.Hour), c.ClickedAt.Add(time.Hour))
			left = append(left, c, other)
			continue
		case 2: // doubled for another ad
			other.AdID++
			left = append(left, c, other)
			continue
		case 3: // altered
			other.AdvertiserID++
		case 4: // a click of nothing
			other.Impression[3] ^= 0x55
			left = append(left, c)
		}
		left = append(left, other)
	}
	return left
}

func (r lakeRig) begin() {
	r.t.Helper()
	_, err := r.StartLedger(r.t.Context(), r.start)
	r.must(err)
}

func (r lakeRig) empty() {
	r.t.Helper()
	for _, table := range []string{"clicks_local", "clicks_progress_local", "clicks_per_minute_local", "restatements_local", "windows_local", "discrepancies_local"} {
		onEachShard(r.t, r.config, "TRUNCATE TABLE "+table)
	}
	r.begin()
}

// snapshotOf is what FixLake would say.
func (r lakeRig) snapshotOf(lake click.Lake, hour click.Window, committed click.Offsets) (click.LakeSnapshot, click.LakePlan) {
	r.t.Helper()
	r.must(lake.Check())
	snapshot := click.LakeSnapshot{From: hour, To: click.HourEnd(hour), TopicID: "topic", Tail: lake.Tail}
	for p, next := range lake.Archived() {
		snapshot.Archived = append(snapshot.Archived, min(next, committed[p]))
	}
	var err error
	snapshot.Version, err = r.NextVersion(r.t.Context())
	r.must(err)
	return snapshot, lake.Plan(hour, click.HourEnd(hour), oracleValidity)
}

func quiet(string) {}

func (r lakeRig) compare(snapshot click.LakeSnapshot, plan click.LakePlan) click.Comparison {
	r.t.Helper()
	c, err := r.CompareLake(r.t.Context(), snapshot, plan, "run", 1, quiet)
	r.must(err)
	return c
}

// differences of two sets of clicks.
func lacking(a, b map[key]bool) (n uint64) {
	for k := range a {
		if !b[k] {
			n++
		}
	}
	return n
}

func TestARepairFromTheLakeRestoresWhatTheStreamCounts(t *testing.T) {
	first, cases := uint64(time.Now().UnixNano()), oracleCases
	if given, err := strconv.ParseUint(os.Getenv("LAKE_SEED"), 10, 64); err == nil {
		first, cases = given, 1
	}
	if given, err := strconv.Atoi(os.Getenv("LAKE_CASES")); err == nil {
		cases = given
	}
	r := newLakeRig(t)
	for i := range cases {
		seed := first + uint64(i)
		if !r.oracleCase(seed) {
			t.Fatalf("LAKE_SEED=%d plays this again", seed)
		}
	}
}

// oracleCase reports whether a made-up stream's hour is what it should be after
// its repair, whatever was done to the store before.
func (r lakeRig) oracleCase(seed uint64) bool {
	r.t.Helper()
	r.empty()
	s := newStream(seed)
	r.sliceClicks = int64(10 + s.random.IntN(200))
	lake := r.archive(s)
	snapshot, plan := r.snapshotOf(lake, s.hour, s.committed)
	truth := map[key]bool{}
	counted := s.counted()
	for _, c := range counted {
		if w := click.WindowOf(c.ClickedAt); !w.Before(snapshot.From) && w.Before(snapshot.To) {
			truth[keyOf(c)] = true
		}
	}
	wiped := s.chance(0.15)
	if wiped { // all but what the lake cannot know is gone
		counted = slices.DeleteFunc(counted, func(c click.Placed) bool {
			return int(c.Partition) < len(snapshot.Archived) && c.Offset < snapshot.Archived[c.Partition] && !s.lost(c.Position) && c.Offset >= s.first[c.Partition]
		})
	} else if len(snapshot.Archived) == int(s.partitions) {
		counted = s.damage(counted, snapshot.Archived)
	}
	r.must(r.InsertClicks(r.t.Context(), counted))
	before := r.stored(s.hour)
	c := r.compare(snapshot, plan)
	ok := true
	fail := func(format string, args ...any) {
		r.t.Helper()
		r.t.Errorf(format, args...)
		ok = false
	}
	if missing, surplus := lacking(truth, before), lacking(before, truth); c.Missing != missing || c.Surplus != surplus || c.Store != uint64(len(before)) {
		fail("found %d missing, %d surplus, %d stored; really %d, %d, %d", c.Missing, c.Surplus, c.Store, missing, surplus, len(before))
	}
	repair := func() (inserted, deleted uint64) {
		inserted, deleted, err := r.RepairClicks(r.t.Context(), snapshot, plan, quiet)
		r.must(err)
		return inserted, deleted
	}
	if wiped {
		repair = func() (inserted, deleted uint64) {
			brought, err := r.BringBack(r.t.Context(), snapshot, plan, "run", quiet)
			r.must(err)
			if brought.Missing != c.Missing || brought.Lake != brought.Missing {
				fail("brought back %d clicks of %d", brought.Missing, c.Missing)
			}
			return brought.Missing, 0
		}
	}
	inserted, deleted := repair()
	if !wiped && (inserted != c.Missing || deleted != c.Surplus) {
		fail("inserted %d and deleted %d of %d and %d", inserted, deleted, c.Missing, c.Surplus)
	}
	if after := r.stored(s.hour); lacking(truth, after)+lacking(after, truth) > 0 {
		fail("after the repair %d clicks lack and %d are too much", lacking(truth, after), lacking(after, truth))
		s.explain(r.t, truth, after)
	}
	if again := r.compare(snapshot, plan); !again.Agrees() || again.Store != uint64(len(truth)) {
		fail("after the repair it is %+v", again)
	}
	if inserted, deleted, err := r.RepairClicks(r.t.Context(), snapshot, plan, quiet); err != nil || inserted+deleted > 0 {
		fail("a second repair inserted %d and deleted %d: %v", inserted, deleted, err)
	}
	return ok
}

// explain shows what the stream holds of the impressions that are wrong.
func (s *stream) explain(t *testing.T, truth, after map[key]bool) {
	t.Helper()
	t.Logf("archived up to %s, tail up to %s, committed %v, holes %v, raised %s", s.archivedAt, s.tailAt, s.committed, s.holes, s.raised)
	for k := range after {
		if !truth[k] {
			t.Logf("too much: %s %d/%d of %s", k.minute, k.advertiser, k.ad, k.impression)
		}
	}
	for k := range truth {
		if after[k] {
			continue
		}
		t.Logf("lacks %s %d/%d of %s", k.minute, k.advertiser, k.ad, k.impression)
		for _, records := range s.records {
			for _, c := range records {
				if c.Impression == k.impression {
					t.Logf("  %d/%d at %s, appended %s", c.Partition, c.Offset, c.ClickedAt, c.AppendedAt)
				}
			}
		}
	}
}
