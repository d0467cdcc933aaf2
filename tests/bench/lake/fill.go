package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"clickledger/internal/click"
	"clickledger/internal/parquet"
)

const (
	objectClicksMax = 500_000 // as the archive cuts
	adsOfAdvertiser = 10
	// usualDelay is the mean time from an impression to its click.
	usualDelay = 20 * time.Second
	// lookBackShare of the hour's impressions were issued in the hours before.
	lookBackShare = 0.01
	// repeatShare are clicks on what was just clicked.
	repeatShare = 0.01
	// keptShare of the earlier clicks are kept to be clicked again in the hour.
	keptShare = 1.0 / 300
)

// crowd makes up clicks in the order in which they come.
type crowd struct {
	random *rand.Rand
	ids    *rand.ChaCha8
	ads    int
	hour   click.Window
	kept   []click.Click // of the hours before
	last   click.Click
}

// next is the click of a moment.
func (c *crowd) next(at time.Time) click.Click {
	inHour := !click.WindowOf(at).Before(c.hour)
	var made click.Click
	switch dice := c.random.Float64(); {
	case inHour && dice < lookBackShare/2 && len(c.kept) > 0: // clicked before
		made = c.kept[c.random.IntN(len(c.kept))]
	case inHour && dice < lookBackShare:
		back := time.Duration(c.random.Int64N(int64(3 * time.Hour)))
		made = c.issue(c.hour.Start().Add(-back))
	case dice < lookBackShare+repeatShare && c.last.AdID != 0:
		made = c.last
	default:
		delay := 200*time.Millisecond + time.Duration(c.random.ExpFloat64()*float64(usualDelay))
		made = c.issue(at.Add(-delay))
	}
	made.ClickedAt = at
	made.Arrival = click.NewArrivalID(c.random.Uint64(), c.random.Uint64())
	c.last = made
	if !inHour && c.random.Float64() < keptShare {
		c.kept = append(c.kept, made)
	}
	return made
}

func (c *crowd) issue(at time.Time) click.Click {
	id, _ := click.NewImpressionID(at, c.ids) // it never fails
	ad := int64(c.random.IntN(c.ads)) + 1
	return click.Click{AdID: ad, AdvertiserID: ad/adsOfAdvertiser + 1, Impression: id}
}

// fill writes the lake as the archive would have: the hour, the hours before it
// and the window behind it.
func (b *bench) fill(ctx context.Context) error {
	if last, err := b.lake.LastManifest(ctx); err == nil { // kept
		b.hour = click.HourOf(last.Window.Start().Add(-time.Minute))
		b.stream.committed = click.Lake{Manifests: []click.Manifest{last}}.Archived()
		return nil
	}
	windows := (b.settings.HoursBefore + 1) * int(time.Hour/click.ArchiveLength)
	first := click.WindowOf(b.hour.Start().Add(-time.Duration(b.settings.HoursBefore) * time.Hour))
	people := &crowd{random: rand.New(rand.NewPCG(1, 2)), ids: rand.NewChaCha8([32]byte{1}), ads: b.settings.Ads, hour: b.hour}
	gap := time.Hour / time.Duration(b.settings.Clicks)
	next := make(click.Offsets, b.config.Partitions)
	began := time.Now()
	w := first
	for i := range windows + 1 {
		fmt.Printf("\rmaking the lake: window %d of %d, %v … ", i+1, windows+1, time.Since(began).Round(time.Second))
		clicks := make([][]click.Appended, b.config.Partitions)
		for at := w.Start(); i < windows && at.Before(click.ArchiveEnd(w)); at = at.Add(gap) {
			c := people.next(at.Truncate(time.Millisecond))
			p := click.Partition(c.AdID, c.Impression, click.FanOutHot, b.config.Partitions)
			clicks[p] = append(clicks[p], click.Appended{
				Placed:     click.Placed{Click: c, Position: click.Position{Partition: p, Offset: next[p] + int64(len(clicks[p]))}},
				AppendedAt: c.ClickedAt.Add(3 * time.Millisecond),
			})
		}
		if err := b.publish(ctx, w, clicks, next); err != nil {
			return err
		}
		w = click.NextArchive(w)
	}
	fmt.Println()
	b.stream.committed = next
	return nil
}

// publish writes a window's objects and its manifest.
func (b *bench) publish(ctx context.Context, w click.Window, clicks [][]click.Appended, next click.Offsets) error {
	m := click.Manifest{Version: click.ManifestVersion, Topic: b.config.ClicksTopic(), TopicID: b.stream.topic, Window: w, End: click.ArchiveEnd(w)}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	m.Ranges = make([]click.ArchivedRange, len(clicks))
	for p := range clicks {
		span := click.OffsetSpan{First: next[p], Next: next[p] + int64(len(clicks[p]))}
		next[p] = span.Next
		r := click.ArchivedRange{PartitionRange: click.PartitionRange{Partition: int32(p), OffsetSpan: span}, Rows: span.Len()}
		r.Objects = make([]click.LakeObject, len(span.Pieces(objectClicksMax)))
		m.Ranges[p] = r
		for i, piece := range span.Pieces(objectClicksMax) {
			group.Go(func() (err error) {
				r.Objects[i], err = b.put(ctx, w, int32(p), piece, clicks[p][piece.First-span.First:piece.Next-span.First])
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return b.lake.PublishManifest(context.WithoutCancel(ctx), m)
}

func (b *bench) put(ctx context.Context, w click.Window, partition int32, span click.OffsetSpan, clicks []click.Appended) (click.LakeObject, error) {
	o := click.LakeObject{Path: click.LakeObjectPath(w, partition, span), OffsetSpan: span, Rows: int64(len(clicks))}
	o.ClickedMin, o.ClickedMax = clicks[0].ClickedAt, clicks[len(clicks)-1].ClickedAt // they come in order
	o.AppendedMin, o.AppendedMax = clicks[0].AppendedAt, clicks[len(clicks)-1].AppendedAt
	file, err := parquet.EncodeClicks(clicks)
	if err != nil {
		return o, err
	}
	o.Bytes = int64(len(file))
	o.SHA256, err = b.lake.PutObject(ctx, o.Path, file)
	return o, err
}
