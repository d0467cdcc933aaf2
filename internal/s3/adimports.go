package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/minio/minio-go/v7"

	"clickledger/internal/click"
)

const (
	// A reader at random places reads whole blocks and keeps the last few: the
	// columns of a file are read side by side, each from its own place.
	blockBytes = 4 << 20
	blocksKept = 16
)

// LookAtAds tells what an object of ads is now; click.ErrNotFound when there is
// none. A listing tells times to the millisecond, where a look tells seconds.
func (l *Lake) LookAtAds(ctx context.Context, path string) (click.AdFile, error) {
	format, err := click.AdFormatOf(path)
	if err != nil {
		return click.AdFile{}, fmt.Errorf("%w: %w", click.ErrBadFile, err)
	}
	for object := range l.client.ListObjectsIter(ctx, l.bucket, minio.ListObjectsOptions{Prefix: path, Recursive: true, MaxKeys: 1}) {
		if object.Err != nil {
			return click.AdFile{}, l.fault("look for "+path+" in", object.Err)
		}
		if object.Key != path {
			break
		}
		return click.AdFile{Path: path, Format: format, ETag: object.ETag, Bytes: object.Size, Modified: object.LastModified.UTC()}, nil
	}
	return click.AdFile{}, fmt.Errorf("look for %s in %s: %w", path, l.bucket, click.ErrNotFound)
}

// ReadAds reads an object from an offset on, if it is still the same.
func (l *Lake) ReadAds(ctx context.Context, f click.AdFile, offset int64) (io.ReadCloser, error) {
	return l.readRange(ctx, f, offset, 0)
}

// AdsReaderAt reads an object at random places, while ctx lasts. It is safe for
// concurrent use.
func (l *Lake) AdsReaderAt(ctx context.Context, f click.AdFile) io.ReaderAt {
	return &blocks{bytes: f.Bytes, kept: map[int64][]byte{}, read: func(from, to int64) ([]byte, error) {
		body, err := l.readRange(ctx, f, from, to)
		if err != nil {
			return nil, err
		}
		defer func() { _ = body.Close() }()
		return io.ReadAll(body)
	}}
}

// PutRefused writes a list of refused rows, or writes over it.
func (l *Lake) PutRefused(ctx context.Context, path string, content []byte) error {
	_, err := l.client.PutObject(ctx, l.bucket, path, bytes.NewReader(content), int64(len(content)),
		minio.PutObjectOptions{ContentType: "text/csv; charset=utf-8", Checksum: minio.ChecksumSHA256, DisableMultipart: true})
	return l.fault("put "+path+" into", err)
}

// readRange reads the bytes from up to to, not included; 0: to the end.
func (l *Lake) readRange(ctx context.Context, f click.AdFile, from, to int64) (io.ReadCloser, error) {
	var options minio.GetObjectOptions
	err := options.SetMatchETag(f.ETag)
	if err == nil && (from > 0 || to > 0) {
		err = options.SetRange(from, max(to-1, 0)) // (from, 0) is the rest
	}
	if err != nil {
		return nil, fmt.Errorf("get %s from %s: %w", f.Path, l.bucket, err)
	}
	// The plain answer: what the client makes of it asks anew for each place.
	body, _, _, err := minio.Core{Client: l.client}.GetObject(ctx, l.bucket, f.Path, options)
	if err != nil {
		return nil, l.replaced(f, err)
	}
	return adsBody{body, l, f}, nil
}

// replaced is a fault of a read, which may be that there is another object now.
func (l *Lake) replaced(f click.AdFile, err error) error {
	if minio.ToErrorResponse(err).StatusCode == http.StatusPreconditionFailed {
		return fmt.Errorf("get %s from %s: %w", f.Path, l.bucket, click.ErrReplaced)
	}
	return l.fault("get "+f.Path+" from", err)
}

// adsBody tells in the store's words why it cannot be read.
type adsBody struct {
	io.ReadCloser
	lake *Lake
	file click.AdFile
}

func (b adsBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.lake.replaced(b.file, err)
	}
	return n, err
}

// blocks is an io.ReaderAt over whole blocks.
type blocks struct {
	bytes int64
	read  func(from, to int64) ([]byte, error)

	mu     sync.Mutex
	kept   map[int64][]byte
	recent []int64 // numbers of those kept, the last used last
}

// ReadAt implements io.ReaderAt.
func (b *blocks) ReadAt(into []byte, offset int64) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	done := 0
	for done < len(into) {
		at := offset + int64(done)
		if at >= b.bytes {
			return done, io.EOF
		}
		block, err := b.block(at / blockBytes)
		if err != nil {
			return done, err
		}
		done += copy(into[done:], block[at%blockBytes:])
	}
	return done, nil
}

func (b *blocks) block(number int64) ([]byte, error) {
	block, ok := b.kept[number]
	if !ok {
		from, to := number*blockBytes, min((number+1)*blockBytes, b.bytes)
		var err error
		if block, err = b.read(from, to); err != nil {
			return nil, err
		}
		if int64(len(block)) != to-from {
			return nil, fmt.Errorf("%d bytes were read from %d on, not %d: %w", len(block), from, to-from, click.ErrUnavailable)
		}
		b.kept[number] = block
		if len(b.kept) > blocksKept {
			delete(b.kept, b.recent[0])
			b.recent = b.recent[1:]
		}
	}
	for i, kept := range b.recent {
		if kept == number {
			b.recent = append(b.recent[:i], b.recent[i+1:]...)
			break
		}
	}
	b.recent = append(b.recent, number)
	return block, nil
}
