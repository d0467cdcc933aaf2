package parquet

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"clickledger/internal/click"
)

const (
	adRowsPerRead   = 1 << 10
	readBufferBytes = 256 << 10 // of each column
)

// AdsFile is a file of ads that somebody else wrote: of the columns of
// click.AdColumn, ids as integers or text, the rest text, nulls allowed.
type AdsFile struct {
	file    *parquet.File
	columns []click.AdColumn // by the file's order
}

// OpenAds reads a file's footer. A file that is none, or not of ads, is
// click.ErrBadFile.
func OpenAds(from io.ReaderAt, size int64) (*AdsFile, error) {
	file, err := parquet.OpenFile(from, size, parquet.SkipBloomFilters(true), parquet.ReadBufferSize(readBufferBytes))
	if err != nil {
		return nil, fmt.Errorf("%w as Parquet: %w", click.ErrBadFile, err)
	}
	paths := file.Schema().Columns()
	names := make([]string, len(paths))
	for i, path := range paths {
		leaf, ok := file.Schema().Lookup(path...)
		if !ok || len(path) != 1 || leaf.MaxRepetitionLevel > 0 {
			return nil, fmt.Errorf("%w: the column %v is nested", click.ErrBadFile, path)
		}
		names[i] = path[0]
	}
	columns, err := click.AdColumnsOf(names)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", click.ErrBadFile, err)
	}
	for i, column := range columns {
		leaf, _ := file.Schema().Lookup(names[i])
		kind := leaf.Node.Type().Kind()
		number := (kind == parquet.Int32 || kind == parquet.Int64) && (column == click.AdColumnID || column == click.AdColumnAdvertiserID)
		if kind != parquet.ByteArray && !number {
			return nil, fmt.Errorf("%w: the column %s is of type %s: ids are INT64 or text, the others text", click.ErrBadFile, column, kind)
		}
	}
	return &AdsFile{file: file, columns: columns}, nil
}

// Rows is how many it has.
func (f *AdsFile) Rows() int64 { return f.file.NumRows() }

// Each visits up to rowsMax rows, those behind the first `before` ones. Little
// of the file is in memory at a time.
func (f *AdsFile) Each(before int64, rowsMax int, visit func(click.AdRow) error) error {
	first := int64(0)
	for _, group := range f.file.RowGroups() {
		end := first + group.NumRows()
		if from, to := max(before, first), min(before+int64(rowsMax), end); from < to {
			if err := f.each(group, from-first, to-from, from, visit); err != nil {
				return err
			}
		}
		first = end
	}
	return nil
}

func (f *AdsFile) each(group parquet.RowGroup, skip, count, number int64, visit func(click.AdRow) error) error {
	rows := group.Rows()
	defer func() { _ = rows.Close() }()
	if err := rows.SeekToRow(skip); err != nil {
		return fmt.Errorf("%w: row %d: %w", click.ErrBadFile, number+1, err)
	}
	read := make([]parquet.Row, adRowsPerRead)
	for count > 0 {
		n, err := rows.ReadRows(read[:min(count, adRowsPerRead)])
		for _, cells := range read[:n] {
			number++
			if err := visit(f.row(number, cells)); err != nil {
				return err
			}
		}
		count -= int64(n)
		if err != nil && !errors.Is(err, io.EOF) || n == 0 && count > 0 {
			return fmt.Errorf("%w: behind row %d: %w", click.ErrBadFile, number, err)
		}
	}
	return nil
}

func (f *AdsFile) row(number int64, cells parquet.Row) click.AdRow {
	row := click.NewAdRow(number)
	for _, cell := range cells {
		column := f.columns[cell.Column()]
		switch {
		case cell.IsNull():
			row.Text(column, "")
		case cell.Kind() == parquet.Int64:
			row.Number(column, cell.Int64())
		case cell.Kind() == parquet.Int32:
			row.Number(column, int64(cell.Int32()))
		default:
			row.Text(column, string(cell.ByteArray()))
		}
	}
	return row
}

type importRow struct {
	ID           int64  `parquet:"ad_id"`
	AdvertiserID int64  `parquet:"advertiser_id"`
	Name         string `parquet:"name"`
	LandingURL   string `parquet:"landing_url"`
	Status       string `parquet:"status,dict"`
}

// importRowsPerGroup: a part of an import begins anywhere in a group.
const importRowsPerGroup = 100_000

// WriteImport writes a file of ads that can be imported.
func WriteImport(into io.Writer, ads iter.Seq[click.Ad]) error {
	writer := parquet.NewGenericWriter[importRow](into, parquet.MaxRowsPerRowGroup(importRowsPerGroup),
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest, Concurrency: 1}), parquet.CreatedBy(createdBy, "", ""))
	rows := make([]importRow, 0, rowsPerCopy)
	flush := func() error {
		if _, err := writer.Write(rows); err != nil {
			return fmt.Errorf("write parquet rows: %w", err)
		}
		rows = rows[:0]
		return nil
	}
	for ad := range ads {
		rows = append(rows, importRow{ad.ID, ad.AdvertiserID, ad.Name, ad.LandingURL, string(ad.Status)})
		if len(rows) == rowsPerCopy {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	if err := writer.Close(); err != nil {
		return fmt.Errorf("close parquet file: %w", err)
	}
	return nil
}
