package adfile

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"clickledger/internal/click"
)

// recordBytesMax is how long a record may be. A quote that is never closed would
// else take the rest of the file for one.
const recordBytesMax = 1 << 20

// byteOrderMark stands before the text of some spreadsheets' files.
const byteOrderMark = "\uFEFF"

var errLongRecord = errors.New("longer than a record may be")

// text is a CSV file (RFC 4180: commas, double quotes, a header) that is being
// read.
type text struct {
	file    click.AdFile
	opened  io.Closer
	columns []click.AdColumn
	records *csv.Reader
	bound   *bounded
	at      click.AdCursor // where records begins
}

// text opens a CSV file at a place and reads its header.
func (f *Files) text(ctx context.Context, file click.AdFile, at click.AdCursor) (*text, error) {
	opened, content, err := f.content(ctx, file, 0)
	if err != nil {
		return nil, err
	}
	t := &text{file: file, opened: opened}
	mark, err := content.Peek(len(byteOrderMark))
	if err == nil && string(mark) == byteOrderMark {
		_, err = content.Discard(len(byteOrderMark))
		t.at.Offset = int64(len(byteOrderMark))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(fault(file, err), opened.Close())
	}
	t.read(content)
	header, err := t.records.Read()
	if err == nil {
		t.columns, err = click.AdColumnsOf(header)
	}
	if err != nil {
		return nil, errors.Join(fault(file, err), opened.Close())
	}
	if at.Row == 0 {
		return t, nil
	}
	// From another place on: another read, but for what was packed.
	_ = opened.Close()
	if t.opened, content, err = f.content(ctx, file, at.Offset); err != nil {
		return nil, err
	}
	t.at = at
	t.read(content)
	return t, nil
}

// content is the text of a file behind an offset.
func (f *Files) content(ctx context.Context, file click.AdFile, offset int64) (io.Closer, *bufio.Reader, error) {
	packed := file.Format == click.AdsGzipCSV
	skip := offset
	switch {
	case packed:
	case offset > 0 && offset >= file.Bytes: // a range that begins there would be refused
		return io.NopCloser(nil), bufio.NewReader(strings.NewReader("")), nil
	default:
		skip = 0
	}
	opened, err := f.Objects.ReadAds(ctx, file, offset-skip)
	if err != nil {
		return nil, nil, err
	}
	var content io.Reader = opened
	if packed {
		if content, err = gzip.NewReader(opened); err == nil {
			_, err = io.CopyN(io.Discard, content, skip)
		}
	}
	if err != nil {
		return nil, nil, errors.Join(fault(file, err), opened.Close())
	}
	return opened, bufio.NewReaderSize(content, readBytes), nil
}

const readBytes = 256 << 10

func (t *text) read(content io.Reader) {
	t.bound = &bounded{from: content, left: recordBytesMax}
	t.records = csv.NewReader(t.bound)
	t.records.FieldsPerRecord = -1 // judged by row
	t.records.ReuseRecord = true
}

func (t *text) close() { _ = t.opened.Close() }

// each visits up to rowsMax rows.
func (t *text) each(rowsMax int, visit func(click.AdRow) error) (next click.AdCursor, end bool, err error) {
	next = t.at
	for range rowsMax {
		t.bound.left = recordBytesMax
		cells, err := t.records.Read()
		if errors.Is(err, io.EOF) {
			return next, true, nil
		}
		var broken *csv.ParseError
		switch {
		case errors.Is(err, errLongRecord):
			return next, false, fmt.Errorf("%w: row %d is longer than %d bytes: is there a quote that is never closed?", click.ErrBadFile, next.Row+1, recordBytesMax)
		case err != nil && !errors.As(err, &broken):
			return next, false, fault(t.file, err)
		}
		next.Row++
		next.Offset = t.at.Offset + t.records.InputOffset()
		row := click.NewAdRow(next.Row)
		switch {
		case broken != nil:
			row.Fault = broken.Err.Error()
		case len(cells) != len(t.columns):
			row.Fault = fmt.Sprintf("it has %d cells, not %d", len(cells), len(t.columns))
		default:
			for i, cell := range cells {
				row.Text(t.columns[i], cell)
			}
		}
		if err := visit(row); err != nil {
			return next, false, err
		}
	}
	return next, false, nil
}

// fault tells what is wrong with a file from a store that does not answer.
func fault(file click.AdFile, err error) error {
	if errors.Is(err, click.ErrUnavailable) || errors.Is(err, click.ErrReplaced) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("it is empty")
	}
	return fmt.Errorf("%w: %s: %w", click.ErrBadFile, file.Format, err)
}

// bounded reads until left is used up, which is renewed for each record.
type bounded struct {
	from io.Reader
	left int
}

// Read implements io.Reader.
func (b *bounded) Read(into []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLongRecord
	}
	n, err := b.from.Read(into)
	b.left -= n
	return n, err
}
