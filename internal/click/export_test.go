package click

import (
	"testing"
	"time"
)

func exportOf(rows ...int64) Export {
	e := Export{Version: ExportVersion, At: time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)}
	for i, n := range rows {
		e.Tables = append(e.Tables, ExportedTable{Table: ExportTables()[i], Rows: n, Files: []ExportFile{{Rows: n}}})
	}
	return e
}

func TestAnExportIsWholeWhenItsFilesHaveItsRows(t *testing.T) {
	e := exportOf(1, 2, 3, 0, 4)
	if err := e.Check(); err != nil || e.Rows() != 10 || e.Of(ExportAPIKeys).Rows != 3 {
		t.Errorf("%d rows, %v", e.Rows(), err)
	}
	e.Tables[1].Files[0].Rows = 1
	if e.Check() == nil {
		t.Error("a row is missing and nobody noticed")
	}
	e = exportOf(1)
	e.Version = 2
	if e.Check() == nil {
		t.Error("an export of another version was taken")
	}
}

func TestAnExportThatHasLostRowsIsNoticed(t *testing.T) {
	before := exportOf(1, 2, 3, 0, 4)
	for _, one := range []struct {
		now  Export
		want ExportTable
	}{
		{exportOf(1, 2, 3, 0, 4), ""},
		{exportOf(9, 9, 9, 9, 9), ""},
		{exportOf(1, 2, 2, 0, 9), ExportAPIKeys},
		{exportOf(), ExportFanOuts}, // an empty store
	} {
		if got := one.now.Shrunk(before); got != one.want {
			t.Errorf("%+v: %q, want %q", one.now.Tables, got, one.want)
		}
	}
}

func TestFilesOfAnExportAreNamedAfterTheirContent(t *testing.T) {
	at := time.Date(2026, 11, 25, 11, 0, 5, 0, time.FixedZone("", 3600))
	if got, want := ExportFilePath(at, ExportAds, 3, "0123456789abcdef0123"), "exports/2026-11-25T10:00:05Z/ads-3-0123456789abcdef.parquet"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
