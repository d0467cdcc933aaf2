// Package adfile reads files of ads, row by row, from any place on, whatever
// their format.
package adfile

import (
	"context"
	"errors"
	"fmt"
	"io"

	"clickledger/internal/click"
	"clickledger/internal/parquet"
)

// objects is where the files are kept.
type objects interface {
	ReadAds(ctx context.Context, f click.AdFile, offset int64) (io.ReadCloser, error)
	AdsReaderAt(ctx context.Context, f click.AdFile) io.ReaderAt
}

// Files are the files of ads in a bucket.
type Files struct {
	Objects objects
}

// Rows is how many rows a file has, -1 where that is not known before its end.
// A file that is not one of ads is click.ErrBadFile.
func (f *Files) Rows(ctx context.Context, file click.AdFile) (int64, error) {
	if file.Format == click.AdsParquet {
		from := &firstFault{from: f.Objects.AdsReaderAt(ctx, file)}
		opened, err := parquet.OpenAds(from, file.Bytes)
		if err != nil {
			return 0, from.or(err)
		}
		return opened.Rows(), nil
	}
	text, err := f.text(ctx, file, click.AdCursor{})
	if err != nil {
		return 0, err
	}
	text.close()
	return -1, nil
}

// Each visits up to rowsMax rows from a place on. It returns where it has come
// to, and whether that is the end. Rows that cannot be read are visited with
// their fault. An error of visit ends it.
func (f *Files) Each(
	ctx context.Context, file click.AdFile, from click.AdCursor, rowsMax int, visit func(click.AdRow) error,
) (next click.AdCursor, end bool, err error) {
	switch file.Format {
	case click.AdsParquet:
		reader := &firstFault{from: f.Objects.AdsReaderAt(ctx, file)}
		opened, err := parquet.OpenAds(reader, file.Bytes)
		if err != nil {
			return from, false, reader.or(err)
		}
		next.Row = min(from.Row+int64(rowsMax), opened.Rows())
		if err := opened.Each(from.Row, rowsMax, visit); err != nil {
			return from, false, reader.or(err)
		}
		return next, next.Row == opened.Rows(), nil
	case click.AdsCSV, click.AdsGzipCSV:
		text, err := f.text(ctx, file, from)
		if err != nil {
			return from, false, err
		}
		defer text.close()
		return text.each(rowsMax, visit)
	default:
		return from, false, fmt.Errorf("%w: format %q", click.ErrBadFile, file.Format)
	}
}

// firstFault remembers why a read failed: a reader of a format may say only that
// the format is broken.
type firstFault struct {
	from io.ReaderAt
	err  error
}

// ReadAt implements io.ReaderAt.
func (f *firstFault) ReadAt(into []byte, offset int64) (int, error) {
	n, err := f.from.ReadAt(into, offset)
	if err != nil && !errors.Is(err, io.EOF) && f.err == nil {
		f.err = err
	}
	return n, err
}

func (f *firstFault) or(err error) error {
	if f.err != nil {
		return f.err
	}
	return err
}
