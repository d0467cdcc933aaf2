package click

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AdFormat is how a file of ads is written.
type AdFormat string

// The formats.
const (
	AdsParquet AdFormat = "parquet"
	AdsCSV     AdFormat = "csv"
	AdsGzipCSV AdFormat = "csv.gz"
)

// AdFormatOf tells the format of a file by its name.
func AdFormatOf(path string) (AdFormat, error) {
	for _, format := range []AdFormat{AdsParquet, AdsCSV, AdsGzipCSV} {
		if strings.HasSuffix(strings.ToLower(path), "."+string(format)) {
			return format, nil
		}
	}
	return "", fmt.Errorf("%q ends neither in .parquet nor in .csv or .csv.gz", path)
}

// AdFile is an object of the bucket with ads in it, as it was when it was looked
// at: what is read of it later must still be of that ETag.
type AdFile struct {
	Path     string    `json:"path"`
	Format   AdFormat  `json:"format"`
	ETag     string    `json:"etag"`
	Bytes    int64     `json:"bytes"`
	Modified time.Time `json:"modified"` // by the server that keeps it
}

// Version is the version of the rows of a file that is imported at now, the
// store's time in microseconds: they are as old as the file. So the same file
// again is the same rows, and what was changed after it was put into the bucket
// is newer than they are. Files of one instant are told apart by their content.
func (f AdFile) Version(now uint64) uint64 {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(f.ETag))
	at := uint64(f.Modified.UnixMilli())*1000 + uint64(hash.Sum32()%1000)
	return min(at, now) // a server whose clock is ahead must not date rows into the future
}

// AdCursor is a place in a file of ads, between two rows.
type AdCursor struct {
	Row    int64 `json:"row"`              // rows before it
	Offset int64 `json:"offset,omitempty"` // bytes of text before it; of CSV
}

// AdColumn is a column of a file of ads.
type AdColumn string

// The columns. All but the status are needed.
const (
	AdColumnID           AdColumn = "ad_id"
	AdColumnAdvertiserID AdColumn = "advertiser_id"
	AdColumnName         AdColumn = "name"
	AdColumnLandingURL   AdColumn = "landing_url"
	AdColumnStatus       AdColumn = "status"
)

// AdColumnsOf reads the names of a file's columns. One that is not known is
// refused: a mistyped "status" must not make every ad active.
func AdColumnsOf(names []string) ([]AdColumn, error) {
	known := []AdColumn{AdColumnID, AdColumnAdvertiserID, AdColumnName, AdColumnLandingURL, AdColumnStatus}
	columns := make([]AdColumn, len(names))
	for i, name := range names {
		columns[i] = AdColumn(name)
		switch {
		case !slices.Contains(known, columns[i]):
			return nil, fmt.Errorf("there is a column %q; the columns are ad_id, advertiser_id, name, landing_url and status", name)
		case slices.Contains(columns[:i], columns[i]):
			return nil, fmt.Errorf("the column %s is there twice", name)
		}
	}
	for _, needed := range known {
		if needed != AdColumnStatus && !slices.Contains(columns, needed) {
			return nil, fmt.Errorf("the column %s is missing", needed)
		}
	}
	return columns, nil
}

// AdRow is one row of a file of ads.
type AdRow struct {
	Row   int64 // its number, from 1; a header is none
	Ad    Ad    // without a version
	Fault string
}

// NewAdRow is a row before its cells are read.
func NewAdRow(row int64) AdRow {
	return AdRow{Row: row, Ad: Ad{Status: AdActive, FanOut: FanOutCold}}
}

// Text reads a cell.
func (r *AdRow) Text(column AdColumn, cell string) {
	switch column {
	case AdColumnID, AdColumnAdvertiserID:
		number, err := strconv.ParseInt(cell, 10, 64)
		switch {
		case cell == "":
			r.refuse(string(column) + " is missing")
		case err != nil:
			r.refuse(fmt.Sprintf("%s %.40q is not a whole number", column, cell))
		default:
			r.Number(column, number)
		}
	case AdColumnName:
		r.Ad.Name = cell
	case AdColumnLandingURL:
		r.Ad.LandingURL = cell
	case AdColumnStatus:
		switch status := AdStatus(cell); status {
		case "":
		case AdActive, AdPaused:
			r.Ad.Status = status
		default:
			r.refuse(fmt.Sprintf("status %.40q is neither ACTIVE nor PAUSED", cell))
		}
	default:
		r.refuse(fmt.Sprintf("no column %s is known", column))
	}
}

// Number reads a cell of an id.
func (r *AdRow) Number(column AdColumn, number int64) {
	switch {
	case number <= 0:
		r.refuse(fmt.Sprintf("%s must be from 1 to %d", column, int64(math.MaxInt64)))
	case column == AdColumnID:
		r.Ad.ID = number
	case column == AdColumnAdvertiserID:
		r.Ad.AdvertiserID = number
	default:
		r.refuse(string(column) + " is a number")
	}
}

// refuse notes the first fault of a row.
func (r *AdRow) refuse(fault string) {
	if r.Fault == "" {
		r.Fault = fault
	}
}

// RefusedRow is a row that is not imported, and why. In JSON its ad is text, as
// all such ids: what reads numbers as floats would show another.
type RefusedRow struct {
	Row    int64  `json:"row"`
	AdID   int64  `json:"ad_id,omitempty,string"` // 0: it could not be read
	Reason string `json:"reason"`
}

// AdVerdict is what becomes of an ad of a file, judged by what is stored.
type AdVerdict uint8

// The verdicts. The store's query gives them by number.
const (
	AdCreated       AdVerdict = iota + 1 // there was none
	AdUpdated                            // the file is newer, and says something else
	AdUnchanged                          // the store says the same
	AdStoredAlready                      // this very row is stored: by an attempt that died, or by the same import before
	AdNewer                              // it was changed after the file was written: it stays
	AdOfAnother                          // an ad never changes its advertiser
	AdOfNobody                           // there is no such advertiser
)

// AdRepeat is an ad that is in a file more than once.
type AdRepeat struct {
	AdID int64
	Rows []int64 // in order; the first one counts
}

// AdSlice is the staged ads with ids in (After, Through], in the order of ids.
type AdSlice struct {
	Import  string // the import that has staged them
	After   int64
	Through int64
	Last    bool // there are none behind it
}

// JudgedAd is an ad of a slice.
type JudgedAd struct {
	AdID     int64
	Row      int64 // the first it is in
	Repeated bool
	Verdict  AdVerdict
}

// AdChange says that an ad that was there before was changed; AdID 0: any may have been.
type AdChange struct {
	AdID    int64
	Version uint64
}
