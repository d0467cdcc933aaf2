package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	v1 "clickledger/proto/gen/clickledger/v1"
)

const (
	// rawTries is how often the clicks themselves are asked; the quickest counts.
	rawTries = 2
	// rawAsked is the number of the question: of pages, one that is no more
	// clicked than most.
	rawAsked = 3
)

// rawQuestion is a question that the clicks themselves can answer.
type rawQuestion struct {
	of   subject // of one ad, if it names one
	span span
}

// counted is the clicks of a point of an ad, or of a sum.
type counted struct {
	ad, start int64
	clicks    uint64
}

// askRaw asks the clicks themselves what was just answered from figures, beside
// it, and compares.
func (b *bench) askRaw(ctx context.Context) error {
	say("asking the clicks themselves")
	for _, s := range b.shapes {
		if s.raw == nil {
			continue
		}
		told, err := s.ask(ctx, b.programs.admin.Reports, rawAsked)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		want := told.counted()
		query := s.raw.sql(told)
		var got []counted
		best := time.Duration(0)
		for range rawTries {
			began := time.Now()
			if got, err = b.rawCounted(ctx, query); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			if took := time.Since(began); best == 0 || took < best {
				best = took
			}
		}
		if err := same(want, got); err != nil {
			return fmt.Errorf("%s: figures and clicks differ: %w", s.name, err)
		}
		for _, c := range got {
			s.result.RawClicks += c.clicks
		}
		if told.top != nil { // the query reads all ads, the answer has the first
			if s.result.RawClicks, err = b.number(ctx, "SELECT count() FROM clicks WHERE "+s.raw.where()); err != nil {
				return err
			}
		}
		ratio := rounded(float64(best.Microseconds()) / 1000 / s.result.P50MS1)
		s.result.RawRatio = &ratio
		say("  %-50s %d clicks in %.1f s: %.0f times as long, the same answer", s.name, s.result.RawClicks, best.Seconds(), ratio)
	}
	return nil
}

func (q rawQuestion) where() string {
	where := fmt.Sprintf("advertiser_id = %d AND minute >= toDateTime(%d, 'UTC') AND minute < toDateTime(%d, 'UTC')", q.of.id, q.span.from.Unix(), q.span.to.Unix())
	if len(q.of.ads) > 0 {
		where += fmt.Sprintf(" AND ad_id = %d", q.of.ads[0])
	}
	return where
}

// sql is the question of the clicks: what counts the tail of a report that is
// not sealed yet, for all of it.
func (q rawQuestion) sql(told answer) string {
	if told.top != nil {
		return fmt.Sprintf("SELECT ad_id AS ad, toInt64(0) AS start, count() AS figure FROM clicks FINAL WHERE %s GROUP BY ad ORDER BY figure DESC, ad LIMIT %d", q.where(), topLimit)
	}
	ad, where := "toInt64(0)", q.where()
	if points := told.query.GetPoints(); points[0].AdId != nil { //nolint:protogetter // whether it is there
		ad = "ad_id"
		where += " AND ad_id IN (" + list(points, (*v1.Point).GetAdId) + ")"
	}
	starts := list(told.query.GetPoints(), func(p *v1.Point) int64 { return p.GetStartTime().GetSeconds() })
	return fmt.Sprintf("SELECT %s AS ad, toInt64(roundDown(toUnixTimestamp(minute), [%s])) AS start, count() AS figure FROM clicks FINAL WHERE %s GROUP BY ad, start ORDER BY ad, start", ad, starts, where)
}

// list is each value of the points once, in order of appearance, with commas
// between.
func list(points []*v1.Point, value func(*v1.Point) int64) string {
	seen := map[int64]bool{}
	var texts []string
	for _, p := range points {
		if v := value(p); !seen[v] {
			seen[v] = true
			texts = append(texts, fmt.Sprint(v))
		}
	}
	return strings.Join(texts, ",")
}

// counted is what an answer tells, without its zeros.
func (a answer) counted() (all []counted) {
	for _, p := range a.query.GetPoints() {
		if p.GetClicks() > 0 {
			all = append(all, counted{p.GetAdId(), p.GetStartTime().GetSeconds(), uint64(p.GetClicks())})
		}
	}
	for _, ad := range a.top.GetAds() {
		all = append(all, counted{ad.GetAdId(), 0, uint64(ad.GetClicks())})
	}
	return all
}

func (b *bench) rawCounted(ctx context.Context, query string) ([]counted, error) {
	rows, err := b.conn.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("ask the clicks: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []counted
	for rows.Next() {
		var c counted
		if err := rows.Scan(&c.ad, &c.start, &c.clicks); err != nil {
			return nil, fmt.Errorf("ask the clicks: %w", err)
		}
		all = append(all, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("ask the clicks: %w", err)
	}
	return all, nil
}

// same is an error that names the first difference.
func same(want, got []counted) error {
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(want):
			return fmt.Errorf("the clicks have %+v, the figures nothing more", got[i])
		case i >= len(got):
			return fmt.Errorf("the figures have %+v, the clicks nothing more", want[i])
		case want[i] != got[i]:
			return fmt.Errorf("the figures have %+v, the clicks %+v", want[i], got[i])
		}
	}
	if len(got) == 0 {
		return errors.New("there is nothing to compare")
	}
	return nil
}
