//go:build drill

package drills

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"clickledger/activities"
	"clickledger/internal/click"
	clickledgerv1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/tests/poll"
	"clickledger/workflows"
)

const sabotageClicks = 30_000

// Rows are deleted, rows are doubled and figures are changed behind the
// system's back. The next reconciliation finds each of it, repairs it and marks
// the minutes restated; the one after finds nothing. Then an object of the lake
// is removed: the hour is refused by its name, and nothing is deleted.
func TestSabotageIsFoundAndRepaired(t *testing.T) {
	t.Parallel()
	d := newLakeDrill(t, 2, 10)
	minutes := minutesAgo(3, 4, 6)
	d.send(t, sabotageClicks, minutes)
	sent := time.Now()
	d.awaitRight(t)
	d.awaitArchived(t, sent)
	rows := d.count(t, "SELECT count() FROM clicks FINAL")

	deleted, doubled, figures := minutes[0], minutes[1], minutes[2]
	d.execOnEachShard(t, "ALTER TABLE clicks_local DELETE WHERE minute = ? AND cityHash64(impression_id) % 10 = 0", deleted.Start())
	missing := rows - d.count(t, "SELECT count() FROM clicks FINAL")
	// The same impressions again, a minute later, as a second count of them would be.
	d.exec(t, `INSERT INTO clicks (minute, advertiser_id, ad_id, impression_id, clicked_at, arrival_id, partition, offset)
		SELECT minute + 60, advertiser_id, ad_id, impression_id, clicked_at + INTERVAL 60 SECOND, arrival_id, partition, offset
		FROM clicks FINAL WHERE minute = ? AND cityHash64(impression_id) % 20 = 0`, doubled.Start())
	surplus := d.count(t, "SELECT count() FROM clicks FINAL") - rows + missing
	d.exec(t, `INSERT INTO clicks_per_minute (advertiser_id, ad_id, minute, clicks, version)
		SELECT advertiser_id, ad_id, minute, clicks + 7, toUInt64(toUnixTimestamp64Micro(now64(6))) FROM clicks_per_minute FINAL WHERE minute = ? AND ad_id != 0 LIMIT 3`,
		figures.Start())
	// What was deleted and doubled has reached the figures, too.
	for _, minute := range []click.Window{deleted, doubled.Next()} {
		run[workflows.FlushWindowResult](t, d, "RepairWindow", "repair/"+minute.String(), fmt.Sprintf(`{"window":%q}`, minute))
	}
	wrong := d.differ(t)
	t.Logf("%d clicks deleted, %d doubled; %d figures are wrong", missing, surplus, len(wrong))
	if missing == 0 || surplus == 0 || len(wrong) < 3 {
		t.Fatal("the sabotage did not work")
	}

	first := d.reconcile(t, minutes)
	if first.Before.Missing != missing || first.Inserted != missing || first.Before.Surplus != surplus || first.Deleted != surplus || first.Restated == 0 || first.State != click.ReconciledRepaired {
		t.Errorf("it found and did %+v; %d were deleted, %d doubled", first, missing, surplus)
	}
	for _, minute := range []click.Window{deleted, doubled.Next(), figures} {
		if !slices.ContainsFunc(first.Before.Minutes, func(m click.MinuteDelta) bool { return m.Minute == minute }) {
			t.Errorf("minute %s was not found: %+v", minute, first.Before.Minutes)
		}
	}
	for _, difference := range d.differ(t) {
		t.Error(difference)
	}
	d.expectRestated(t, deleted, doubled.Next(), figures)
	d.expectNamed(t, wrong[0].AdID, wrong[0].Minute)

	if second := d.reconcile(t, minutes); second.State != click.ReconciledClean || second.Before.Lake != second.Before.Store {
		t.Errorf("a second reconciliation found %+v", second)
	}
	d.expectRefused(t)
}

// reconcile reconciles the minutes, and the one behind each, hour by hour, and
// returns what all came to: the worst state, and the sums.
func (d *lakeDrill) reconcile(t *testing.T, minutes []click.Window) workflows.ReconcileHourResult {
	t.Helper()
	all := workflows.ReconcileHourResult{State: click.ReconciledClean}
	for _, part := range hoursOf(minutes) {
		one := run[workflows.ReconcileHourResult](t, d, "ReconcileHour", workflows.ReconcileHourID(part.from), fmt.Sprintf(`{"from":%q,"to":%q}`, part.from, part.to))
		if one.State != click.ReconciledClean {
			all.State = one.State
		}
		all.Before.Lake += one.Before.Lake
		all.Before.Store += one.Before.Store
		all.Before.Missing += one.Before.Missing
		all.Before.Surplus += one.Before.Surplus
		all.Before.Minutes = append(all.Before.Minutes, one.Before.Minutes...)
		all.Inserted += one.Inserted
		all.Deleted += one.Deleted
		all.Restated += one.Restated
	}
	return all
}

// expectRestated: the advertisers see that the minutes were corrected.
func (d *lakeDrill) expectRestated(t *testing.T, minutes ...click.Window) {
	t.Helper()
	for _, minute := range minutes {
		restated := false
		for _, advertiser := range d.advertisers {
			read, err := advertiser.API.Figures(t.Context(), advertiser, minute.Start(), minute.End())
			if err != nil {
				t.Fatal(err)
			}
			restated = restated || read.States[minute.Start()] == clickledgerv1.State_STATE_RESTATED
		}
		if !restated {
			t.Errorf("minute %s is not marked as restated", minute)
		}
	}
}

// expectNamed: operators can list what differed.
func (d *lakeDrill) expectNamed(t *testing.T, ad int64, minute time.Time) {
	t.Helper()
	listed, err := d.fleet.Admin.Operations.ListDiscrepancies(t.Context(), &clickledgerv1.ListDiscrepanciesRequest{AdId: ad})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(listed.GetDiscrepancies(), func(found *clickledgerv1.Discrepancy) bool { return found.GetMinute().AsTime().Equal(minute) }) {
		t.Errorf("of ad %d in %s no difference is listed: %v", ad, minute, listed.GetDiscrepancies())
	}
}

// awaitArchived waits until what the stream took before is in the lake.
func (d *lakeDrill) awaitArchived(t *testing.T, before time.Time) {
	t.Helper()
	err := poll.Until(t.Context(), lakeWait, lakeInterval, func(ctx context.Context) error {
		last, err := d.lake.LastManifest(ctx)
		if err == nil && last.End.Before(before) {
			err = fmt.Errorf("archived up to %s only", last.End)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// expectRefused removes an object of the lake.
func (d *lakeDrill) expectRefused(t *testing.T) {
	t.Helper()
	last, err := d.lake.LastManifest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	objects := []click.LakeObject{}
	for w := last.Window; len(objects) == 0; w = click.ArchiveWindowOf(w.Start().Add(-click.ArchiveLength)) {
		m, err := d.lake.Manifest(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range m.Ranges {
			objects = append(objects, r.Objects...)
		}
	}
	gone := objects[0]
	if err := d.lake.RemoveObject(t.Context(), gone.Path); err != nil {
		t.Fatal(err)
	}
	before := d.count(t, "SELECT count() FROM clicks FINAL")
	minute := click.WindowOf(gone.ClickedMin)
	_, err = try[workflows.ReconcileHourResult](t, d, "ReconcileHour", workflows.ReconcileHourID(minute), fmt.Sprintf(`{"from":%q,"to":%q}`, minute, minute.Next()))
	var said *temporal.ApplicationError
	if !errors.As(err, &said) || said.Type() != activities.ErrorLakeIncomplete || !strings.Contains(said.Message(), gone.Path) {
		t.Errorf("without %s it ended with %v", gone.Path, err)
	}
	if after := d.count(t, "SELECT count() FROM clicks FINAL"); after != before {
		t.Errorf("%d clicks are stored, %d were", after, before)
	}
	for _, difference := range d.differ(t) {
		t.Error(difference)
	}
}

// span is some minutes of an hour.
type span struct{ from, to click.Window }

// hoursOf are the spans of the hours that the minutes, and the one behind each,
// are in.
func hoursOf(minutes []click.Window) []span {
	byHour := map[click.Window]span{}
	var hours []click.Window
	for _, minute := range minutes {
		for _, m := range []click.Window{minute, minute.Next()} {
			hour := click.HourOf(m.Start())
			s, known := byHour[hour]
			if !known {
				s, hours = span{m, m.Next()}, append(hours, hour)
			}
			if m.Before(s.from) {
				s.from = m
			}
			if s.to.Before(m.Next()) {
				s.to = m.Next()
			}
			byHour[hour] = s
		}
	}
	var spans []span
	for _, hour := range hours {
		spans = append(spans, byHour[hour])
	}
	return spans
}
