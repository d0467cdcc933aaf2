package click

import (
	"strings"
	"testing"
	"time"
)

func TestTheFormatOfAFileIsInItsName(t *testing.T) {
	for path, want := range map[string]AdFormat{
		"imports/ads.parquet": AdsParquet, "ADS.CSV": AdsCSV, "a/b.csv.gz": AdsGzipCSV, "ads.xlsx": "", "parquet": "", "ads.gz": "",
	} {
		if got, err := AdFormatOf(path); got != want || (err == nil) != (want != "") {
			t.Errorf("%s is %q, %v; want %q", path, got, err, want)
		}
	}
}

func TestTheRowsOfAFileAreAsOldAsIt(t *testing.T) {
	at := time.Date(2026, 11, 26, 5, 0, 0, 0, time.UTC)
	now := uint64(at.Add(time.Hour).UnixMicro())
	file := AdFile{ETag: "a", Modified: at}
	version := file.Version(now)
	if version < uint64(at.UnixMicro()) || version >= uint64(at.Add(time.Millisecond).UnixMicro()) {
		t.Errorf("version %d is not of %v", version, at)
	}
	if again := file.Version(now + 1_000_000); again != version {
		t.Errorf("imported later it has version %d, not %d", again, version)
	}
	if other := (AdFile{ETag: "b", Modified: at}).Version(now); other == version {
		t.Error("two files of one instant have one version")
	}
	if ahead := file.Version(uint64(at.Add(-time.Minute).UnixMicro())); ahead != uint64(at.Add(-time.Minute).UnixMicro()) {
		t.Errorf("a file from the future has version %d", ahead)
	}
}

func TestColumnsAreThoseOfAdsAndNoOthers(t *testing.T) {
	for names, want := range map[string]string{
		"ad_id,advertiser_id,name,landing_url":               "",
		"status,landing_url,name,advertiser_id,ad_id":        "",
		"ad_id,advertiser_id,name,landing_url,statsu":        `a column "statsu"`,
		"ad_id,advertiser_id,name,landing_url,status,status": "status is there twice",
		"ad_id,name,landing_url":                             "advertiser_id is missing",
	} {
		_, err := AdColumnsOf(strings.Split(names, ","))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", names, err)
		}
	}
}

func TestACellThatCannotBeReadIsTheRowsFault(t *testing.T) {
	for _, one := range []struct {
		column AdColumn
		cell   string
		want   string
	}{
		{AdColumnID, "9223372036854775807", ""},
		{AdColumnID, "", "ad_id is missing"},
		{AdColumnID, "0", "ad_id must be from 1"},
		{AdColumnAdvertiserID, "-5", "advertiser_id must be from 1"},
		{AdColumnAdvertiserID, "1.0", "is not a whole number"},
		{AdColumnID, "9223372036854775808", "is not a whole number"},
		{AdColumnStatus, "", ""},
		{AdColumnStatus, "PAUSED", ""},
		{AdColumnStatus, "paused", "is neither ACTIVE nor PAUSED"},
	} {
		row := NewAdRow(1)
		row.Text(one.column, one.cell)
		if (row.Fault == "") != (one.want == "") || !strings.Contains(row.Fault, one.want) {
			t.Errorf("%s %q: %q", one.column, one.cell, row.Fault)
		}
	}
	row := NewAdRow(1)
	row.Text(AdColumnID, "x")
	row.Text(AdColumnStatus, "y")
	if !strings.HasPrefix(row.Fault, "ad_id") {
		t.Errorf("the fault is %q, not the first one", row.Fault)
	}
}
