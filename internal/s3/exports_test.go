package s3

import (
	"errors"
	"slices"
	"testing"
	"time"

	"clickledger/internal/click"
)

func TestExportsAreListedReadAndRemoved(t *testing.T) {
	lake := openLake(t)
	if _, err := lake.LastExport(t.Context()); !errors.Is(err, click.ErrNotFound) {
		t.Errorf("no export: %v", err)
	}
	first := time.Date(2026, 11, 25, 9, 52, 0, 0, time.UTC)
	times, file := []time.Time{first, first.Add(time.Hour), first.Add(24 * time.Hour)}, click.ExportFile{Rows: 3, Bytes: 7}
	for _, at := range times {
		file.Path = click.ExportFilePath(at, click.ExportAds, 0, "0123456789abcdef")
		var err error
		if file.SHA256, err = lake.PutObject(t.Context(), file.Path, []byte("content")); err != nil {
			t.Fatal(err)
		}
	}
	e := click.Export{Version: click.ExportVersion, At: times[2], Tables: []click.ExportedTable{{Table: click.ExportAds, Rows: 3, Files: []click.ExportFile{file}}}}
	if err := lake.PublishExport(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	got, err := lake.LastExport(t.Context())
	if err != nil || !got.At.Equal(e.At) || got.Of(click.ExportAds).Files[0] != file {
		t.Errorf("the last export is %+v, %v", got, err)
	}
	if content, err := lake.ReadExportFile(t.Context(), file); err != nil || string(content) != "content" {
		t.Errorf("read %q, %v", content, err)
	}
	other := file
	other.SHA256 = "00"
	if _, err := lake.ReadExportFile(t.Context(), other); err == nil {
		t.Error("another content was read")
	}
	if err := lake.RemoveExport(t.Context(), times[0]); err != nil {
		t.Fatal(err)
	}
	if left, err := lake.Exports(t.Context()); err != nil || !slices.EqualFunc(left, times[1:], time.Time.Equal) {
		t.Errorf("left are %v, %v", left, err)
	}
}
