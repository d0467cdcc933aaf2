package activities_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	vk "github.com/valkey-io/valkey-go"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"clickledger/activities"
	"clickledger/internal/adfile"
	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/contract"
	"clickledger/internal/parquet"
	"clickledger/internal/s3"
	"clickledger/internal/stacktest"
	"clickledger/internal/valkey"
)

// importRig imports into a store, a cache and a bucket of its own, on the real
// servers. Advertisers 7 and 8 exist.
type importRig struct {
	config config.Config
	store  *clickhouse.Store
	lake   *s3.Lake
	cache  *valkey.Cache
	parts  *activities.AdImport
	env    *testsuite.TestActivityEnvironment
}

func newImportRig(t *testing.T) *importRig {
	t.Helper()
	c := stacktest.Config(t)
	if err := clickhouse.Migrate(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	stacktest.Cleanup(t, "database", func(ctx context.Context) error { return clickhouse.DropDatabase(ctx, c) })
	store, err := clickhouse.Open(c)
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
	cache, err := valkey.OpenCache(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cache.Close)
	removeKeys(t, c)
	rules, err := contract.NewAdRules()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []int64{7, 8} {
		if err := store.InsertAdvertiser(t.Context(), click.Advertiser{ID: id, Name: "A"}, 1); err != nil {
			t.Fatal(err)
		}
	}
	rig := &importRig{config: c, store: store, lake: lake, cache: cache}
	rig.parts = &activities.AdImport{Files: &adfile.Files{Objects: lake}, Objects: lake, Store: store, Cache: cache, Check: rules.Check}
	rig.register(rig.parts)
	return rig
}

func (r *importRig) register(parts *activities.AdImport) {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	r.env = suite.NewTestActivityEnvironment()
	r.env.SetTestTimeout(time.Minute)
	r.env.RegisterActivity(parts)
}

func removeKeys(t *testing.T, c config.Config) {
	t.Helper()
	stacktest.Cleanup(t, "cache keys", func(ctx context.Context) error {
		client, err := vk.NewClient(vk.ClientOption{InitAddress: []string{c.ValkeyCacheAddr}, Password: c.ValkeyPassword, DisableCache: true})
		if err != nil {
			return err
		}
		defer client.Close()
		keys, err := client.Do(ctx, client.B().Keys().Pattern(c.KeyPrefix()+"*").Build()).AsStrSlice()
		if err != nil || len(keys) == 0 {
			return err
		}
		return client.Do(ctx, client.B().Del().Key(keys...).Build()).Error()
	})
}

// put puts a file into the bucket.
func (r *importRig) put(t *testing.T, path, content string) {
	t.Helper()
	if err := r.lake.PutRefused(t.Context(), path, []byte(content)); err != nil { // a plain object
		t.Fatal(err)
	}
}

// told is what an import came to, summed over its steps.
type told struct {
	Rows, Created, Updated, Unchanged, Newer, Refused int64
	Reasons                                           map[int64]string // by row
}

// run imports an object as the workflow does; tries is how often a step is tried.
func (r *importRig) run(t *testing.T, object string, dryRun bool, tries int) (told, activities.ImportPlan, error) {
	t.Helper()
	out := told{Reasons: map[int64]string{}}
	plan, err := step(r.env, tries, r.parts.PlanImport, activities.PlanImportInput{Object: object})
	if err != nil {
		return out, plan, err
	}
	plan.DryRun = dryRun
	plan.ID = fmt.Sprintf("%s-%d", plan.ID, rand.Uint64())
	for from, end := (click.AdCursor{}), false; !end; {
		done, err := step(r.env, tries, r.parts.LoadAds, activities.LoadAdsInput{Plan: plan, From: from})
		if err != nil {
			return out, plan, err
		}
		from, end = done.Next, done.End
		out.Rows, out.Refused = out.Rows+done.Rows, out.Refused+done.Refused
		for _, refused := range done.Listed {
			out.Reasons[refused.Row] = refused.Reason
		}
	}
	for after, end := int64(0), false; !end; {
		done, err := step(r.env, tries, r.parts.MergeAds, activities.MergeAdsInput{Plan: plan, After: after})
		if err != nil {
			return out, plan, err
		}
		after, end = done.Through, done.End
		out.Created, out.Updated, out.Unchanged = out.Created+done.Created, out.Updated+done.Updated, out.Unchanged+done.Unchanged
		out.Newer, out.Refused = out.Newer+done.Newer, out.Refused+done.Refused
		for _, refused := range done.Listed {
			out.Reasons[refused.Row] = refused.Reason
		}
	}
	_, err = step(r.env, tries, r.parts.EndImport, activities.EndImportInput{Plan: plan})
	return out, plan, err
}

// step runs an activity until it succeeds, or has been tried so often.
func step[In, Out any](env *testsuite.TestActivityEnvironment, tries int, run func(context.Context, In) (Out, error), in In) (out Out, err error) {
	for range tries {
		value, failed := env.ExecuteActivity(run, in)
		if err = failed; err == nil {
			return out, value.Get(&out)
		}
	}
	return out, err
}

// failure is the type of an activity's error, and whether it is worth a retry.
func failure(err error) (name string, retry bool) {
	var said *temporal.ApplicationError
	if !errors.As(err, &said) {
		return "", true
	}
	return said.Type(), !said.NonRetryable()
}

// catalogue is all ads there are.
func (r *importRig) catalogue(t *testing.T) map[int64]click.Ad {
	t.Helper()
	ads := map[int64]click.Ad{}
	if err := r.store.EachAd(t.Context(), func(ad click.Ad) error { ads[ad.ID] = ad; return nil }); err != nil {
		t.Fatal(err)
	}
	return ads
}

const csvHeader = "ad_id,advertiser_id,name,landing_url,status\n"

func TestAnImportMakesTheCatalogueWhatTheFileSays(t *testing.T) {
	r := newImportRig(t)
	ctx := t.Context()
	old := click.Ad{ID: 2, AdvertiserID: 7, Name: "old", LandingURL: "https://example.com/old", Status: click.AdActive, FanOut: 1, Version: 10}
	same, hot := old, old
	same.ID, same.Name = 3, "same"
	hot.ID = 4
	if err := errors.Join(r.store.InsertAds(ctx, []click.Ad{old, same, hot}),
		r.store.SetFanOuts(ctx, []click.FanOut{{AdID: 4, AdvertiserID: 7, FanOut: click.FanOutHot, Version: 20}})); err != nil {
		t.Fatal(err)
	}
	hot, err := r.store.Ad(ctx, 4)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cache.Put(ctx, old, same, hot); err != nil {
		t.Fatal(err)
	}
	r.put(t, "imports/ads.csv", csvHeader+
		"1,7,new,https://example.com/1,PAUSED\n"+
		"2,7,old,https://example.com/new,\n"+
		"3,7,same,https://example.com/old,ACTIVE\n"+
		"4,7,old,https://example.com/hot,ACTIVE\n"+
		"3,8,thief,https://example.com/,ACTIVE\n"+ // row 5: in row 3 already
		"5,9,nobody's,https://example.com/,ACTIVE\n"+ // row 6
		"6,7,,https://example.com/,ACTIVE\n"+ // row 7: no name
		"7,7,script,javascript:alert(1),ACTIVE\n"+ // row 8
		"-1,7,negative,https://example.com/,ACTIVE\n") // row 9
	looked, _, err := r.run(t, "imports/ads.csv", true, 1)
	if err != nil || looked.Created != 1 || looked.Updated != 2 || looked.Unchanged != 1 || looked.Refused != 5 || len(r.catalogue(t)) != 3 {
		t.Fatalf("a dry run came to %+v, %v", looked, err)
	}
	done, plan, err := r.run(t, "imports/ads.csv", false, 1)
	if err != nil {
		t.Fatal(err)
	}
	if done.Rows != 9 || done.Created != 1 || done.Updated != 2 || done.Unchanged != 1 || done.Newer != 0 || done.Refused != 5 {
		t.Errorf("it came to %+v", done)
	}
	for row, want := range map[int64]string{
		5: "in row 3 already", 6: "no such advertiser", 7: "name", 8: "must begin with http", 9: "ad_id must be from 1",
	} {
		if !strings.Contains(done.Reasons[row], want) {
			t.Errorf("row %d was refused because %q, want %q", row, done.Reasons[row], want)
		}
	}
	changed := old
	changed.LandingURL, changed.Version = "https://example.com/new", plan.Version
	created := click.Ad{ID: 1, AdvertiserID: 7, Name: "new", LandingURL: "https://example.com/1", Status: click.AdPaused, FanOut: 1, Version: plan.Version}
	imported := hot
	imported.LandingURL, imported.Version = "https://example.com/hot", plan.Version
	unspread := imported
	unspread.FanOut, unspread.FanOutVersion = 1, 0
	if want := map[int64]click.Ad{1: created, 2: changed, 3: same, 4: unspread}; !maps.Equal(r.catalogue(t), want) {
		t.Errorf("the catalogue is %+v, want %+v", r.catalogue(t), want)
	}
	for id, want := range map[int64]click.Ad{2: changed, 3: same, 4: imported} { // the hot ad stays spread
		if got, err := r.cache.Get(ctx, id); err != nil || got != want {
			t.Errorf("the cache has %+v, %v, want %+v", got, err, want)
		}
	}
	if _, err := r.cache.Get(ctx, 1); !errors.Is(err, click.ErrNotFound) {
		t.Errorf("a new ad was put into the cache: %v", err)
	}
	if again, _, err := r.run(t, "imports/ads.csv", false, 1); err != nil || again.Unchanged != 4 || again.Created+again.Updated+again.Newer != 0 {
		t.Errorf("the same again came to %+v, %v", again, err)
	}
}

func TestAnImportLeavesWhatWasChangedAfterTheFileWasWritten(t *testing.T) {
	r := newImportRig(t)
	ctx := t.Context()
	r.put(t, "ads.csv", csvHeader+"1,7,a,https://example.com/file,ACTIVE\n2,7,b,https://example.com/file,ACTIVE\n")
	if _, _, err := r.run(t, "ads.csv", false, 1); err != nil {
		t.Fatal(err)
	}
	paused, err := r.store.Ad(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	paused.Status = click.AdPaused
	if paused.Version, err = r.store.NextVersion(ctx); err != nil {
		t.Fatal(err)
	}
	if err := r.store.InsertAds(ctx, []click.Ad{paused}); err != nil {
		t.Fatal(err)
	}
	done, _, err := r.run(t, "ads.csv", false, 1)
	if err != nil || done.Newer != 1 || done.Unchanged != 1 || r.catalogue(t)[1] != paused {
		t.Errorf("the same file again came to %+v, %v; the ad is %+v", done, err, r.catalogue(t)[1])
	}
	r.put(t, "ads.csv", csvHeader+"1,7,a,https://example.com/file,ACTIVE\n") // written anew
	done, _, err = r.run(t, "ads.csv", false, 1)
	if err != nil || done.Updated != 1 || r.catalogue(t)[1].Status != click.AdActive {
		t.Errorf("a newer file came to %+v, %v; the ad is %+v", done, err, r.catalogue(t)[1])
	}
}

func TestAnAdKeepsItsAdvertiserWhateverAFileSays(t *testing.T) {
	r := newImportRig(t)
	r.put(t, "ads.csv", csvHeader+"1,7,a,https://example.com/,ACTIVE\n")
	if _, _, err := r.run(t, "ads.csv", false, 1); err != nil {
		t.Fatal(err)
	}
	r.put(t, "other.csv", csvHeader+"1,8,a,https://example.com/,ACTIVE\n")
	done, _, err := r.run(t, "other.csv", false, 1)
	if err != nil || done.Refused != 1 || !strings.Contains(done.Reasons[1], "another advertiser") || r.catalogue(t)[1].AdvertiserID != 7 {
		t.Errorf("it came to %+v, %v; the ad is %+v", done, err, r.catalogue(t)[1])
	}
}

func TestAnObjectThatIsNoFileOfAdsIsRefusedBeforeAnythingIsRead(t *testing.T) {
	r := newImportRig(t)
	r.put(t, "wrong.csv", "ad,url\n1,https://example.com/\n")
	r.put(t, "wrong.parquet", "no Parquet")
	for object, want := range map[string]string{"gone.csv": "there is no object", "wrong.csv": `a column "ad"`, "wrong.parquet": "Parquet", "gone.parquet": "there is no object"} {
		_, _, err := r.run(t, object, false, 1)
		if name, retry := failure(err); name != activities.ErrorBadInput || retry || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", object, err)
		}
	}
}

func TestAnObjectThatIsReplacedMeanwhileIsNotRead(t *testing.T) {
	r := newImportRig(t)
	r.put(t, "ads.csv", csvHeader+"1,7,a,https://example.com/,ACTIVE\n")
	plan, err := step(r.env, 1, r.parts.PlanImport, activities.PlanImportInput{Object: "ads.csv"})
	if err != nil {
		t.Fatal(err)
	}
	r.put(t, "ads.csv", csvHeader+"1,7,other,https://example.com/,ACTIVE\n")
	_, err = step(r.env, 1, r.parts.LoadAds, activities.LoadAdsInput{Plan: plan})
	if name, retry := failure(err); name != activities.ErrorReplaced || retry {
		t.Errorf("it was read: %v", err)
	}
}

// dying is the store and the cache of workers that die, before or after anything
// they do.
type dying struct {
	*clickhouse.Store
	cache *valkey.Cache
	luck  *rand.Rand
}

var errDied = errors.New("the worker died")

func (d *dying) dies() bool { return d.luck.IntN(3) == 0 }

// do does something, or dies before or after it.
func (d *dying) do(what func() error) error {
	if d.dies() {
		return errDied
	}
	if err := what(); err != nil {
		return err
	}
	if d.dies() {
		return errDied
	}
	return nil
}

func (d *dying) StageAds(ctx context.Context, id string, rows []click.AdRow) error {
	return d.do(func() error { return d.Store.StageAds(ctx, id, rows) })
}

func (d *dying) StoreAds(ctx context.Context, slice click.AdSlice, version uint64) error {
	return d.do(func() error { return d.Store.StoreAds(ctx, slice, version) })
}

func (d *dying) Put(ctx context.Context, ads ...click.Ad) error {
	return d.do(func() error { return d.cache.Put(ctx, ads...) })
}

func (d *dying) Cached(ctx context.Context, ids []int64) ([]int64, error) {
	return d.cache.Cached(ctx, ids)
}

func TestAnImportKilledAtRandomHasTheCatalogueAndTheCacheRight(t *testing.T) {
	r := newImportRig(t)
	seed := rand.Uint64()
	luck := rand.New(rand.NewPCG(seed, 0))
	d := &dying{Store: r.store, cache: r.cache, luck: luck}
	mortal := *r.parts
	mortal.Store, mortal.Cache = d, d
	r.parts = &mortal
	r.register(r.parts)
	var ads []click.Ad
	for i := range 3000 {
		ads = append(ads, click.Ad{ID: luck.Int64N(1<<62) + 1, AdvertiserID: 7, Name: fmt.Sprint("ad ", i), LandingURL: "https://example.com/", Status: click.AdActive, FanOut: 1})
	}
	for round := range 3 {
		for i := range ads {
			if luck.IntN(2) == 0 {
				ads[i].LandingURL = fmt.Sprintf("https://example.com/%d", round)
			}
		}
		luck.Shuffle(len(ads), func(i, j int) { ads[i], ads[j] = ads[j], ads[i] })
		var content bytes.Buffer
		if err := parquet.WriteImport(&content, slices.Values(ads)); err != nil {
			t.Fatal(err)
		}
		object := fmt.Sprintf("imports/%d.parquet", round)
		if _, err := r.lake.PutObject(t.Context(), object, content.Bytes()); err != nil {
			t.Fatal(err)
		}
		done, plan, err := r.run(t, object, false, 200)
		if err != nil || done.Created+done.Updated+done.Unchanged != int64(len(ads)) || done.Refused != 0 {
			t.Fatalf("seed %d, round %d came to %+v, %v", seed, round, done, err)
		}
		stored := r.catalogue(t)
		for _, want := range ads {
			got := stored[want.ID]
			changedNow := got.Version == plan.Version
			want.Version = got.Version
			if got != want {
				t.Fatalf("seed %d, round %d: the store has %+v, not %+v (changed now: %v)", seed, round, got, want, changedNow)
			}
			if cached, err := r.cache.Get(t.Context(), want.ID); err == nil && cached != got {
				t.Fatalf("seed %d, round %d: the cache has %+v, not %+v", seed, round, cached, got)
			} else if err != nil && !errors.Is(err, click.ErrNotFound) {
				t.Fatal(err)
			}
		}
		if len(stored) != len(ads) {
			t.Fatalf("seed %d: there are %d ads", seed, len(stored))
		}
		if err := r.cache.Put(t.Context(), slices.Collect(maps.Values(stored))[:500]...); err != nil { // what the next round must put right
			t.Fatal(err)
		}
	}
}

func TestRefusedRowsAreAllListedInTheBucket(t *testing.T) {
	r := newImportRig(t)
	var content bytes.Buffer
	content.WriteString(csvHeader)
	for i := range 300 {
		fmt.Fprintf(&content, "%d,7,,https://example.com/,ACTIVE\n", i+1)
	}
	r.put(t, "ads.csv", content.String())
	plan, err := step(r.env, 1, r.parts.PlanImport, activities.PlanImportInput{Object: "ads.csv"})
	if err != nil {
		t.Fatal(err)
	}
	done, err := step(r.env, 1, r.parts.LoadAds, activities.LoadAdsInput{Plan: plan})
	if err != nil || done.Refused != 300 || len(done.Listed) >= 100 || !slices.IsSortedFunc(done.Listed, func(a, b click.RefusedRow) int { return cmp.Compare(a.Row, b.Row) }) {
		t.Fatalf("%+v, %v", done, err)
	}
	file, err := r.lake.LookAtAds(t.Context(), plan.RefusedPath("rows-000000001"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := r.lake.ReadAds(t.Context(), file, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	var listed bytes.Buffer
	if _, err := listed.ReadFrom(body); err != nil || strings.Count(listed.String(), "\n") != 301 {
		t.Errorf("the list has %d lines, %v", strings.Count(listed.String(), "\n"), err)
	}
}

func TestASyncPutsEveryAdAsItIsAndLeavesNewerRows(t *testing.T) {
	r := newImportRig(t)
	ctx := t.Context()
	var ads []click.Ad
	for i := range 2500 {
		ads = append(ads, click.Ad{ID: int64(i + 1), AdvertiserID: 7, Name: "a", LandingURL: "https://example.com/", Status: click.AdActive, FanOut: 1, Version: 10})
	}
	newer := ads[4]
	newer.Status, newer.Version = click.AdPaused, 11
	err := errors.Join(r.store.InsertAds(ctx, ads), r.cache.Put(ctx, newer),
		r.store.SetFanOuts(ctx, []click.FanOut{{AdID: 9, AdvertiserID: 7, FanOut: click.FanOutHot, Version: 20}}))
	if err != nil {
		t.Fatal(err)
	}
	sync := &activities.AdSync{Store: r.store, Cache: r.cache}
	r.env.RegisterActivity(sync)
	done, err := step(r.env, 1, sync.SyncAds, activities.SyncAdsInput{})
	if err != nil || done.Full || !done.End || done.Ads != 2500 || done.Through != 2500 {
		t.Fatalf("%+v, %v (is the local cache full?)", done, err)
	}
	ads[8].FanOut, ads[8].FanOutVersion = click.FanOutHot, 20
	ads[4] = newer
	for _, i := range []int{0, 4, 8, 2499} {
		if got, err := r.cache.Get(ctx, ads[i].ID); err != nil || got != ads[i] {
			t.Errorf("the cache has %+v, %v, want %+v", got, err, ads[i])
		}
	}
}
