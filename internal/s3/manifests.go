package s3

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"clickledger/internal/click"
)

const (
	// manifestReadsMax is how many manifests are read side by side.
	manifestReadsMax = 8
	// manifestsKeptMax is how many are kept in memory: two months, some 100 MB of
	// a stream of many partitions.
	manifestsKeptMax = 20_000
)

// manifestCache keeps manifests that were read, by path and ETag: whether they
// are still there, and the same, is asked each time.
type manifestCache struct {
	mu   sync.Mutex
	kept map[string]click.Manifest
}

func (c *manifestCache) get(key string) (click.Manifest, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.kept[key]
	return m, ok
}

func (c *manifestCache) put(key string, m click.Manifest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil || len(c.kept) >= manifestsKeptMax {
		c.kept = map[string]click.Manifest{}
	}
	c.kept[key] = m
}

// Manifests are those of the windows from first to through, in order, and
// whether the lake begins with the first of them. It is click.ErrLakeIncomplete,
// and names the window, when one is missing or cannot be read. A lake that
// begins later than first has none to miss before.
func (l *Lake) Manifests(ctx context.Context, first, through click.Window) (manifests []click.Manifest, begins bool, err error) {
	begin, err := l.firstManifest(ctx)
	if err != nil {
		return nil, false, err
	}
	if first.Before(begin) {
		first = begin
	}
	found, err := l.listManifests(ctx, first, through)
	if err != nil {
		return nil, false, err
	}
	var windows []click.Window
	for w := first; !through.Before(w); w = click.NextArchive(w) {
		if _, ok := found[manifestPath(w)]; !ok {
			return nil, false, fmt.Errorf("%w: the manifest of window %s is missing", click.ErrLakeIncomplete, w)
		}
		windows = append(windows, w)
	}
	manifests = make([]click.Manifest, len(windows))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(manifestReadsMax)
	for i, w := range windows {
		group.Go(func() (err error) {
			manifests[i], err = l.keptManifest(ctx, w, found[manifestPath(w)])
			return err
		})
	}
	return manifests, first == begin, group.Wait()
}

func (l *Lake) keptManifest(ctx context.Context, w click.Window, etag string) (click.Manifest, error) {
	key := manifestPath(w) + " " + etag
	if m, ok := l.manifests.get(key); ok {
		return m, nil
	}
	m, err := l.Manifest(ctx, w)
	if errors.Is(err, click.ErrNotFound) { // removed just now
		err = fmt.Errorf("%w: the manifest of window %s is missing", click.ErrLakeIncomplete, w)
	}
	if err != nil {
		return click.Manifest{}, err
	}
	l.manifests.put(key, m)
	return m, nil
}

// firstManifest is the window of the oldest manifest there is.
func (l *Lake) firstManifest(ctx context.Context) (click.Window, error) {
	day, err := l.firstUnder(ctx, manifestsPrefix)
	if err != nil {
		return click.Window{}, err
	}
	name, err := l.firstUnder(ctx, day)
	if err != nil {
		return click.Window{}, err
	}
	w, err := click.ParseWindow(strings.TrimSuffix(path.Base(name), manifestSuffix))
	if err != nil {
		return click.Window{}, fmt.Errorf("%w: %s is not named as a manifest: %w", click.ErrLakeIncomplete, name, err)
	}
	return w, nil
}

// firstUnder is the first name right under a prefix: S3 lists in order.
func (l *Lake) firstUnder(ctx context.Context, prefix string) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for object := range l.client.ListObjectsIter(ctx, l.bucket, minio.ListObjectsOptions{Prefix: prefix}) {
		return object.Key, l.fault("list "+prefix+" of", object.Err)
	}
	return "", fmt.Errorf("list %s of %s: %w", prefix, l.bucket, click.ErrNotFound)
}

// listManifests are the ETags of the manifests of some days, by path.
func (l *Lake) listManifests(ctx context.Context, first, through click.Window) (map[string]string, error) {
	etags := map[string]string{}
	last := through.Start().Format(time.DateOnly)
	for day := first.Start(); day.Format(time.DateOnly) <= last; day = day.AddDate(0, 0, 1) {
		err := l.eachUnder(ctx, manifestsPrefix+dayFolder(day), func(object minio.ObjectInfo) error {
			etags[object.Key] = object.ETag
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return etags, nil
}

// CheckSizes reports the first of the objects that is not there with its size,
// as click.ErrLakeIncomplete. It lists their folders, which costs less than to
// ask for each.
func (l *Lake) CheckSizes(ctx context.Context, objects []click.LakeObject) error {
	folders := map[string][]click.LakeObject{}
	for _, o := range objects {
		folder := path.Dir(o.Path) + "/"
		folders[folder] = append(folders[folder], o)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(manifestReadsMax)
	for folder, wanted := range folders {
		group.Go(func() error { return l.checkFolder(ctx, folder, wanted) })
	}
	return group.Wait()
}

func (l *Lake) checkFolder(ctx context.Context, folder string, wanted []click.LakeObject) error {
	sizes := map[string]int64{}
	err := l.eachUnder(ctx, folder, func(object minio.ObjectInfo) error {
		sizes[object.Key] = object.Size
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(wanted, func(a, b click.LakeObject) int { return strings.Compare(a.Path, b.Path) })
	for _, o := range wanted {
		switch size, ok := sizes[o.Path]; {
		case !ok:
			return fmt.Errorf("%w: object %s is missing", click.ErrLakeIncomplete, o.Path)
		case size != o.Bytes:
			return fmt.Errorf("%w: object %s has %d bytes, its manifest says %d", click.ErrLakeIncomplete, o.Path, size, o.Bytes)
		}
	}
	return nil
}
