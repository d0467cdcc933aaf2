package activities

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"

	"go.temporal.io/sdk/activity"

	"clickledger/internal/click"
)

const (
	// importRowsMax is how many rows a file may have.
	importRowsMax = 100_000_000
	// loadRowsMax is how many rows one LoadAds stages: some ten seconds' work, so
	// that little is done again after a crash.
	loadRowsMax = 500_000
	// stageRowsMax is how many go to the store at a time: some 20 MB.
	stageRowsMax = 100_000
	// mergeRowsMax is how many staged rows one MergeAds goes through.
	mergeRowsMax = 200_000
	// refusedListed is how many refused rows an activity's result lists; all are
	// in the object it writes.
	refusedListed = 20
	// tellMax is how many ads are told of at a time: one pipeline's worth.
	tellMax = 1_000
	// tellReadMax is how many of them are read at a time: some 5 MB.
	tellReadMax = 10_000
)

// adFiles reads the files that ads are imported from.
type adFiles interface {
	Rows(ctx context.Context, f click.AdFile) (int64, error)
	Each(ctx context.Context, f click.AdFile, from click.AdCursor, rowsMax int, visit func(click.AdRow) error) (next click.AdCursor, end bool, err error)
}

// adObjects is the bucket that the files are in.
type adObjects interface {
	LookAtAds(ctx context.Context, path string) (click.AdFile, error)
	PutRefused(ctx context.Context, path string, content []byte) error
}

// adImportStore stages rows and makes ads of them.
type adImportStore interface {
	NextVersion(ctx context.Context) (uint64, error)
	StageAds(ctx context.Context, importID string, rows []click.AdRow) error
	NextAdSlice(ctx context.Context, importID string, after int64, rowsMax int) (click.AdSlice, error)
	JudgeAds(ctx context.Context, slice click.AdSlice, version uint64, visit func(click.JudgedAd)) error
	RepeatedAds(ctx context.Context, slice click.AdSlice) ([]click.AdRepeat, error)
	StoreAds(ctx context.Context, slice click.AdSlice, version uint64) error
	DropStagedAds(ctx context.Context, importID string) error
	AdsByID(ctx context.Context, adIDs []int64) ([]click.Ad, error)
	NoteAdChanges(ctx context.Context, changes []click.AdChange) error
}

// adCache is the cache all gateways share.
type adCache interface {
	adListeners
	Cached(ctx context.Context, adIDs []int64) ([]int64, error)
}

// AdImport is the activities that import a file of ads: look at it, stage its
// rows chunk by chunk, make ads of them slice by slice, tell the gateways.
type AdImport struct {
	Files   adFiles
	Objects adObjects
	Store   adImportStore
	Cache   adCache
	// Check is what the API says of an ad's name and landing URL.
	Check func(name, landingURL string) error
}

// PlanImportInput names the object.
type PlanImportInput struct {
	Object string `json:"object"` // in the bucket
}

// ImportPlan is what is imported, and as what. Every later step has it from the
// workflow's history, so none of them depends on when it runs.
type ImportPlan struct {
	ID      string       `json:"id"` // of the import: names what it stages
	File    click.AdFile `json:"file"`
	Rows    int64        `json:"rows"`    // -1: known at the end
	Version uint64       `json:"version"` // of the ads: see click.AdFile
	DryRun  bool         `json:"dry_run,omitempty"`
}

// RefusedPath is where rows refused by a step are listed; the same step writes
// over its own list.
func (p *ImportPlan) RefusedPath(step string) string {
	return path.Join("rejects", p.File.Path, p.ID, step+".csv")
}

// PlanImport looks at the object. It must be of a known format, with the columns
// of ads. It changes nothing.
func (im *AdImport) PlanImport(ctx context.Context, in PlanImportInput) (ImportPlan, error) {
	file, err := im.Objects.LookAtAds(ctx, in.Object)
	if errors.Is(err, click.ErrNotFound) {
		return ImportPlan{}, BadInput(fmt.Sprintf("there is no object %q in the bucket", in.Object))
	}
	if err != nil {
		return ImportPlan{}, translate(err)
	}
	rows, err := im.Files.Rows(ctx, file)
	if err != nil {
		return ImportPlan{}, translate(err)
	}
	if rows > importRowsMax {
		return ImportPlan{}, tooManyRows()
	}
	now, err := im.Store.NextVersion(ctx)
	if err != nil {
		return ImportPlan{}, err
	}
	return ImportPlan{
		ID: activity.GetInfo(ctx).WorkflowExecution.RunID, File: file, Rows: rows, Version: file.Version(now),
	}, nil
}

func tooManyRows() error {
	return BadInput(fmt.Sprintf("the file has more than %d rows: cut it", importRowsMax))
}

// LoadAdsInput is where to go on.
type LoadAdsInput struct {
	Plan ImportPlan     `json:"plan"`
	From click.AdCursor `json:"from"`
}

// LoadAdsResult is what was read. Of the refused rows the first few are listed.
type LoadAdsResult struct {
	Next    click.AdCursor     `json:"next"`
	End     bool               `json:"end"`
	Rows    int64              `json:"rows"`
	Staged  int64              `json:"staged"`
	Refused int64              `json:"refused,omitempty"`
	Listed  []click.RefusedRow `json:"listed,omitempty"`
}

// LoadAds reads the next rows of the file, refuses those that the API would
// refuse, and stages the others. A row has its number for a key, so an attempt
// that begins again stages the same. While rows are staged the next are read.
func (im *AdImport) LoadAds(ctx context.Context, in LoadAdsInput) (LoadAdsResult, error) {
	if in.From.Row >= importRowsMax {
		return LoadAdsResult{}, tooManyRows()
	}
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	batches, read := make(chan []click.AdRow), make(chan error, 1)
	out := LoadAdsResult{}
	refused := &refusals{}
	go func() {
		defer close(batches)
		err := im.read(reading, in, &out, refused, batches)
		read <- err
	}()
	staged := int64(0)
	var err error
	for batch := range batches {
		if err = im.Store.StageAds(ctx, in.Plan.ID, batch); err != nil {
			cancel()
			break
		}
		staged += int64(len(batch))
		activity.RecordHeartbeat(ctx, in.From.Row+staged)
	}
	for range batches { // the reader ends once nobody takes what it reads
	}
	if err = errors.Join(err, <-read); err != nil {
		return LoadAdsResult{}, translate(err)
	}
	out.Staged, out.Refused = staged, refused.count()
	if out.Listed, err = im.list(ctx, in.Plan, fmt.Sprintf("rows-%09d", in.From.Row+1), refused); err != nil {
		return LoadAdsResult{}, err
	}
	return out, nil
}

// read reads rows into batches of those to stage.
func (im *AdImport) read(ctx context.Context, in LoadAdsInput, out *LoadAdsResult, refused *refusals, batches chan<- []click.AdRow) error {
	batch := make([]click.AdRow, 0, stageRowsMax)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		select {
		case batches <- batch:
			batch = make([]click.AdRow, 0, stageRowsMax)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var err error
	out.Next, out.End, err = im.Files.Each(ctx, in.Plan.File, in.From, loadRowsMax, func(row click.AdRow) error {
		out.Rows++
		if row.Fault == "" {
			if err := im.Check(row.Ad.Name, row.Ad.LandingURL); err != nil {
				row.Fault = err.Error()
			}
		}
		if row.Fault != "" {
			refused.add(row.Row, row.Ad.ID, row.Fault)
			return nil
		}
		if batch = append(batch, row); len(batch) < stageRowsMax {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// MergeAdsInput is behind which ad to go on.
type MergeAdsInput struct {
	Plan  ImportPlan `json:"plan"`
	After int64      `json:"after"`
}

// MergeAdsResult is what became of a slice.
type MergeAdsResult struct {
	Through   int64              `json:"through"`
	End       bool               `json:"end"`
	Rows      int64              `json:"rows"` // of the file
	Created   int64              `json:"created"`
	Updated   int64              `json:"updated"`
	Unchanged int64              `json:"unchanged"`
	Newer     int64              `json:"newer"`
	Refused   int64              `json:"refused,omitempty"`
	Listed    []click.RefusedRow `json:"listed,omitempty"`
}

// MergeAds makes ads of the next staged rows. What is judged then is written by
// the same judgement; the versions decide whatever happens between. An attempt
// that died after it wrote may not have told of it, so the next one tells of
// what it finds written: see tell.
func (im *AdImport) MergeAds(ctx context.Context, in MergeAdsInput) (MergeAdsResult, error) {
	slice, err := im.Store.NextAdSlice(ctx, in.Plan.ID, in.After, mergeRowsMax)
	if err != nil {
		return MergeAdsResult{}, err
	}
	out := MergeAdsResult{Through: slice.Through, End: slice.Last}
	refused := &refusals{}
	var changed, written []int64
	repeated := false
	err = im.Store.JudgeAds(ctx, slice, in.Plan.Version, func(ad click.JudgedAd) {
		out.Rows++
		repeated = repeated || ad.Repeated
		switch ad.Verdict {
		case click.AdCreated:
			out.Created++
		case click.AdUpdated:
			out.Updated++
			changed = append(changed, ad.AdID)
		case click.AdStoredAlready:
			out.Unchanged++
			written = append(written, ad.AdID)
		case click.AdUnchanged:
			out.Unchanged++
		case click.AdNewer:
			out.Newer++
		case click.AdOfAnother:
			refused.add(ad.Row, ad.AdID, "ad_id is the ad of another advertiser: an ad never changes its advertiser")
		case click.AdOfNobody:
			refused.add(ad.Row, ad.AdID, "there is no such advertiser")
		default:
			refused.add(ad.Row, ad.AdID, fmt.Sprintf("it has the unknown verdict %d", ad.Verdict))
		}
	})
	if err != nil {
		return MergeAdsResult{}, err
	}
	if repeated {
		repeats, err := im.Store.RepeatedAds(ctx, slice)
		if err != nil {
			return MergeAdsResult{}, err
		}
		for _, r := range repeats {
			for _, row := range r.Rows[1:] {
				out.Rows++
				refused.add(row, r.AdID, fmt.Sprintf("ad_id is in row %d already", r.Rows[0]))
			}
		}
	}
	activity.RecordHeartbeat(ctx, slice.Through)
	if !in.Plan.DryRun {
		if out.Created+out.Updated > 0 {
			if err := im.Store.StoreAds(ctx, slice, in.Plan.Version); err != nil {
				return MergeAdsResult{}, err
			}
		}
		if err := im.tell(ctx, changed, written); err != nil {
			return MergeAdsResult{}, err
		}
	}
	out.Refused = refused.count()
	if out.Listed, err = im.list(ctx, in.Plan, fmt.Sprintf("ads-%019d", in.After), refused); err != nil {
		return MergeAdsResult{}, err
	}
	return out, nil
}

// tell puts changed ads into the shared cache, which tells the gateways: a
// look-up that read the old row before this may still come to put it there, and
// loses against the newer one. Of ads that were written before, those in the
// cache are put right. New ads are not told of: nobody can have an old row.
func (im *AdImport) tell(ctx context.Context, changed, written []int64) error {
	for ids := range slices.Chunk(written, tellMax) {
		cached, err := im.Cache.Cached(ctx, ids)
		if err != nil {
			return err
		}
		changed = append(changed, cached...)
		activity.RecordHeartbeat(ctx)
	}
	slices.Sort(changed) // ids beside each other are read together
	for ids := range slices.Chunk(changed, tellReadMax) {
		ads, err := im.Store.AdsByID(ctx, ids)
		if err != nil {
			return err
		}
		for some := range slices.Chunk(ads, tellMax) {
			if err := im.Cache.Put(ctx, some...); err != nil {
				return err
			}
			activity.RecordHeartbeat(ctx)
		}
	}
	return nil
}

// AnnounceImportInput is whose ads changed.
type AnnounceImportInput struct {
	Plan ImportPlan `json:"plan"`
}

// AnnounceImportResult is empty.
type AnnounceImportResult struct{}

// AnnounceImport tells gateways that did not hear of each ad, because they or
// the cache were away, that any ad may have changed.
func (im *AdImport) AnnounceImport(ctx context.Context, in AnnounceImportInput) (AnnounceImportResult, error) {
	return AnnounceImportResult{}, im.Store.NoteAdChanges(ctx, []click.AdChange{{Version: in.Plan.Version}})
}

// EndImportInput is which import ended.
type EndImportInput struct {
	Plan ImportPlan `json:"plan"`
}

// EndImportResult is empty.
type EndImportResult struct{}

// EndImport forgets what was staged.
func (im *AdImport) EndImport(ctx context.Context, in EndImportInput) (EndImportResult, error) {
	return EndImportResult{}, im.Store.DropStagedAds(ctx, in.Plan.ID)
}

// refusals are the refused rows of one step.
type refusals struct {
	rows []click.RefusedRow
}

func (r *refusals) add(row, adID int64, reason string) {
	r.rows = append(r.rows, click.RefusedRow{Row: row, AdID: adID, Reason: reason})
}

func (r *refusals) count() int64 { return int64(len(r.rows)) }

// list writes all refused rows of a step into the bucket, if there are any, and
// returns the first few.
func (im *AdImport) list(ctx context.Context, plan ImportPlan, step string, refused *refusals) ([]click.RefusedRow, error) {
	if len(refused.rows) == 0 {
		return nil, nil
	}
	slices.SortFunc(refused.rows, func(a, b click.RefusedRow) int { return int(a.Row - b.Row) })
	var content bytes.Buffer
	writer := csv.NewWriter(&content)
	err := writer.Write([]string{"row", "ad_id", "reason"})
	for _, r := range refused.rows {
		err = errors.Join(err, writer.Write([]string{strconv.FormatInt(r.Row, 10), strconv.FormatInt(r.AdID, 10), r.Reason}))
	}
	writer.Flush()
	if err = errors.Join(err, writer.Error()); err != nil {
		return nil, fmt.Errorf("write refused rows: %w", err)
	}
	if err := im.Objects.PutRefused(ctx, plan.RefusedPath(step), content.Bytes()); err != nil {
		return nil, err
	}
	return refused.rows[:min(len(refused.rows), refusedListed)], nil
}
