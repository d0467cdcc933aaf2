// Package parquet is the file format of the lake. It alone imports the Parquet
// library.
package parquet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

const (
	rowsPerCopy = 4 << 10       // what is copied at a time
	createdBy   = "clickledger" // never a version: the same rows are the same bytes
)

// encode makes one file of what is given, in its order.
func encode[In, Row any](all []In, rowOf func(*In) Row, options ...parquet.WriterOption) ([]byte, error) {
	var file bytes.Buffer
	options = append(options,
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest, Concurrency: 1}),
		parquet.CreatedBy(createdBy, "", ""))
	writer := parquet.NewGenericWriter[Row](&file, options...)
	rows := make([]Row, 0, rowsPerCopy)
	for chunk := range slices.Chunk(all, rowsPerCopy) {
		rows = rows[:0]
		for i := range chunk {
			rows = append(rows, rowOf(&chunk[i]))
		}
		if _, err := writer.Write(rows); err != nil {
			return nil, fmt.Errorf("write parquet rows: %w", err)
		}
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("close parquet file: %w", err)
	}
	return file.Bytes(), nil
}

// decode reads what encode wrote.
func decode[Row, Out any](file []byte, of func(*Row) Out) ([]Out, error) {
	opened, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, fmt.Errorf("open parquet file: %w", err)
	}
	reader := parquet.NewGenericReader[Row](opened)
	defer func() { _ = reader.Close() }()
	all, rows := make([]Out, 0, reader.NumRows()), make([]Row, rowsPerCopy)
	for {
		n, err := reader.Read(rows)
		for i := range rows[:n] {
			all = append(all, of(&rows[i]))
		}
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read parquet rows: %w", err)
		}
	}
}
