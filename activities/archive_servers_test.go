package activities_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	clickhousego "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"google.golang.org/protobuf/proto"

	"clickledger/activities"
	"clickledger/internal/click"
	"clickledger/internal/config"
	"clickledger/internal/kafka"
	"clickledger/internal/lake"
	"clickledger/internal/parquet"
	"clickledger/internal/s3"
	"clickledger/internal/stacktest"
	recordv1 "clickledger/proto/gen/clickledger/record/v1"
)

const archivePartitions = 3

// archiveStart is when the test's stream begins, in the middle of a window.
func archiveStart() time.Time { return time.Date(2026, 11, 23, 10, 7, 0, 0, time.UTC) }

// archiveRig is a stream that the test dates itself, and a real lake.
type archiveRig struct {
	config config.Config
	admin  *kafka.Admin
	lake   *s3.Lake
	now    time.Time
	client *kgo.Client
}

func newArchiveRig(t *testing.T) *archiveRig {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	c := stacktest.Config(t)
	c.KafkaBrokers, c.Partitions = cluster.ListenAddrs(), archivePartitions
	rig := &archiveRig{config: c}
	if rig.client, err = kgo.NewClient(kgo.SeedBrokers(c.KafkaBrokers...), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rig.client.Close)
	retention := strconv.Itoa(7 * 24 * 3600 * 1000)
	if _, err := kadm.NewClient(rig.client).CreateTopic(t.Context(), archivePartitions, 1, map[string]*string{"retention.ms": &retention}, c.ClicksTopic()); err != nil {
		t.Fatal(err)
	}
	if rig.admin, err = kafka.NewAdmin(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rig.admin.Close)
	if rig.lake, err = s3.Open(c); err != nil {
		t.Fatal(err)
	}
	stacktest.Cleanup(t, "bucket", rig.lake.Drop)
	if _, err := rig.lake.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return rig
}

// watch looks at the rig's archive.
func (r *archiveRig) watch() *lake.Archive {
	return &lake.Archive{Lake: r.lake, Stream: r.admin, Now: func() time.Time { return r.now }}
}

// produce appends count records over a length of time; every tenth is no click.
func (r *archiveRig) produce(t *testing.T, random *rand.Rand, from time.Time, length time.Duration, count int) (clicks int) {
	t.Helper()
	for i := range count {
		at := from.Add(length * time.Duration(i) / time.Duration(count))
		id, err := click.NewImpressionID(at.Add(-time.Duration(random.IntN(5000))*time.Millisecond), rand.NewChaCha8([32]byte{byte(i), byte(i >> 8), byte(random.Uint32())}))
		if err != nil {
			t.Fatal(err)
		}
		arrival := click.NewArrivalID(9, uint64(i))
		value, err := proto.Marshal(&recordv1.Click{
			SchemaVersion: 1, AdId: 1 + random.Int64N(50), AdvertiserId: 7, ImpressionId: id[:], ArrivalId: arrival[:], ClickedAtMs: at.UnixMilli() - 3,
		})
		if err != nil {
			t.Fatal(err)
		}
		if i%10 == 9 {
			value = []byte("no click")
		} else {
			clicks++
		}
		r.client.Produce(t.Context(), &kgo.Record{Topic: r.config.ClicksTopic(), Partition: random.Int32N(archivePartitions), Timestamp: at, Value: value}, nil)
	}
	if err := r.client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return clicks
}

// lossyLake loses answers, fails, and has something else lying where an object
// is to be. A put that was cut off leaves nothing: S3 takes a whole object or none.
type lossyLake struct {
	*s3.Lake
	mu      sync.Mutex
	random  *rand.Rand
	putting sync.Mutex
	whole   map[string]bool // paths
}

var errKilled = errors.New("killed")

func (l *lossyLake) dies(chance float64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.random.Float64() < chance
}

func (l *lossyLake) PutObject(ctx context.Context, path string, content []byte) (string, error) {
	if l.dies(0.15) {
		return "", errKilled
	}
	l.putting.Lock()
	defer l.putting.Unlock()
	if !l.whole[path] && l.dies(0.15) {
		_, err := l.Lake.PutObject(ctx, path, content[:len(content)/2])
		return "", errors.Join(errKilled, err)
	}
	sum, err := l.Lake.PutObject(ctx, path, content)
	l.whole[path] = true
	if l.dies(0.15) {
		return "", errKilled
	}
	return sum, err
}

func (l *lossyLake) PublishManifest(ctx context.Context, m click.Manifest) error {
	if l.dies(0.2) {
		return errKilled
	}
	err := l.Lake.PublishManifest(ctx, m)
	if l.dies(0.2) {
		return errKilled
	}
	return err
}

// playWindow plays the workflow with activities that may die at any step: what is
// retried gets the same input.
func playWindow(t *testing.T, a *activities.Archive, w click.Window) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(a)
	fixed := attempts(t, env, a.FixRanges, activities.FixRangesInput{Window: w})
	if fixed.Archived {
		return
	}
	publish := activities.PublishManifestInput{Window: w, Topic: fixed.Topic, TopicID: fixed.TopicID}
	for _, r := range fixed.Ranges {
		publish.Ranges = append(publish.Ranges, attempts(t, env, a.WriteRange, activities.WriteRangeInput{Window: w, Range: r}).Range)
	}
	attempts(t, env, a.PublishManifest, publish)
}

func attempts[In, Out any](t *testing.T, env *testsuite.TestActivityEnvironment, activity func(context.Context, In) (Out, error), in In) Out {
	t.Helper()
	var out Out
	for range 100 {
		value, err := env.ExecuteActivity(activity, in)
		if err == nil {
			if err := value.Get(&out); err != nil {
				t.Fatal(err)
			}
			return out
		}
		if !strings.Contains(err.Error(), errKilled.Error()) {
			t.Fatal(err)
		}
	}
	t.Fatal("100 attempts were not enough")
	return out
}

// check reads what the manifests name and returns the clicks in it: offsets
// lie in exactly one range, objects are what their manifest says.
func (r *archiveRig) check(t *testing.T, first, end click.Window) (manifests []click.Manifest, rows int64) {
	t.Helper()
	next := make([]int64, archivePartitions)
	for w := first; w.Before(end); w = click.NextArchive(w) {
		m, err := r.lake.Manifest(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		for _, each := range m.Ranges {
			if each.First != next[each.Partition] {
				t.Errorf("%s: partition %d goes on at %d, not at %d", w, each.Partition, each.First, next[each.Partition])
			}
			next[each.Partition] = each.Next
			for _, o := range each.Objects {
				content := r.object(t, o.Path)
				if digest := sha256.Sum256(content); int64(len(content)) != o.Bytes || hex.EncodeToString(digest[:]) != o.SHA256 {
					t.Errorf("object %s has %d bytes and another checksum than its manifest says", o.Path, len(content))
				}
				if !o.AppendedMax.Before(m.End) || o.AppendedMin.Before(m.Window.Start()) {
					t.Errorf("object %s holds clicks of %s to %s", o.Path, o.AppendedMin, o.AppendedMax)
				}
			}
		}
		manifests, rows = append(manifests, m), rows+m.Rows()
	}
	_, _, bounds, err := r.admin.Bounds(t.Context(), r.now)
	if err != nil {
		t.Fatal(err)
	}
	for partition, b := range bounds {
		if next[partition] != b.Next {
			t.Errorf("partition %d is archived to %d, it ends at %d", partition, next[partition], b.Next)
		}
	}
	return manifests, rows
}

func (r *archiveRig) object(t *testing.T, path string) []byte {
	t.Helper()
	client, err := minio.New(r.config.S3Endpoint, &minio.Options{Creds: credentials.NewStaticV4(r.config.S3AccessKey, r.config.S3SecretKey, "")})
	if err != nil {
		t.Fatal(err)
	}
	object, err := client.GetObject(t.Context(), r.config.Bucket(), path, minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = object.Close() }()
	info, err := object.Stat()
	if err != nil {
		t.Fatal(err)
	}
	content := make([]byte, info.Size)
	if _, err := object.Read(content); err != nil && err.Error() != "EOF" {
		t.Fatal(err)
	}
	return content
}

func TestAnArchiveKilledAtRandomHasEveryOffsetOnce(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if given, err := strconv.ParseUint(os.Getenv("ARCHIVE_SEED"), 10, 64); err == nil {
		seed = given
	}
	t.Logf("ARCHIVE_SEED=%d plays this again", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	rig := newArchiveRig(t)
	const windows = 12
	clicks := rig.produce(t, random, archiveStart(), windows*click.ArchiveLength-3*time.Minute, 6000)
	first := click.ArchiveWindowOf(archiveStart())
	end := click.ArchiveWindowOf(archiveStart().Add(windows * click.ArchiveLength))
	rig.now = end.Start().Add(time.Minute)
	a := &activities.Archive{
		Stream: rig.admin, Lake: &lossyLake{Lake: rig.lake, random: random, whole: map[string]bool{}}, Watch: rig.watch(), Encode: parquet.EncodeClicks, Now: func() time.Time { return rig.now },
	}
	for w := first; w.Before(end); w = click.NextArchive(w) {
		var twice sync.WaitGroup // two runs of one window beside each other, at times
		if random.IntN(3) == 0 {
			twice.Go(func() { playWindow(t, a, w) })
		}
		playWindow(t, a, w)
		twice.Wait()
		playWindow(t, a, w) // and again when it is over
	}
	if _, rows := rig.check(t, first, end); rows != int64(clicks) {
		t.Errorf("the lake has %d clicks, %d were produced", rows, clicks)
	}
}

func TestClickHouseReadsTheLakeByItsManifests(t *testing.T) {
	rig := newArchiveRig(t)
	clicks := rig.produce(t, rand.New(rand.NewPCG(3, 4)), archiveStart(), 6*time.Minute, 3000)
	first, end := click.ArchiveWindowOf(archiveStart()), click.ArchiveWindowOf(archiveStart().Add(10*time.Minute))
	rig.now = end.Start().Add(time.Minute)
	a := &activities.Archive{Stream: rig.admin, Lake: rig.lake, Watch: rig.watch(), Encode: parquet.EncodeClicks, Now: func() time.Time { return rig.now }}
	for w := first; w.Before(end); w = click.NextArchive(w) {
		playWindow(t, a, w)
	}
	manifests, _ := rig.check(t, first, end)
	var paths []string
	for _, m := range manifests {
		for _, r := range m.Ranges {
			for _, o := range r.Objects {
				paths = append(paths, o.Path)
			}
		}
	}
	connection, err := clickhousego.Open(&clickhousego.Options{
		Addr: rig.config.ClickHouseAddrs, Auth: clickhousego.Auth{Username: rig.config.ClickHouseUser, Password: rig.config.ClickHousePassword},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	query := fmt.Sprintf(`SELECT count(), uniqExact(impression_id), uniqExact(partition, offset), min(clicked_at), any(dt), any(hour),
		countIf(substring(toString(impression_id), 15, 1) != '7')
		FROM s3('http://%s/%s/{%s}', ?, ?, 'Parquet', 'impression_id UUID, clicked_at DateTime64(3, \'UTC\'), appended_at DateTime64(3, \'UTC\'), ad_id Int64,
		advertiser_id Int64, arrival_id UUID, partition Int32, offset Int64, dt Date, hour UInt8') SETTINGS use_hive_partitioning = 1`,
		rig.config.S3Endpoint, rig.config.Bucket(), strings.Join(paths, ","))
	var count, impressions, places, notSeven uint64
	var earliest, day time.Time
	var hour uint8
	err = connection.QueryRow(t.Context(), query, rig.config.S3AccessKey, rig.config.S3SecretKey).
		Scan(&count, &impressions, &places, &earliest, &day, &hour, &notSeven)
	if err != nil {
		t.Fatal(err)
	}
	if count != uint64(clicks) || places != count || notSeven != 0 || hour != 10 || day.Format(time.DateOnly) != "2026-11-23" ||
		!earliest.Equal(archiveStart().Add(-3*time.Millisecond)) {
		t.Errorf("%d clicks, %d impressions, %d places, from %s in %s/%d, %d impressions are no UUIDv7; %d were produced",
			count, impressions, places, earliest, day, hour, notSeven, clicks)
	}
}

func TestWhatKafkaDroppedBecomesAHole(t *testing.T) {
	rig := newArchiveRig(t)
	random := rand.New(rand.NewPCG(5, 6))
	rig.produce(t, random, archiveStart(), 2*time.Minute, 300)
	first := click.ArchiveWindowOf(archiveStart())
	rig.now = click.ArchiveEnd(first).Add(time.Minute)
	a := &activities.Archive{Stream: rig.admin, Lake: rig.lake, Watch: rig.watch(), Encode: parquet.EncodeClicks, Now: func() time.Time { return rig.now }}
	playWindow(t, a, first)
	second := click.NextArchive(first)
	rig.produce(t, random, second.Start(), 2*time.Minute, 300)
	_, _, bounds, err := rig.admin.Bounds(t.Context(), click.ArchiveEnd(second))
	if err != nil {
		t.Fatal(err)
	}
	var offsets kadm.Offsets
	offsets.AddOffset(rig.config.ClicksTopic(), 1, bounds[1].Next-10, -1)
	if _, err := kadm.NewClient(rig.client).DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	rig.now = click.ArchiveEnd(second).Add(time.Minute)
	err = rig.admin.ReadSpan(t.Context(), 1, click.OffsetSpan{First: bounds[1].Next - 20, Next: bounds[1].Next}, func(click.Appended, bool) {})
	if !errors.Is(err, click.ErrGone) {
		t.Errorf("reading what is gone: %v", err)
	}
	playWindow(t, a, second)
	before, err := rig.lake.Manifest(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	m, err := rig.lake.Manifest(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	want := click.OffsetSpan{First: before.Ranges[1].Next, Next: bounds[1].Next - 10}
	if m.Ranges[1].Lost == nil || *m.Ranges[1].Lost != want || m.Ranges[1].First != want.Next || m.Lost() != want.Len() || m.Ranges[0].Lost != nil {
		t.Errorf("the range is %+v, lost %+v; want %+v lost", m.Ranges[1].PartitionRange, m.Ranges[1].Lost, want)
	}
}

func TestAnArchivePlansWhatIsOverAndWarnsBeforeKafkaDrops(t *testing.T) {
	rig := newArchiveRig(t)
	rig.produce(t, rand.New(rand.NewPCG(7, 8)), archiveStart(), time.Minute, 30)
	a := &activities.Archive{Stream: rig.admin, Lake: rig.lake, Watch: rig.watch(), Encode: parquet.EncodeClicks, Now: func() time.Time { return rig.now }}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(a)
	for _, one := range []struct {
		after time.Duration // the stream's start
		due   int
		more  bool
		late  bool
	}{{time.Minute, 0, false, false}, {4 * time.Minute, 1, false, false}, {14 * time.Minute, 3, false, false}, {24 * time.Hour, 5, true, true}, {48 * time.Hour, 5, true, true}} {
		rig.now = archiveStart().Add(one.after)
		plan := attempts(t, env, a.PlanArchive, activities.PlanArchiveInput{Limit: 5})
		if len(plan.Due) != one.due || plan.More != one.more || (plan.Alarm != "") != one.late {
			t.Errorf("after %v: %+v", one.after, plan)
		}
		if one.due > 0 && plan.Due[0] != click.ArchiveWindowOf(archiveStart()) {
			t.Errorf("after %v it begins with %s", one.after, plan.Due[0])
		}
	}
}
