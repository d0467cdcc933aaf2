package main

import (
	"context"
	"errors"
	"slices"
	"testing"
)

func TestOwnersAreAskedOnceAndNobodyIsAnothers(t *testing.T) {
	o, err := newOwners()
	if err != nil {
		t.Fatal(err)
	}
	whose := map[int64]int64{1: 7, 2: 7, 3: 8}
	var asked []int64
	ask := func(_ context.Context, advertiser int64, ads []int64) (bool, error) {
		asked = append(asked, ads...)
		return !slices.ContainsFunc(ads, func(id int64) bool { return whose[id] != advertiser }), nil
	}
	for _, step := range []struct {
		advertiser int64
		ads, asked []int64
		own        bool
	}{
		{7, []int64{1}, []int64{1}, true},
		{7, []int64{1, 2}, []int64{2}, true},
		{7, []int64{1, 2}, nil, true},
		{8, []int64{3, 1}, nil, false}, // known to be another's
		{7, []int64{1, 3}, []int64{3}, false},
		{8, []int64{3}, []int64{3}, true}, // what was refused is not remembered
		{8, []int64{9}, []int64{9}, false},
		{8, []int64{9}, []int64{9}, false},
	} {
		asked = nil
		own, err := o.own(t.Context(), step.advertiser, step.ads, ask)
		if err != nil || own != step.own || !slices.Equal(asked, step.asked) {
			t.Errorf("%d, %v: own %v, asked %v, %v", step.advertiser, step.ads, own, asked, err)
		}
	}
}

func TestAdvertisersThatAreNotThereAreAskedForEachTime(t *testing.T) {
	o, err := newOwners()
	if err != nil {
		t.Fatal(err)
	}
	there, failure, asked := false, errors.New("away"), 0
	ask := func(context.Context, int64) (bool, error) { asked++; return there, failure }
	look := func(want bool, wantErr error, wantAsked int) {
		t.Helper()
		got, err := o.exists(t.Context(), 7, ask)
		if got != want || !errors.Is(err, wantErr) || asked != wantAsked {
			t.Errorf("exists %v, %v, asked %d times", got, err, asked)
		}
	}
	look(false, failure, 1)
	failure = nil
	look(false, nil, 2)
	there = true
	look(true, nil, 3)
	there = false
	look(true, nil, 3) // none is ever removed
}
