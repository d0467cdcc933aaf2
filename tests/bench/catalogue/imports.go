package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"

	"clickledger/internal/click"
	"clickledger/internal/parquet"
	"clickledger/internal/valkey"
	"clickledger/tests/poll"
	"clickledger/workflows"
)

// adID is the id of ad i: as random as those the API draws.
func adID(i int) int64 {
	z := uint64(i+1) * 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int64((z ^ z>>31) >> 1)
}

// ads are the first count ads in a state: what their landing URLs say.
func (b *bench) ads(count int, state string) iter.Seq[click.Ad] {
	return func(yield func(click.Ad) bool) {
		for i := range count {
			advertiser := int64(i%b.settings.Advertisers + 1)
			if !yield(click.Ad{
				ID: adID(i), AdvertiserID: advertiser, Name: fmt.Sprintf("Autumn campaign %d", i),
				LandingURL: fmt.Sprintf("https://shop-%d.example.com/products/%d?from=clickledger&state=%s", advertiser, i, state), Status: click.AdActive,
			}) {
				return
			}
		}
	}
}

// imports imports a file of new ads, and then one of which some are changed.
func (b *bench) imports(ctx context.Context) error {
	fmt.Printf("writing a file of %d ads …\n", b.settings.Ads)
	var file bytes.Buffer
	if err := parquet.WriteImport(&file, b.ads(b.settings.Ads, "new")); err != nil {
		return err
	}
	b.result.FileBytes = file.Len()
	seconds, done, err := b.imported(ctx, "imports/new.parquet", file.Bytes())
	if err != nil {
		return err
	}
	if done.Created != int64(b.settings.Ads) {
		return fmt.Errorf("the import came to %+v", done)
	}
	b.result.ImportSeconds, b.result.ImportPerS = seconds, float64(b.settings.Ads)/seconds
	file.Reset()
	if err := parquet.WriteImport(&file, b.ads(b.settings.Changed, "changed")); err != nil {
		return err
	}
	seconds, done, err = b.imported(ctx, "imports/changed.parquet", file.Bytes())
	if err == nil && done.Updated != int64(b.settings.Changed) {
		err = fmt.Errorf("the second import came to %+v", done)
	}
	b.result.UpdateSeconds = seconds
	return errors.Join(err, b.awaitExport(ctx))
}

// imported imports a file, and tells how long it took.
func (b *bench) imported(ctx context.Context, object string, content []byte) (float64, workflows.ImportAdsResult, error) {
	var result workflows.ImportAdsResult
	if _, err := b.lake.PutObject(ctx, object, content); err != nil {
		return 0, result, err
	}
	fmt.Printf("importing %s (%d MB) …", object, len(content)>>20)
	began := time.Now()
	run, err := b.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "import/" + object, TaskQueue: workflows.OperationsQueue},
		workflows.ImportAds, workflows.ImportAdsInput{Object: object})
	if err == nil {
		err = run.Get(ctx, &result)
	}
	seconds := time.Since(began).Seconds()
	fmt.Printf(" %.1f s\n", seconds)
	return seconds, result, err
}

// awaitExport waits until no export runs: it would be measured too.
func (b *bench) awaitExport(ctx context.Context) error {
	fmt.Println("waiting for the exports after the imports …")
	return poll.Until(ctx, 30*time.Minute, time.Second, func(ctx context.Context) error {
		count, err := b.temporal.CountWorkflow(ctx, countRunning("ExportCatalogue"))
		if err == nil && count.GetCount() > 0 {
			err = fmt.Errorf("%d exports run", count.GetCount())
		}
		return err
	})
}

// sync fills the shared cache and looks at its memory.
func (b *bench) sync(ctx context.Context) error {
	cache, err := valkey.OpenCache(b.config, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer cache.Close()
	before, _, err := cache.Memory(ctx)
	if err != nil {
		return err
	}
	fmt.Print("filling the shared cache …")
	began := time.Now()
	run, err := b.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "sync-catalogue", TaskQueue: workflows.OperationsQueue},
		workflows.SyncCatalogue, workflows.SyncCatalogueInput{})
	var result workflows.SyncCatalogueResult
	if err == nil {
		err = run.Get(ctx, &result)
	}
	if err != nil {
		return err
	}
	seconds := time.Since(began).Seconds()
	fmt.Printf(" %.1f s\n", seconds)
	after, _, err := cache.Memory(ctx)
	if err != nil {
		return err
	}
	if result.Ads == 0 {
		return errors.New("the shared cache was full before: nothing could be put")
	}
	b.result.SyncAds, b.result.SyncFull, b.result.SyncPerS = result.Ads, result.Full, float64(result.Ads)/seconds
	b.result.CacheBytesPerAd = float64(after-before) / float64(result.Ads)
	return nil
}
