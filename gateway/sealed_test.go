package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A report that asked first and is answered last must not put back how far
// minutes are sealed: a final figure would be provisional again.
func TestSealedThroughNeverGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		seal := new(recentSeal)
		ask := func(context.Context) (time.Time, error) {
			at := time.Now()
			if at.Equal(began) {
				time.Sleep(200 * time.Millisecond) // the first is slow
			}
			return at, nil
		}
		told := func() time.Time {
			through, err := seal.sealedThrough(t.Context(), ask)
			if err != nil {
				t.Error(err)
			}
			return through
		}
		go told()
		time.Sleep(100 * time.Millisecond)
		second := told()
		synctest.Wait()
		time.Sleep(110 * time.Millisecond)
		if last := told(); last.Before(second) {
			t.Errorf("sealed through %v after %v", last.Sub(began), second.Sub(began))
		}
	})
}

func TestSealedThroughIsAskedAgainAfterAFailure(t *testing.T) {
	seal, away := new(recentSeal), errors.New("away")
	if _, err := seal.sealedThrough(t.Context(), func(context.Context) (time.Time, error) { return time.Time{}, away }); !errors.Is(err, away) {
		t.Errorf("answered %v", err)
	}
	want := time.Unix(60, 0)
	for range 2 { // the second without asking
		got, err := seal.sealedThrough(t.Context(), func(context.Context) (time.Time, error) {
			defer func() { want = want.Add(time.Second) }()
			return want, nil
		})
		if err != nil || !got.Equal(time.Unix(60, 0)) {
			t.Errorf("%v, %v", got, err)
		}
	}
}
