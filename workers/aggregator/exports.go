package main

import (
	"clickledger/activities"
	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	"clickledger/internal/parquet"
)

// exportSources is where the rows of each exported table come from, and what
// file they become.
func exportSources(store *clickhouse.Store) map[click.ExportTable]activities.ExportSource {
	return map[click.ExportTable]activities.ExportSource{
		click.ExportAdvertisers:  activities.NewExportSource(store.EachAdvertiser, parquet.EncodeAdvertisers),
		click.ExportAds:          activities.NewExportSource(store.EachAd, parquet.EncodeAds),
		click.ExportFanOuts:      activities.NewExportSource(store.EachFanOut, parquet.EncodeFanOuts),
		click.ExportAPIKeys:      activities.NewExportSource(store.EachAPIKey, parquet.EncodeAPIKeys),
		click.ExportRestatements: activities.NewExportSource(store.EachRestatement, parquet.EncodeRestatements),
		click.ExportAuditEvents:  activities.NewExportSource(store.EachAuditEvent, parquet.EncodeAuditEvents),
		click.ExportSeals:        activities.NewExportSource(store.EachSeal, parquet.EncodeSeals),
	}
}
