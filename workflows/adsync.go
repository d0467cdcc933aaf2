package workflows

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"clickledger/activities"
)

// JobSync is the job of SyncCatalogue.
const JobSync Job = "sync"

var adSync *activities.AdSync // a typed nil: it only names the activities

// SyncCatalogueInput is empty: all ads are put, as far as there is room.
type SyncCatalogueInput struct{}

// SyncCatalogueResult is what was put into the cache.
type SyncCatalogueResult struct {
	Ads int64 `json:"ads"`
	// Full says that the cache took no more; the other ads are looked up in the
	// store when they are clicked.
	Full bool `json:"full,omitempty"`
}

// SyncProgress is how far it is.
type SyncProgress struct {
	SyncCatalogueResult
	Through int64 `json:"through,string"` // the last ad that was put
}

// SyncCatalogue fills the cache that all gateways share from the store, as far
// as it has room. It is never needed, for an ad is looked up when it is not
// there; it spares the store many look-ups at once after the cache was lost.
// Newer rows in the cache stay, so it is safe beside anything.
func SyncCatalogue(ctx workflow.Context, _ SyncCatalogueInput) (SyncCatalogueResult, error) {
	var p SyncProgress
	job := temporal.NewSearchAttributeKeyKeyword(JobAttribute).ValueSet(string(JobSync))
	if err := workflow.UpsertTypedSearchAttributes(ctx, job); err != nil {
		return p.SyncCatalogueResult, err
	}
	err := workflow.SetQueryHandlerWithOptions(ctx, ProgressQuery, func() (SyncProgress, error) { return p, nil },
		workflow.QueryHandlerOptions{Description: "how far it is"})
	if err != nil {
		return p.SyncCatalogueResult, err
	}
	for end := false; !end; {
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("%d ads put, the last one %d", p.Ads, p.Through))
		done, err := execute(ctx, optionsFor(stepSyncAds, fmt.Sprintf("ads behind %d", p.Through)), adSync.SyncAds, activities.SyncAdsInput{After: p.Through})
		if err != nil {
			return p.SyncCatalogueResult, err
		}
		p.Ads += done.Ads
		p.Through, p.Full = done.Through, done.Full
		end = done.End || done.Full
	}
	details := fmt.Sprintf("%d ads put: all there are", p.Ads)
	if p.Full {
		details = fmt.Sprintf("%d ads put: the cache is full, the others are looked up when they are clicked", p.Ads)
	}
	workflow.SetCurrentDetails(ctx, details)
	return p.SyncCatalogueResult, nil
}
