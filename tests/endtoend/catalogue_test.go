package endtoend

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"
	temporalclient "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	"clickledger/internal/clickhouse"
	v1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/tests/client"
	"clickledger/tests/fleet"
)

// The store is lost with everything in it. Setup brings back the catalogue, the
// keys (as hashes) and what was restated, and the programs go on.
func TestSetupRestoresTheCatalogueOfALostStore(t *testing.T) {
	t.Parallel()
	f := fleet.Start(t, programs, nil)
	ctx := t.Context()
	advertiser, err := f.Admin.NewAdvertiser(ctx, "Advertiser", 3)
	if err != nil {
		t.Fatal(err)
	}
	paused := v1.AdStatus_AD_STATUS_PAUSED
	if _, err := f.Admin.Catalog.UpdateAd(ctx, &v1.UpdateAdRequest{AdId: advertiser.Ads[1].GetAdId(), Status: &paused}); err != nil {
		t.Fatal(err)
	}
	revoked := newKey(t, f, advertiser.ID, time.Time{})
	if _, err := f.Admin.Catalog.RevokeApiKey(ctx, &v1.RevokeApiKeyRequest{KeyId: revoked.GetKeyId()}); err != nil {
		t.Fatal(err)
	}
	limited := newKey(t, f, advertiser.ID, time.Now().Add(24*time.Hour))

	store, err := clickhouse.Open(f.Config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	restatement := click.Restatement{
		AdvertiserID: advertiser.ID, AdID: advertiser.Ads[0].GetAdId(), Minute: time.Now().UTC().Truncate(time.Minute).Add(-time.Hour),
		ReplacedVersion: 9, At: time.Now().UTC().Truncate(time.Microsecond), Before: 1, After: 2, Reason: "late",
	}
	hot := click.FanOut{AdID: advertiser.Ads[2].GetAdId(), AdvertiserID: advertiser.ID, FanOut: click.FanOutHot, Version: 7}
	seal := click.SealTime{Minute: restatement.Minute, Version: 9, State: "SEALED", At: restatement.Minute.Add(time.Minute)}
	if err := errors.Join(store.InsertRestatements(ctx, []click.Restatement{restatement}), store.InsertSeals(ctx, []click.SealTime{seal}), store.SetFanOuts(ctx, []click.FanOut{hot})); err != nil {
		t.Fatal(err)
	}
	before := listed(t, f, advertiser.ID)

	if err := exportCatalogue(ctx, f, "first"); err != nil {
		t.Fatal(err)
	}
	if err := f.Gateway.Stop(); err != nil { // it knows ads and keys
		t.Fatal(err)
	}
	if err := errors.Join(clickhouse.DropDatabase(ctx, f.Config), clickhouse.Migrate(ctx, f.Config)); err != nil {
		t.Fatal(err)
	}
	var said *temporal.ApplicationError
	if err := exportCatalogue(ctx, f, "lost"); !errors.As(err, &said) || said.Type() != "Shrunk" {
		t.Errorf("an export of the empty store: %v", err)
	}
	for range 2 { // the second time nothing is missing
		if err := f.Setup(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Gateway.Start(), f.Gateway.Ready(ctx)); err != nil {
		t.Fatal(err)
	}

	after := listed(t, f, advertiser.ID)
	if !slices.EqualFunc(before, after, func(a, b *v1.Ad) bool { return proto.Equal(a, b) }) || len(after) != 3 {
		t.Errorf("the ads are %v, want %v", after, before)
	}
	for what, key := range map[string]struct {
		key   string
		opens bool
	}{"the advertiser's own": {advertiser.Key, true}, "one that expires tomorrow": {limited.GetApiKey(), true}, "a revoked one": {revoked.GetApiKey(), false}} {
		_, err := client.New(f.URL, key.key).Catalog.ListAds(ctx, &v1.ListAdsRequest{AdvertiserId: advertiser.ID})
		if key.opens && err != nil || !key.opens && connect.CodeOf(err) != connect.CodeUnauthenticated {
			t.Errorf("%s: %v", what, err)
		}
	}
	keys, err := f.Admin.Catalog.ListApiKeys(ctx, &v1.ListApiKeysRequest{AdvertiserId: advertiser.ID})
	if err != nil || len(keys.GetApiKeys()) != 3 {
		t.Errorf("the keys are %v, %v", keys, err)
	}
	var restatements []click.Restatement
	err = store.EachRestatement(ctx, func(r click.Restatement) error { restatements = append(restatements, r); return nil })
	if err != nil || !slices.Equal(restatements, []click.Restatement{restatement}) {
		t.Errorf("the restatements are %+v, %v", restatements, err)
	}
	var seals []click.SealTime // and those of this fleet
	err = store.EachSeal(ctx, func(s click.SealTime) error { seals = append(seals, s); return nil })
	if err != nil || !slices.Contains(seals, seal) {
		t.Errorf("the seals are %+v, %v", seals, err)
	}
	if ads, err := store.HotAds(ctx); err != nil || !slices.Equal(ads, []click.FanOut{hot}) {
		t.Errorf("the hot ads are %+v, %v", ads, err)
	}

	// A restoration that was cut short, and a row that is newer than the export.
	if err := errors.Join(clickhouse.DropDatabase(ctx, f.Config), clickhouse.Migrate(ctx, f.Config)); err != nil {
		t.Fatal(err)
	}
	newer := click.Ad{
		ID: advertiser.Ads[0].GetAdId(), AdvertiserID: advertiser.ID, Name: "newer", LandingURL: "https://example.com/newer",
		Status: click.AdActive, FanOut: click.FanOutCold, Version: uint64(time.Now().Add(time.Hour).UnixMicro()),
	}
	if err := store.InsertAds(ctx, []click.Ad{newer}); err != nil {
		t.Fatal(err)
	}
	if err := f.Setup(ctx); err != nil {
		t.Fatal(err)
	}
	ads, err := store.AdsOf(ctx, advertiser.ID, 0, 10)
	if err != nil || len(ads) != 3 || !slices.Contains(ads, newer) {
		t.Errorf("the ads are %+v, %v", ads, err)
	}
}

func newKey(t *testing.T, f *fleet.Fleet, advertiserID int64, expires time.Time) *v1.CreateApiKeyResponse {
	t.Helper()
	in := &v1.CreateApiKeyRequest{Role: v1.Role_ROLE_ADVERTISER, AdvertiserId: advertiserID, Name: "key"}
	if !expires.IsZero() {
		in.ExpireTime = timestamppb.New(expires)
	}
	key, err := f.Admin.Catalog.CreateApiKey(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func listed(t *testing.T, f *fleet.Fleet, advertiserID int64) []*v1.Ad {
	t.Helper()
	ads, err := f.Admin.Catalog.ListAds(t.Context(), &v1.ListAdsRequest{AdvertiserId: advertiserID})
	if err != nil {
		t.Fatal(err)
	}
	return ads.GetAds()
}

// exportCatalogue exports by hand, as an operator would, and waits.
func exportCatalogue(ctx context.Context, f *fleet.Fleet, name string) error {
	server, err := temporalclient.Dial(temporalclient.Options{HostPort: f.Config.TemporalAddr, Namespace: f.Config.TemporalNamespace()})
	if err != nil {
		return err
	}
	defer server.Close()
	run, err := server.ExecuteWorkflow(ctx, temporalclient.StartWorkflowOptions{ID: "export-catalogue/" + name, TaskQueue: "operations"},
		"ExportCatalogue", struct{}{})
	if err != nil {
		return err
	}
	return run.Get(ctx, nil)
}
