package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"time"

	"github.com/minio/minio-go/v7"

	"clickledger/internal/click"
)

const (
	exportsPrefix  = "exports/" // click.ExportFilePath
	lastExportPath = exportsPrefix + "latest.json"
)

// LastExport is the newest export; click.ErrNotFound when there is none.
func (l *Lake) LastExport(ctx context.Context) (click.Export, error) {
	content, err := l.read(ctx, lastExportPath, manifestBytesMax)
	if err != nil {
		return click.Export{}, err
	}
	var e click.Export
	if err := json.Unmarshal(content, &e); err != nil {
		return click.Export{}, fmt.Errorf("read %s: %w", lastExportPath, err)
	}
	return e, e.Check()
}

// PublishExport makes an export the newest one.
func (l *Lake) PublishExport(ctx context.Context, e click.Export) error {
	content, err := json.MarshalIndent(e, "", " ")
	if err != nil {
		return fmt.Errorf("encode export: %w", err)
	}
	_, err = l.client.PutObject(ctx, l.bucket, lastExportPath, bytes.NewReader(content), int64(len(content)),
		minio.PutObjectOptions{ContentType: "application/json", Checksum: minio.ChecksumSHA256, DisableMultipart: true})
	return l.fault("put "+lastExportPath+" into", err)
}

// ReadExportFile is a file's content; it is an error if that is not what the
// export says of it.
func (l *Lake) ReadExportFile(ctx context.Context, f click.ExportFile) ([]byte, error) {
	content, err := l.read(ctx, f.Path, f.Bytes)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(content)
	if sum := hex.EncodeToString(digest[:]); sum != f.SHA256 {
		return nil, fmt.Errorf("read %s: it has SHA-256 %s, not %s", f.Path, sum, f.SHA256)
	}
	return content, nil
}

// Exports are the times of all exports of which there is something, the oldest
// first, finished or not.
func (l *Lake) Exports(ctx context.Context) ([]time.Time, error) {
	var times []time.Time
	for object := range l.client.ListObjectsIter(ctx, l.bucket, minio.ListObjectsOptions{Prefix: exportsPrefix}) {
		if object.Err != nil {
			return nil, l.fault("list "+exportsPrefix+" of", object.Err)
		}
		if at, err := time.Parse(time.RFC3339, path.Base(object.Key)); err == nil { // what is named otherwise is none
			times = append(times, at)
		}
	}
	return times, nil
}

// RemoveExport deletes the files of an export.
func (l *Lake) RemoveExport(ctx context.Context, at time.Time) error {
	prefix := exportsPrefix + at.UTC().Format(time.RFC3339) + "/"
	return l.eachUnder(ctx, prefix, func(object minio.ObjectInfo) error { return l.RemoveObject(ctx, object.Key) })
}
