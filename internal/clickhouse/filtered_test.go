package clickhouse

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
)

var filteredMinute = click.WindowOf(time.Now().Add(-time.Hour))

// reported is count clicks of an ad that a gateway did not produce.
func reported(ad int64, minute int, reason click.Verdict, count, id uint64) click.Filtered {
	return click.Filtered{
		Window: minuteAfter(minute), AdvertiserID: 7, AdID: ad, Reason: reason, Count: count, ID: click.NewArrivalID(1, id),
	}
}

// dropped is a click that the ingester did not count.
func dropped(ad int64, minute int, arrival click.ArrivalID) click.Filtered {
	return click.Filtered{
		Window: minuteAfter(minute), AdvertiserID: 7, AdID: ad, Reason: click.Duplicate, Count: 1, ID: arrival, Arrival: true,
	}
}

func minuteAfter(minutes int) click.Window {
	return click.WindowOf(filteredMinute.Start().Add(time.Duration(minutes) * time.Minute))
}

func insertAllFiltered(t *testing.T, store *Store, batches ...[]click.Filtered) {
	t.Helper()
	for _, batch := range batches {
		if err := store.InsertFiltered(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
}

// filteredQuery asks for the first five minutes, as one point each.
func filteredQuery() ReportQuery {
	return ReportQuery{AdvertiserID: 7, From: filteredMinute.Start(), To: minuteAfter(5).Start(), RowsMax: 100}
}

// filteredAt is a figure of duplicate, expired, paused and prefetched clicks.
func filteredAt(ad int64, minute int, byReason ...uint64) FilteredFigure {
	return FilteredFigure{AdID: ad, Start: minuteAfter(minute).Start(), ByReason: byReason}
}

func wantFiltered(t *testing.T, store *Store, q ReportQuery, want ...FilteredFigure) {
	t.Helper()
	got, err := store.FilteredFigures(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(got, want, func(a, b FilteredFigure) bool { return reflect.DeepEqual(a, b) }) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFilteredClicksAreSummedByReasonAndPoint(t *testing.T) {
	store, _ := clickStore(t)
	foreign := reported(1, 0, click.Expired, 50, 90)
	foreign.AdvertiserID = 8
	insertAllFiltered(t, store, []click.Filtered{
		reported(1, 0, click.Duplicate, 1, 1), reported(1, 0, click.Duplicate, 2, 2), // of two gateways, say
		reported(1, 0, click.Expired, 3, 3), reported(2, 0, click.Paused, 4, 4), reported(2, 1, click.Prefetch, 5, 5),
		reported(1, -1, click.Expired, 50, 6), reported(1, 5, click.Expired, 50, 7), foreign, // none asked for
	})
	q := filteredQuery()
	wantFiltered(t, store, q, filteredAt(0, 0, 3, 3, 4, 0), filteredAt(0, 1, 0, 0, 0, 5))
	q.AdIDs = []int64{2}
	wantFiltered(t, store, q, filteredAt(0, 0, 0, 0, 4, 0), filteredAt(0, 1, 0, 0, 0, 5))
	q.AdIDs, q.ByAd, q.Starts = nil, true, []time.Time{minuteAfter(-30).Start()}
	wantFiltered(t, store, q, filteredAt(1, -30, 3, 3, 0, 0), filteredAt(2, -30, 0, 0, 4, 5))
}

func TestRedeliveredReportCountsOnce(t *testing.T) {
	store, _ := clickStore(t)
	batch := []click.Filtered{
		reported(1, 0, click.Expired, 3, 1), reported(1, 0, click.Paused, 3, 1), reported(1, 1, click.Expired, 3, 1),
		dropped(1, 0, click.NewArrivalID(9, 1)),
	}
	insertAllFiltered(t, store, batch, batch, append(slices.Clone(batch), dropped(1, 0, click.NewArrivalID(9, 2))))
	wantFiltered(t, store, filteredQuery(), filteredAt(0, 0, 2, 3, 3, 0), filteredAt(0, 1, 0, 3, 0, 0))
	// Also when the server has merged them meanwhile.
	if err := store.conn.Exec(t.Context(), "OPTIMIZE TABLE clicks_filtered_local FINAL"); err != nil {
		t.Fatal(err)
	}
	wantFiltered(t, store, filteredQuery(), filteredAt(0, 0, 2, 3, 3, 0), filteredAt(0, 1, 0, 3, 0, 0))
}

func TestCopiesOfTheCountedClickAreNotFiltered(t *testing.T) {
	store, _ := clickStore(t)
	counted := make([]click.Placed, 3)
	for i := range counted {
		at := minuteAfter(i).Start().Add(time.Second)
		counted[i] = placedClick(t, at, at, int64(i+1))
	}
	if err := store.InsertClicks(t.Context(), counted); err != nil {
		t.Fatal(err)
	}
	ad := counted[0].AdID
	insertAllFiltered(t, store, []click.Filtered{
		dropped(ad, 0, counted[0].Arrival),         // redelivered
		dropped(ad, 0, click.NewArrivalID(9, 1)),   // clicked again
		dropped(ad, 1, counted[1].Arrival),         // a copy alone in its minute
		dropped(ad, 4, click.NewArrivalID(9, 2)),   // clicked again, much later
		dropped(ad+1, 2, click.NewArrivalID(9, 3)), // another ad
	})
	q := filteredQuery()
	wantFiltered(t, store, q, filteredAt(0, 0, 1, 0, 0, 0), filteredAt(0, 2, 1, 0, 0, 0), filteredAt(0, 4, 1, 0, 0, 0))
	q.ByAd, q.AdIDs = true, []int64{ad}
	wantFiltered(t, store, q, filteredAt(ad, 0, 1, 0, 0, 0), filteredAt(ad, 4, 1, 0, 0, 0))

	// A report whose id happens to be an arrival id is no copy of anything.
	insertAllFiltered(t, store, []click.Filtered{{
		Window: minuteAfter(1), AdvertiserID: 7, AdID: ad, Reason: click.Duplicate, Count: 6, ID: counted[2].Arrival,
	}})
	q.AdIDs = nil
	q.Starts = []time.Time{q.From}
	wantFiltered(t, store, q, filteredAt(ad, 0, 8, 0, 0, 0), filteredAt(ad+1, 0, 1, 0, 0, 0))
}

// A click the ingester counted and a repair took back: its copy is one that was
// not counted.
func TestCopyOfADeletedClickIsFiltered(t *testing.T) {
	store, _ := clickStore(t)
	at := filteredMinute.Start()
	counted := placedClick(t, at, at, 1)
	if err := store.InsertClicks(t.Context(), []click.Placed{counted}); err != nil {
		t.Fatal(err)
	}
	insertAllFiltered(t, store, []click.Filtered{dropped(counted.AdID, 0, counted.Arrival)})
	wantFiltered(t, store, filteredQuery())
	if err := store.conn.Exec(t.Context(),
		"INSERT INTO clicks SELECT * REPLACE (9 AS version, 1 AS is_deleted) FROM clicks"); err != nil {
		t.Fatal(err)
	}
	wantFiltered(t, store, filteredQuery(), filteredAt(0, 0, 1, 0, 0, 0))
}

func TestOnlyAServerThatIsAwayIsWaitedForByFilteredClicks(t *testing.T) {
	for name, test := range map[string]struct {
		err            error
		rejected, away bool
	}{
		"cut connection": {errors.New("read: connection reset by peer"), false, true},
		"memory limit":   {&ch.Exception{Code: codeMemoryLimit}, false, true},
		"unknown table":  {&ch.Exception{Code: codeUnknownTable}, false, false},
		"disk full":      {&ch.Exception{Code: 243}, false, false},
		"out of range":   {&ch.Exception{Code: codeValueOutOfRange}, true, false},
	} {
		got := filteredError(test.err)
		if errors.Is(got, click.ErrRejected) != test.rejected || errors.Is(got, click.ErrUnavailable) != test.away {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Past days are remembered, until something is added to one of them; of copies,
// which may be found to be none, nothing is.
func TestWhatWasNotCountedInPastDaysIsToldAsItIs(t *testing.T) {
	store, _ := clickStore(t)
	const past = -8 * 24 * 60
	q := filteredQuery()
	q.From, q.Starts = minuteAfter(past).Start(), []time.Time{minuteAfter(past).Start()}
	insertAllFiltered(t, store, []click.Filtered{reported(1, past, click.Duplicate, 1, 1), reported(1, 0, click.Expired, 2, 2)})
	for range 3 {
		wantFiltered(t, store, q, filteredAt(0, past, 1, 2, 0, 0))
	}
	if remembered := store.parts.answers.EstimatedSize(); remembered != 1 {
		t.Errorf("%d answers are remembered, want that of the past days", remembered)
	}
	insertAllFiltered(t, store, []click.Filtered{reported(1, past+1, click.Duplicate, 4, 3)})
	wantFiltered(t, store, q, filteredAt(0, past, 5, 2, 0, 0))
	insertAllFiltered(t, store, []click.Filtered{reported(1, 1, click.Expired, 4, 4)})
	wantFiltered(t, store, q, filteredAt(0, past, 5, 6, 0, 0))

	q.ByAd, q.Starts = true, []time.Time{minuteAfter(past).Start(), minuteAfter(0).Start()}
	wantFiltered(t, store, q, filteredAt(1, past, 5, 0, 0, 0), filteredAt(1, 0, 0, 6, 0, 0))

	at := minuteAfter(past).Start()
	counted := placedClick(t, at, at, 1)
	insertAllFiltered(t, store, []click.Filtered{dropped(counted.AdID, past, counted.Arrival)})
	sum := filteredQuery()
	sum.From, sum.To, sum.Starts = at, at.Add(time.Minute), nil
	wantFiltered(t, store, sum, filteredAt(0, past, 2, 0, 0, 0))
	if err := store.InsertClicks(t.Context(), []click.Placed{counted}); err != nil {
		t.Fatal(err)
	}
	wantFiltered(t, store, sum, filteredAt(0, past, 1, 0, 0, 0)) // it was the counted click itself
}
