package parquet

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/parquet-go/parquet-go"

	"clickledger/internal/click"
)

// rowsPerGroup: a reader looks for impressions group by group, and reads groups
// side by side; smaller ones cost more than they spare.
const rowsPerGroup = 128 << 10

// row is one click of a file. The ids are plain bytes in the order of a UUID's
// text: not every reader knows Parquet's UUID.
type row struct {
	Impression   [16]byte `parquet:"impression_id"`
	ClickedAt    int64    `parquet:"clicked_at,timestamp(millisecond:utc)"`
	AppendedAt   int64    `parquet:"appended_at,timestamp(millisecond:utc),delta"`
	AdID         int64    `parquet:"ad_id"`
	AdvertiserID int64    `parquet:"advertiser_id"`
	Arrival      [16]byte `parquet:"arrival_id"`
	Partition    int32    `parquet:"partition,dict"`
	Offset       int64    `parquet:"offset"`
}

// EncodeClicks returns clicks as one file, sorted by impression id and then by
// offset. It sorts the slice it is given. The same clicks make the same bytes.
func EncodeClicks(clicks []click.Appended) ([]byte, error) {
	slices.SortFunc(clicks, func(a, b click.Appended) int {
		return cmp.Or(bytes.Compare(a.Impression[:], b.Impression[:]), cmp.Compare(a.Offset, b.Offset))
	})
	return encode(clicks, rowOf,
		parquet.MaxRowsPerRowGroup(rowsPerGroup),
		parquet.SortingWriterConfig(parquet.SortingColumns(parquet.Ascending("impression_id"), parquet.Ascending("offset"))))
}

func rowOf(c *click.Appended) row {
	return row{
		Impression: c.Impression, ClickedAt: c.ClickedAt.UnixMilli(), AppendedAt: c.AppendedAt.UnixMilli(),
		AdID: c.AdID, AdvertiserID: c.AdvertiserID, Arrival: c.Arrival, Partition: c.Partition, Offset: c.Offset,
	}
}
