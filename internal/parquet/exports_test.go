package parquet

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"clickledger/internal/click"
)

// comesBack encodes rows and decodes them.
func comesBack[T comparable](t *testing.T, rows []T, encode func([]T) ([]byte, error), decode func([]byte) ([]T, error)) {
	t.Helper()
	file, err := encode(rows)
	if err != nil {
		t.Fatal(err)
	}
	again, err := encode(rows)
	if err != nil || !slices.Equal(file, again) {
		t.Errorf("%T: the same rows are not the same bytes, %v", rows, err)
	}
	got, err := decode(file)
	if err != nil || !slices.Equal(got, rows) {
		t.Errorf("%T: %d rows came back as %d, or otherwise, %v", rows, len(rows), len(got), err)
	}
	if _, err := decode(file[:len(file)/2]); err == nil {
		t.Errorf("%T: half a file was read", rows)
	}
}

func TestEveryRowOfAnExportComesBackAsItWas(t *testing.T) {
	const rows = 2*rowsPerCopy + 1
	advertisers, ads, fanOuts := make([]click.AdvertiserRow, rows), make([]click.Ad, rows), make([]click.FanOut, rows)
	audit := make([]click.AuditEvent, rows)
	keys, restatements := make([]click.APIKey, rows), make([]click.Restatement, rows)
	seals := make([]click.SealTime, rows)
	at := time.Date(2026, 11, 25, 10, 5, 0, 123_456_000, time.UTC)
	for i := range rows {
		id, version := int64(i+1), 1<<63+uint64(i)
		advertisers[i] = click.AdvertiserRow{Advertiser: click.Advertiser{ID: id, Name: fmt.Sprint("näme ", i)}, Version: version}
		ads[i] = click.Ad{
			ID: id, AdvertiserID: 7, Name: "ad", LandingURL: fmt.Sprintf("https://example.com/?a=%d&b='2'", i),
			Status: click.AdPaused, FanOut: click.FanOutCold, Version: version,
		}
		fanOuts[i] = click.FanOut{AdID: id, AdvertiserID: 7, FanOut: click.FanOutHot, Version: version}
		keys[i] = click.APIKey{ID: id, Role: click.RoleAdvertiser, AdvertiserID: 7, Name: "key", CreatedAt: at.Truncate(time.Millisecond), Version: version}
		keys[i].Hash[i%32] = byte(i)
		if i%2 == 0 {
			keys[i].ExpiresAt, keys[i].RevokedAt = at.Truncate(time.Hour), at.Truncate(time.Second)
			keys[i].CallsPerSecond = uint32(i)
		}
		audit[i] = click.AuditEvent{
			ID: id, At: at, Method: "CatalogService/UpdateAd", KeyID: id, Role: click.RoleAdmin, AdvertiserID: 7, Subject: fmt.Sprint("ad ", i), Detail: "d",
		}
		if i%2 == 0 {
			audit[i].EndedAt, audit[i].Code, audit[i].Message = at.Add(time.Second), "not_found", "there is no such ad"
		}
		restatements[i] = click.Restatement{
			AdvertiserID: 7, AdID: id, Minute: at.Truncate(time.Minute), ReplacedVersion: version, At: at, Before: 1, After: uint64(i), Reason: "late",
		}
	}
	for i := range seals {
		seals[i] = click.SealTime{Minute: at.Truncate(time.Minute), Version: 1<<63 + uint64(i), State: "SEALED", At: at.Truncate(time.Millisecond)}
	}
	comesBack(t, seals, EncodeSeals, DecodeSeals)
	comesBack(t, advertisers, EncodeAdvertisers, DecodeAdvertisers)
	comesBack(t, ads, EncodeAds, DecodeAds)
	comesBack(t, fanOuts, EncodeFanOuts, DecodeFanOuts)
	comesBack(t, keys, EncodeAPIKeys, DecodeAPIKeys)
	comesBack(t, audit, EncodeAuditEvents, DecodeAuditEvents)
	comesBack(t, restatements, EncodeRestatements, DecodeRestatements)
}

// Files of before keys had a limit of their own are restored, too.
func TestAnOlderFileOfKeysIsRead(t *testing.T) {
	type older struct {
		ID      int64    `parquet:"key_id"`
		Hash    [32]byte `parquet:"hash"`
		Role    string   `parquet:"role,dict"`
		Version uint64   `parquet:"version"`
	}
	file, err := encode([]int64{5, 6}, func(id *int64) older { return older{ID: *id, Role: "ADMIN", Version: 9} })
	if err != nil {
		t.Fatal(err)
	}
	keys, err := DecodeAPIKeys(file)
	if err != nil || len(keys) != 2 || keys[1].ID != 6 || keys[1].Role != click.RoleAdmin || keys[1].Version != 9 || keys[1].CallsPerSecond != 0 {
		t.Errorf("%+v, %v", keys, err)
	}
}
