package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"clickledger/internal/click"
)

const (
	// exportRowsMax is how many rows of a table one file has. So many ads with
	// long landing URLs, and the file made of them, are some 200 MB.
	exportRowsMax = 100_000
	// exportHeartbeatRows is how many rows are read between two signs of life.
	exportHeartbeatRows = 10_000
	// exportsKept is how many exports are kept: a day of hourly ones.
	exportsKept = 24
)

// exportLake is where exports are kept.
type exportLake interface {
	PutObject(ctx context.Context, path string, content []byte) (sha256 string, err error)
	CheckObject(ctx context.Context, o click.LakeObject) error
	LastExport(ctx context.Context) (click.Export, error)
	PublishExport(ctx context.Context, e click.Export) error
	Exports(ctx context.Context) ([]time.Time, error)
	RemoveExport(ctx context.Context, at time.Time) error
}

// ExportSource makes the files of one table, of at most rowsMax rows each, and
// hands each to write before it reads on. Alive is called now and then.
type ExportSource func(ctx context.Context, rowsMax int, alive func(), write func(file []byte, rows int) error) error

// NewExportSource is the source of a table whose rows each visits and encode
// makes a file of.
func NewExportSource[T any](each func(ctx context.Context, visit func(T) error) error, encode func([]T) ([]byte, error)) ExportSource {
	return func(ctx context.Context, rowsMax int, alive func(), write func([]byte, int) error) error {
		var rows []T
		flush := func() error {
			file, err := encode(rows)
			if err == nil {
				err = write(file, len(rows))
			}
			rows = rows[:0]
			return err
		}
		err := each(ctx, func(row T) error {
			if rows = append(rows, row); len(rows)%exportHeartbeatRows == 0 {
				alive()
			}
			if len(rows) < rowsMax {
				return nil
			}
			return flush()
		})
		if err == nil && len(rows) > 0 {
			err = flush()
		}
		return err
	}
}

// Exports is the activities that copy what no stream could bring back into the
// lake: the catalogue, what is kept of keys, and what was restated.
type Exports struct {
	Sources map[click.ExportTable]ExportSource // one for each of click.ExportTables
	Lake    exportLake
}

// ExportTableInput is a table's part of an export.
type ExportTableInput struct {
	At    time.Time         `json:"at"` // when the export began: it names it
	Table click.ExportTable `json:"table"`
}

// ExportTableResult is what it became.
type ExportTableResult struct {
	Exported click.ExportedTable `json:"exported"`
}

// ExportTable writes the files of a table as it is now. Files are named after
// their content, so it may be repeated at any time, also beside another
// attempt; what no export names in the end goes with its folder.
func (e *Exports) ExportTable(ctx context.Context, in ExportTableInput) (ExportTableResult, error) {
	source, ok := e.Sources[in.Table]
	if !ok {
		return ExportTableResult{}, BadInput(fmt.Sprintf("no table %q is exported", in.Table))
	}
	out := click.ExportedTable{Table: in.Table, Files: []click.ExportFile{}}
	alive := func() { activity.RecordHeartbeat(ctx, out.Rows) }
	err := source(ctx, exportRowsMax, alive, func(content []byte, rows int) error {
		digest := sha256.Sum256(content)
		file := click.ExportFile{Rows: int64(rows), Bytes: int64(len(content)), SHA256: hex.EncodeToString(digest[:])}
		file.Path = click.ExportFilePath(in.At, in.Table, len(out.Files), file.SHA256)
		if _, err := e.Lake.PutObject(ctx, file.Path, content); err != nil {
			return err
		}
		out.Files, out.Rows = append(out.Files, file), out.Rows+file.Rows
		alive()
		return nil
	})
	if err != nil {
		return ExportTableResult{}, err
	}
	return ExportTableResult{Exported: out}, nil
}

// PublishExportInput is what was written.
type PublishExportInput struct {
	At     time.Time             `json:"at"`
	Tables []click.ExportedTable `json:"tables"`
}

// PublishExportResult says what came of it.
type PublishExportResult struct {
	// Superseded says that a newer export was there already and stays.
	Superseded bool `json:"superseded,omitempty"`
}

// PublishExport checks that every file is there as it was written, and then
// makes the export the one that is restored. One with fewer rows of a table
// than the last is refused: the store has lost something, and the last export
// is what brings it back. The same input publishes the same.
func (e *Exports) PublishExport(ctx context.Context, in PublishExportInput) (PublishExportResult, error) {
	export := click.Export{Version: click.ExportVersion, At: in.At.UTC(), Tables: in.Tables}
	if err := export.Check(); err != nil {
		return PublishExportResult{}, BadInput(err.Error())
	}
	last, err := e.Lake.LastExport(ctx)
	switch {
	case errors.Is(err, click.ErrNotFound):
	case err != nil:
		return PublishExportResult{}, err
	case last.At.After(export.At):
		return PublishExportResult{Superseded: true}, nil
	default:
		if table := export.Shrunk(last); table != "" {
			return PublishExportResult{}, temporal.NewNonRetryableApplicationError(fmt.Sprintf(
				"the store has %d rows of %s, the export of %s has %d: the store has lost some; run setup, which restores them",
				export.Of(table).Rows, table, last.At.Format(time.RFC3339), last.Of(table).Rows), ErrorShrunk, nil)
		}
	}
	for _, table := range export.Tables {
		for _, f := range table.Files {
			if err := e.Lake.CheckObject(ctx, click.LakeObject{Path: f.Path, Bytes: f.Bytes, SHA256: f.SHA256}); err != nil {
				return PublishExportResult{}, err
			}
			activity.RecordHeartbeat(ctx, f.Path)
		}
	}
	return PublishExportResult{}, e.Lake.PublishExport(ctx, export)
}

// PruneExportsInput is empty.
type PruneExportsInput struct{}

// PruneExportsResult is what was deleted.
type PruneExportsResult struct {
	Removed int `json:"removed"` // exports
}

// PruneExports deletes all exports but the newest exportsKept, finished or not.
// The one that would be restored, and what is newer, stays in any case.
func (e *Exports) PruneExports(ctx context.Context, _ PruneExportsInput) (PruneExportsResult, error) {
	last, err := e.Lake.LastExport(ctx)
	if err != nil {
		return PruneExportsResult{}, err
	}
	times, err := e.Lake.Exports(ctx)
	if err != nil {
		return PruneExportsResult{}, err
	}
	slices.SortFunc(times, time.Time.Compare)
	out := PruneExportsResult{}
	for _, at := range times[:max(len(times)-exportsKept, 0)] {
		if !at.Before(last.At) {
			break
		}
		if err := e.Lake.RemoveExport(ctx, at); err != nil {
			return out, err
		}
		activity.RecordHeartbeat(ctx, at)
		out.Removed++
	}
	return out, nil
}
