package clickhouse_test

import (
	"testing"
	"time"

	"clickledger/internal/click"
)

func TestActionsOnALetterAreToldInTheirOrderAndOfItAlone(t *testing.T) {
	store := catalogueStore(t)
	at := time.UnixMilli(1_795_428_000_123).UTC()
	one := click.Origin{Topic: "clicks", Position: click.Position{Partition: 2, Offset: 9}, AppendedAt: at}
	anew := one // of a topic made anew
	anew.AppendedAt = at.Add(time.Millisecond)
	for _, a := range []click.LetterAction{
		{Origin: one, ActionID: 1, Action: click.LetterReplayed, Stage: click.LetterBegun, KeyID: 5, Note: "mended"},
		{Origin: one, ActionID: 1, Action: click.LetterReplayed, Stage: click.LetterDone, KeyID: 5, Note: "mended", Result: "2/10"},
		{Origin: anew, ActionID: 2, Action: click.LetterDiscarded, Stage: click.LetterDone},
	} {
		if err := store.AddLetterActions(t.Context(), []click.LetterAction{a}); err != nil {
			t.Fatal(err)
		}
	}
	found, err := store.LetterActions(t.Context(), []click.Origin{one})
	if err != nil {
		t.Fatal(err)
	}
	got := found[one]
	if len(found) != 1 || len(got) != 2 || got[0].Stage != click.LetterBegun || got[1].Result != "2/10" || got[1].KeyID != 5 ||
		time.Since(got[1].At).Abs() > time.Minute || click.StateOfLetter(got) != click.LetterReplayed {
		t.Errorf("found %+v", found)
	}
	if none, err := store.LetterActions(t.Context(), nil); err != nil || len(none) != 0 {
		t.Errorf("of no letters: %v, %v", none, err)
	}
}
