package main

import (
	"testing"
	"time"

	"clickledger/internal/click"
	"clickledger/internal/lake"
)

func TestSetupSaysWhatItRestored(t *testing.T) {
	export := click.Export{At: time.Date(2026, 11, 25, 9, 52, 5, 0, time.UTC)}
	for want, restored := range map[string]lake.Restored{
		"nothing was exported yet":                                 {},
		"nothing of the export of 2026-11-25T09:52:05Z is missing": {Export: export},
		"restored from the export of 2026-11-25T09:52:05Z: 3 ads, 2 api_keys": {Export: export, Tables: []click.ExportedTable{
			{Table: click.ExportAds, Rows: 3}, {Table: click.ExportAPIKeys, Rows: 2},
		}},
	} {
		if got := restoredSentence(restored); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
