package s3

import (
	"context"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"clickledger/internal/click"
)

// dayFolder is dt=2026-11-23/, in which objects and manifests lie alike.
func dayFolder(day time.Time) string { return "dt=" + day.UTC().Format(time.DateOnly) + "/" }

// ClickDays are the days, midnight UTC, that there are clicks of, the oldest
// first.
func (l *Lake) ClickDays(ctx context.Context) ([]time.Time, error) {
	var days []time.Time
	for folder := range l.client.ListObjectsIter(ctx, l.bucket, minio.ListObjectsOptions{Prefix: clicksPrefix}) {
		if folder.Err != nil {
			return nil, l.fault("list "+clicksPrefix+" of", folder.Err)
		}
		if day, err := time.Parse("dt="+time.DateOnly, path.Base(folder.Key)); err == nil { // what is named otherwise is not ours
			days = append(days, day)
		}
	}
	return days, nil
}

// EachManifest visits the manifests of a day, in order.
func (l *Lake) EachManifest(ctx context.Context, day time.Time, visit func(click.Manifest) error) error {
	prefix := manifestsPrefix + dayFolder(day)
	return l.eachUnder(ctx, prefix, func(object minio.ObjectInfo) error {
		if !strings.HasSuffix(object.Key, manifestSuffix) {
			return nil
		}
		m, err := l.manifest(ctx, object.Key)
		if err != nil {
			return err
		}
		return visit(m)
	})
}

// EachClickObject visits the objects under the clicks of a day, named by a
// manifest or not.
func (l *Lake) EachClickObject(ctx context.Context, day time.Time, visit func(path string, modified time.Time, bytes int64) error) error {
	return l.eachUnder(ctx, clicksPrefix+dayFolder(day), func(object minio.ObjectInfo) error {
		return visit(object.Key, object.LastModified, object.Size)
	})
}

// EachStagedObject visits what backfills staged in a folder.
func (l *Lake) EachStagedObject(ctx context.Context, folder string, visit func(path string, modified time.Time, bytes int64) error) error {
	return l.eachUnder(ctx, folder, func(object minio.ObjectInfo) error {
		return visit(object.Key, object.LastModified, object.Size)
	})
}

// RemoveObject deletes an object. One that is not there is success.
func (l *Lake) RemoveObject(ctx context.Context, path string) error {
	return l.fault("delete "+path+" of", l.client.RemoveObject(ctx, l.bucket, path, minio.RemoveObjectOptions{}))
}

func (l *Lake) eachUnder(ctx context.Context, prefix string, visit func(minio.ObjectInfo) error) error {
	for object := range l.client.ListObjectsIter(ctx, l.bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if object.Err != nil {
			return l.fault("list "+prefix+" of", object.Err)
		}
		if err := visit(object); err != nil {
			return err
		}
	}
	return nil
}
