package s3

import (
	"bytes"
	"context"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"clickledger/internal/click"
)

// PutReport writes a report, or writes over it.
func (l *Lake) PutReport(ctx context.Context, path string, json []byte) error {
	_, err := l.client.PutObject(ctx, l.bucket, path, bytes.NewReader(json), int64(len(json)),
		minio.PutObjectOptions{ContentType: "application/json", Checksum: minio.ChecksumSHA256, DisableMultipart: true})
	return l.fault("put "+path+" into", err)
}

// ManifestsOf are the archive windows of a day that have a manifest, in order.
// It only lists them.
func (l *Lake) ManifestsOf(ctx context.Context, day time.Time) ([]click.Window, error) {
	var windows []click.Window
	err := l.eachUnder(ctx, manifestsPrefix+dayFolder(day), func(object minio.ObjectInfo) error {
		if w, err := click.ParseWindow(strings.TrimSuffix(path.Base(object.Key), manifestSuffix)); err == nil { // what is named otherwise is none
			windows = append(windows, w)
		}
		return nil
	})
	return windows, err
}
