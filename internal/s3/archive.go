package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"clickledger/internal/click"
)

const (
	clicksPrefix = "clicks/" // click.LakeObjectPath
	// manifests lie by day under their window's name, so that the newest is found
	// by listing the days and then one day.
	manifestsPrefix = "manifests/"
	manifestSuffix  = ".json"
	// manifestBytesMax bounds what is read of one: a window of a week has some 12,000 objects.
	manifestBytesMax = 64 << 20
)

// manifestPath is manifests/dt=2026-11-23/2026-11-23T10:05Z.json.
func manifestPath(w click.Window) string {
	return manifestsPrefix + "dt=" + w.Start().Format(time.DateOnly) + "/" + w.String() + manifestSuffix
}

// PutObject writes an object, or writes over it, and returns the SHA-256 of its
// content in hexadecimal. The server has checked it.
func (l *Lake) PutObject(ctx context.Context, path string, content []byte) (sum string, err error) {
	_, err = l.client.PutObject(ctx, l.bucket, path, bytes.NewReader(content), int64(len(content)), minio.PutObjectOptions{
		ContentType: "application/vnd.apache.parquet", Checksum: minio.ChecksumSHA256, DisableMultipart: true,
	})
	if err != nil {
		return "", l.fault("put "+path+" into", err)
	}
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:]), nil
}

// CheckObject reports whether an object is there as the manifest is going to
// say: its size and its SHA-256, which the server keeps. It is click.ErrNotFound
// when there is none.
func (l *Lake) CheckObject(ctx context.Context, o click.LakeObject) error {
	info, err := l.client.StatObject(ctx, l.bucket, o.Path, minio.StatObjectOptions{Checksum: true})
	if err != nil {
		return l.fault("look at "+o.Path+" in", err)
	}
	sum, err := base64.StdEncoding.DecodeString(info.ChecksumSHA256)
	if err != nil {
		return fmt.Errorf("look at %s: checksum %q: %w", o.Path, info.ChecksumSHA256, err)
	}
	if got := hex.EncodeToString(sum); info.Size != o.Bytes || got != o.SHA256 {
		return fmt.Errorf("object %s has %d bytes with SHA-256 %s, not %d with %s", o.Path, info.Size, got, o.Bytes, o.SHA256)
	}
	return nil
}

// PublishManifest writes a manifest unless there is one of its window. The same
// content is success, however often; with other content it is
// click.ErrOtherManifest and what is there stays.
func (l *Lake) PublishManifest(ctx context.Context, m click.Manifest) error {
	content, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return fmt.Errorf("encode manifest %s: %w", m.Window, err)
	}
	path := manifestPath(m.Window)
	options := minio.PutObjectOptions{ContentType: "application/json", Checksum: minio.ChecksumSHA256, DisableMultipart: true}
	options.SetMatchETagExcept("*")
	_, err = l.client.PutObject(ctx, l.bucket, path, bytes.NewReader(content), int64(len(content)), options)
	switch minio.ToErrorResponse(err).StatusCode {
	case http.StatusPreconditionFailed, http.StatusConflict: // it is there, or is being written
	default:
		return l.fault("put "+path+" into", err)
	}
	there, err := l.read(ctx, path, manifestBytesMax)
	if err != nil {
		return err
	}
	if !bytes.Equal(there, content) {
		return fmt.Errorf("manifest %s is there and says something else; it stays: %w", m.Window, click.ErrOtherManifest)
	}
	return nil
}

// Manifest is the manifest of the window that begins with w; click.ErrNotFound
// when there is none.
func (l *Lake) Manifest(ctx context.Context, w click.Window) (click.Manifest, error) {
	return l.manifest(ctx, manifestPath(w))
}

// LastManifest is the newest manifest; click.ErrNotFound when there is none. It
// lists the days there are and one of them.
func (l *Lake) LastManifest(ctx context.Context) (click.Manifest, error) {
	day, err := l.lastUnder(ctx, manifestsPrefix)
	if err != nil {
		return click.Manifest{}, err
	}
	path, err := l.lastUnder(ctx, day)
	if err != nil {
		return click.Manifest{}, err
	}
	return l.manifest(ctx, path)
}

// lastUnder is the last name right under a prefix: S3 lists in order.
func (l *Lake) lastUnder(ctx context.Context, prefix string) (string, error) {
	last := ""
	for object := range l.client.ListObjectsIter(ctx, l.bucket, minio.ListObjectsOptions{Prefix: prefix}) {
		if object.Err != nil {
			return "", l.fault("list "+prefix+" of", object.Err)
		}
		if object.Key > last {
			last = object.Key
		}
	}
	if last == "" {
		return "", fmt.Errorf("list %s of %s: %w", prefix, l.bucket, click.ErrNotFound)
	}
	return last, nil
}

func (l *Lake) manifest(ctx context.Context, path string) (click.Manifest, error) {
	content, err := l.read(ctx, path, manifestBytesMax)
	if err != nil {
		return click.Manifest{}, err
	}
	var m click.Manifest
	if err := json.Unmarshal(content, &m); err != nil {
		return click.Manifest{}, fmt.Errorf("%w: read %s: %w", click.ErrLakeIncomplete, path, err)
	}
	if !strings.HasSuffix(path, m.Window.String()+manifestSuffix) {
		return click.Manifest{}, fmt.Errorf("%w: read %s: it is of window %s", click.ErrLakeIncomplete, path, m.Window)
	}
	if err := m.Check(); err != nil {
		return click.Manifest{}, fmt.Errorf("%w: %w", click.ErrLakeIncomplete, err)
	}
	return m, nil
}

// read is an object of at most bytesMax.
func (l *Lake) read(ctx context.Context, path string, bytesMax int64) ([]byte, error) {
	object, err := l.client.GetObject(ctx, l.bucket, path, minio.GetObjectOptions{})
	if err != nil {
		return nil, l.fault("get "+path+" from", err)
	}
	content, err := io.ReadAll(io.LimitReader(object, bytesMax+1))
	if err = errors.Join(err, object.Close()); err != nil {
		return nil, l.fault("get "+path+" from", err)
	}
	if int64(len(content)) > bytesMax {
		return nil, fmt.Errorf("get %s from %s: it has more than %d bytes", path, l.bucket, bytesMax)
	}
	return content, nil
}
