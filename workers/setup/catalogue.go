package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/lake"
	"clickledger/internal/parquet"
	"clickledger/internal/s3"
)

// restoreCatalogue restores the tables that the store has lost, and says which.
func restoreCatalogue(ctx context.Context, c config.Config) (string, error) {
	store, err := clickhouse.Open(c)
	if err != nil {
		return "", err
	}
	defer func() { _ = store.Close() }()
	bucket, err := s3.Open(c)
	if err != nil {
		return "", err
	}
	restore := &lake.Restore{Lake: bucket, Tables: restoreTables(store)}
	restored, err := restore.Run(ctx)
	if err != nil {
		return "", err
	}
	return restoredSentence(restored), nil
}

func restoredSentence(restored lake.Restored) string {
	switch at := restored.Export.At.Format(time.RFC3339); {
	case restored.Export.At.IsZero():
		return "nothing was exported yet"
	case len(restored.Tables) == 0:
		return "nothing of the export of " + at + " is missing"
	default:
		counts := make([]string, len(restored.Tables))
		for i, t := range restored.Tables {
			counts[i] = fmt.Sprintf("%d %s", t.Rows, t.Table)
		}
		return "restored from the export of " + at + ": " + strings.Join(counts, ", ")
	}
}

// restoreTables is how the files of each table are read, and where they go.
func restoreTables(store *clickhouse.Store) map[click.ExportTable]lake.RestoreTable {
	rows := func(table click.ExportTable) func(context.Context) (int64, error) {
		return func(ctx context.Context) (int64, error) { return store.RowsOf(ctx, table) }
	}
	return map[click.ExportTable]lake.RestoreTable{
		click.ExportAdvertisers:  lake.NewRestoreTable(rows(click.ExportAdvertisers), parquet.DecodeAdvertisers, store.InsertAdvertisers),
		click.ExportAds:          lake.NewRestoreTable(rows(click.ExportAds), parquet.DecodeAds, store.InsertAds),
		click.ExportFanOuts:      lake.NewRestoreTable(rows(click.ExportFanOuts), parquet.DecodeFanOuts, store.SetFanOuts),
		click.ExportAPIKeys:      lake.NewRestoreTable(rows(click.ExportAPIKeys), parquet.DecodeAPIKeys, store.InsertAPIKeys),
		click.ExportRestatements: lake.NewRestoreTable(rows(click.ExportRestatements), parquet.DecodeRestatements, store.InsertRestatements),
		click.ExportAuditEvents:  lake.NewRestoreTable(rows(click.ExportAuditEvents), parquet.DecodeAuditEvents, store.InsertAuditEvents),
		click.ExportSeals:        lake.NewRestoreTable(rows(click.ExportSeals), parquet.DecodeSeals, store.InsertSeals),
	}
}
