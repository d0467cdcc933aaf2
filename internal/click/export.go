package click

import (
	"fmt"
	"time"
)

// ExportVersion is the version of the exports this code writes and reads.
const ExportVersion = 1

// ExportTable is a table that no stream could bring back, and that is exported.
type ExportTable string

// What is exported. No row of these is ever removed: a table only grows.
const (
	ExportAdvertisers  ExportTable = "advertisers"
	ExportAds          ExportTable = "ads"
	ExportFanOuts      ExportTable = "fan_outs"
	ExportAPIKeys      ExportTable = "api_keys"
	ExportRestatements ExportTable = "restatements"
	ExportAuditEvents  ExportTable = "audit_events"
	ExportSeals        ExportTable = "seals"
)

// ExportTables is all of them, in the order they are exported in: what is
// referred to comes after what refers to it, so that an ad of an export is never
// without its advertiser.
func ExportTables() []ExportTable {
	return []ExportTable{ExportFanOuts, ExportAds, ExportAPIKeys, ExportRestatements, ExportSeals, ExportAuditEvents, ExportAdvertisers}
}

// ExportFile is one Parquet file of an export.
type ExportFile struct {
	Path   string `json:"path"` // in the bucket
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // hexadecimal, of the whole file
}

// ExportedTable is one table of an export. An empty one has no files.
type ExportedTable struct {
	Table ExportTable  `json:"table"`
	Rows  int64        `json:"rows"`
	Files []ExportFile `json:"files"`
}

// Export says what one export consists of. A file that it does not name is no
// part of it.
type Export struct {
	Version int             `json:"version"`
	At      time.Time       `json:"at"` // when it began, whole seconds, UTC
	Tables  []ExportedTable `json:"tables"`
}

// ExportFilePath is where a file of an export is kept. It is named after its
// content: attempts beside each other never write over each other's files.
func ExportFilePath(at time.Time, table ExportTable, number int, sha256 string) string {
	return fmt.Sprintf("exports/%s/%s-%d-%.16s.parquet", at.UTC().Format(time.RFC3339), table, number, sha256)
}

// Of is what an export has of a table; nothing when it has none.
func (e Export) Of(table ExportTable) ExportedTable {
	for _, t := range e.Tables {
		if t.Table == table {
			return t
		}
	}
	return ExportedTable{Table: table}
}

// Rows is how many rows all tables have together.
func (e Export) Rows() int64 {
	rows := int64(0)
	for _, t := range e.Tables {
		rows += t.Rows
	}
	return rows
}

// Check reports the first thing that makes this no whole export.
func (e Export) Check() error {
	if e.Version != ExportVersion {
		return fmt.Errorf("export of %s has version %d, not %d", e.At.Format(time.RFC3339), e.Version, ExportVersion)
	}
	for _, table := range ExportTables() {
		of, rows := e.Of(table), int64(0)
		for _, f := range of.Files {
			rows += f.Rows
		}
		if rows != of.Rows {
			return fmt.Errorf("export of %s has %d rows of %s, its files %d", e.At.Format(time.RFC3339), of.Rows, table, rows)
		}
	}
	return nil
}

// Shrunk is the first table of which the export has fewer rows than the one
// before; empty when there is none. As no table shrinks, such an export is not
// of the same ledger, or of one that has lost something.
func (e Export) Shrunk(before Export) ExportTable {
	for _, table := range ExportTables() {
		if e.Of(table).Rows < before.Of(table).Rows {
			return table
		}
	}
	return ""
}

// AdvertiserRow is an advertiser as the catalogue keeps it.
type AdvertiserRow struct {
	Advertiser
	Version uint64
}

// Restatement is one change of a figure that had been final. Before = After: it
// was announced, and taken back.
type Restatement struct {
	AdvertiserID    int64
	AdID            int64 // 0: the advertiser's total
	Minute          time.Time
	ReplacedVersion uint64    // of the figure that was replaced
	At              time.Time // whole microseconds
	Before, After   uint64
	Reason          string
}
