package lake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"clickledger/internal/click"
)

// exportedFiles is where exports are kept.
type exportedFiles interface {
	LastExport(ctx context.Context) (click.Export, error)
	ReadExportFile(ctx context.Context, f click.ExportFile) ([]byte, error)
}

// RestoreTable is the store's side of an exported table.
type RestoreTable struct {
	// Rows is how many rows it has now.
	Rows func(ctx context.Context) (int64, error)
	// Insert writes the rows of a file with their versions, and returns how many.
	Insert func(ctx context.Context, file []byte) (int, error)
}

// NewRestoreTable is a table whose files decode reads and whose rows insert
// writes.
func NewRestoreTable[T any](
	rows func(ctx context.Context) (int64, error), decode func([]byte) ([]T, error), insert func(context.Context, []T) error,
) RestoreTable {
	return RestoreTable{Rows: rows, Insert: func(ctx context.Context, file []byte) (int, error) {
		all, err := decode(file)
		if err != nil {
			return 0, err
		}
		return len(all), insert(ctx, all)
	}}
}

// Restore brings back what is exported into a store that has lost it.
type Restore struct {
	Lake   exportedFiles
	Tables map[click.ExportTable]RestoreTable // one for each of click.ExportTables
}

// Restored is what Run did.
type Restored struct {
	Export click.Export // zero: there is none
	Tables []click.ExportedTable
}

// Run restores the tables that have fewer rows than the last export: empty
// ones, and one whose restoration was cut short. As tables only grow and rows
// keep their versions, what is newer in the store stays, and running it again
// changes nothing. One file is in memory at a time.
func (r *Restore) Run(ctx context.Context) (Restored, error) {
	export, err := r.Lake.LastExport(ctx)
	if errors.Is(err, click.ErrNotFound) {
		return Restored{}, nil
	}
	if err != nil {
		return Restored{}, fmt.Errorf("read the last export: %w", err)
	}
	done := Restored{Export: export}
	for _, name := range click.ExportTables() {
		exported := export.Of(name)
		rows, err := r.Tables[name].Rows(ctx)
		if err != nil {
			return done, err
		}
		if rows >= exported.Rows {
			continue
		}
		for _, file := range exported.Files {
			if err := r.file(ctx, name, file); err != nil {
				return done, fmt.Errorf("restore %s from the export of %s: %w", name, export.At.Format(time.RFC3339), err)
			}
		}
		done.Tables = append(done.Tables, exported)
	}
	return done, nil
}

func (r *Restore) file(ctx context.Context, name click.ExportTable, f click.ExportFile) error {
	content, err := r.Lake.ReadExportFile(ctx, f)
	if err != nil {
		return err
	}
	rows, err := r.Tables[name].Insert(ctx, content)
	if err == nil && int64(rows) != f.Rows {
		err = fmt.Errorf("%s has %d rows, not %d", f.Path, rows, f.Rows)
	}
	return err
}
