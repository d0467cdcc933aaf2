package ingest

import (
	"context"
	"fmt"
	"time"

	"clickledger/internal/click"
)

// handle deals with one batch. The order of its last three steps must never
// change: insert, then mark, then commit (see the package).
func (i *Ingester) handle(ctx context.Context, stream Stream, clicks []click.Placed, dead []click.DeadLetter) error {
	fresh, stored, rejected, err := i.store(ctx, clicks)
	if err != nil {
		return err
	}
	if err := i.bury(ctx, stream, append(dead, rejected...)); err != nil {
		return err
	}
	if err := i.mark(ctx, stored); err != nil {
		return err
	}
	if err := i.noteDropped(ctx, clicks, fresh); err != nil {
		return err
	}
	if err := i.commit(ctx, stream); err != nil {
		return err
	}

	i.metrics.batchDone(len(stored), len(dead)+len(rejected))
	return nil
}

// store stores the clicks that count. One that the store refuses gives way to
// the next of its impression, which would count too if it came a batch later.
// Fresh are all that were to be stored.
func (i *Ingester) store(ctx context.Context, clicks []click.Placed) (fresh, stored []click.Placed, rejected []click.DeadLetter, err error) {
	for len(clicks) > 0 {
		next, err := i.dropCounted(ctx, clicks)
		if err != nil {
			return nil, nil, nil, err
		}
		took, refused, err := i.insert(ctx, next)
		if err != nil {
			return nil, nil, nil, err
		}
		fresh, stored, rejected = append(fresh, next...), append(stored, took...), append(rejected, refused...)
		clicks = afterRefused(clicks, refused)
	}
	return fresh, stored, rejected, nil
}

// dropCounted keeps the clicks that count if they are stored now: the first of
// each impression in the batch, unless the impression was counted before.
func (i *Ingester) dropCounted(ctx context.Context, clicks []click.Placed) ([]click.Placed, error) {
	first := firstOfEach(clicks)
	i.metrics.dropped.WithLabelValues("repeat").Add(float64(len(clicks) - len(first)))

	unseen, err := i.dropSeen(ctx, first)
	if err != nil {
		return nil, err
	}
	// What the index may have forgotten is asked of the store: slow, rare, exact.
	// Judged after the answer: the question may have waited long.
	now := time.Now()
	fresh, forgotten := split(unseen, func(c click.Placed) bool { return i.Seen.Remembers(c.Impression, now) })
	late, err := i.dropStored(ctx, forgotten)
	if err != nil {
		return nil, err
	}
	fresh = append(fresh, late...)
	i.metrics.dropped.WithLabelValues("seen").Add(float64(len(first) - len(fresh)))
	return fresh, nil
}

// dropSeen asks the seen index. There is no way around it: a click that was not
// asked about might be counted twice.
func (i *Ingester) dropSeen(ctx context.Context, clicks []click.Placed) ([]click.Placed, error) {
	if len(clicks) == 0 {
		return nil, nil
	}
	var seen []bool
	err := i.persist(ctx, stepAsk, func(ctx context.Context) (err error) {
		seen, err = i.Seen.Ask(ctx, impressionsOf(clicks))
		return err
	})
	return without(clicks, seen), err
}

func (i *Ingester) dropStored(ctx context.Context, clicks []click.Placed) ([]click.Placed, error) {
	if len(clicks) == 0 {
		return nil, nil
	}
	var stored []bool
	err := i.persist(ctx, stepLookUp, func(ctx context.Context) (err error) {
		stored, err = i.Store.StoredAmong(ctx, clicks, i.Validity)
		return err
	})
	return without(clicks, stored), err
}

func (i *Ingester) bury(ctx context.Context, stream Stream, letters []click.DeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	for _, letter := range letters {
		i.Log.Error("dead letter", "partition", letter.Partition, "offset", letter.Offset, "reason", letter.Reason)
	}
	return i.persist(ctx, stepBury, func(ctx context.Context) error { return stream.Bury(ctx, letters) })
}

func (i *Ingester) mark(ctx context.Context, stored []click.Placed) error {
	if len(stored) == 0 {
		return nil
	}
	return i.persist(ctx, stepMark, func(ctx context.Context) error { return i.Seen.Mark(ctx, impressionsOf(stored)) })
}

// commit is tried once: a refusal may mean that the partitions are another's by
// now, and only joining anew tells.
func (i *Ingester) commit(ctx context.Context, stream Stream) error {
	defer i.metrics.time(stepCommit)()
	try, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	if err := stream.Commit(try); err != nil {
		return fmt.Errorf("finish batch: %w", err)
	}
	return nil
}

// firstOfEach keeps the first click of every impression. Clicks of one
// impression share a partition and come in its order, so the first has the
// lowest offset: it wins, here as everywhere.
func firstOfEach(clicks []click.Placed) []click.Placed {
	met := make(map[click.ImpressionID]struct{}, len(clicks))
	first := make([]click.Placed, 0, len(clicks))
	for i := range clicks {
		if _, repeat := met[clicks[i].Impression]; !repeat {
			met[clicks[i].Impression] = struct{}{}
			first = append(first, clicks[i])
		}
	}
	return first
}

// afterRefused are the clicks that come after a refused one of their impression.
func afterRefused(clicks []click.Placed, refused []click.DeadLetter) []click.Placed {
	if len(refused) == 0 {
		return nil
	}
	culprits := make(map[click.Position]bool, len(refused))
	for _, letter := range refused {
		culprits[letter.Position] = true
	}
	after := map[click.ImpressionID]bool{}
	var next []click.Placed
	for _, c := range clicks {
		if after[c.Impression] {
			next = append(next, c)
		}
		if culprits[c.Position] {
			after[c.Impression] = true
		}
	}
	return next
}

// without is clicks less those whose flag is set.
func without(clicks []click.Placed, flags []bool) []click.Placed {
	kept := make([]click.Placed, 0, len(clicks))
	for i, flag := range flags {
		if !flag {
			kept = append(kept, clicks[i])
		}
	}
	return kept
}

func split(clicks []click.Placed, yes func(click.Placed) bool) (with, without []click.Placed) {
	for i, c := range clicks {
		if yes(c) {
			continue
		}
		// Rare: copy only from the first that differs.
		with = append(make([]click.Placed, 0, len(clicks)), clicks[:i]...)
		for _, c := range clicks[i:] {
			if yes(c) {
				with = append(with, c)
			} else {
				without = append(without, c)
			}
		}
		return with, without
	}
	return clicks, nil
}

func impressionsOf(clicks []click.Placed) []click.ImpressionID {
	ids := make([]click.ImpressionID, len(clicks))
	for i := range clicks {
		ids[i] = clicks[i].Impression
	}
	return ids
}
