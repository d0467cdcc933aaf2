package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/proto/gen/clickledger/v1/clickledgerv1connect"
)

const (
	// subjectsMax is how many advertisers there are to ask of, from the largest on,
	// ever smaller ones; a few less, for the steps between the largest are too small.
	subjectsMax = 64
	// pageSize is the largest page there is.
	pageSize = 50_000
	topLimit = 100
)

// subject is an advertiser that is asked of, and its most clicked ads.
type subject struct {
	id  int64
	ads []int64
}

// shape is one kind of question.
type shape struct {
	name  string
	heavy bool // of all ads of the largest advertiser
	// ask makes the i-th question.
	ask question
	// raw is the question once more, of the clicks themselves: nil where there are
	// none.
	raw *rawQuestion

	result shapeResult
}

// question asks for the i-th time, by a client that may leave the answer unread.
type question func(ctx context.Context, reports clickledgerv1connect.ReportServiceClient, i int) (answer, error)

// answer is what is compared: the points, or the top ads in their order.
type answer struct {
	query *v1.QueryClicksResponse
	top   *v1.TopAdsResponse
}

// span is a range of what is filled in: from and to so far from its ends.
type span struct{ from, to time.Time }

func (b *bench) span(days int, fromEdge, toEdge time.Duration) span {
	end := b.world.end.Start()
	return span{end.AddDate(0, 0, -days).Add(fromEdge), end.Add(-toEdge)}
}

// seriesOf asks for a series of one advertiser, or of one of its ads.
func seriesOf(s span, g v1.Granularity, zone string, oneAd bool, of []subject) question {
	return func(ctx context.Context, reports clickledgerv1connect.ReportServiceClient, i int) (answer, error) {
		subject := of[i%len(of)]
		in := &v1.QueryClicksRequest{
			AdvertiserId: subject.id, StartTime: timestamppb.New(s.from), EndTime: timestamppb.New(s.to), Granularity: g, TimeZone: zone,
		}
		if oneAd {
			in.AdIds = subject.ads[i/len(of)%len(subject.ads):][:1]
		}
		out, err := reports.QueryClicks(ctx, in)
		return answer{query: out}, err
	}
}

// adsByDay asks for all ads of the largest advertiser, page by page: the i-th
// question is for the i-th page, with the token that the one before gave.
func adsByDay(s span, of subject) question {
	var mu sync.Mutex
	tokens := []string{""}
	return func(ctx context.Context, reports clickledgerv1connect.ReportServiceClient, i int) (answer, error) {
		mu.Lock()
		page := i % len(tokens)
		token := tokens[page]
		mu.Unlock()
		out, err := reports.QueryClicks(ctx, &v1.QueryClicksRequest{
			AdvertiserId: of.id, StartTime: timestamppb.New(s.from), EndTime: timestamppb.New(s.to),
			Granularity: v1.Granularity_GRANULARITY_DAY, GroupByAd: true, PageSize: pageSize, PageToken: token,
		})
		mu.Lock()
		defer mu.Unlock()
		if next := out.GetNextPageToken(); next != "" && page+1 == len(tokens) {
			tokens = append(tokens, next)
		}
		return answer{query: out}, err
	}
}

func topAds(s span, of []subject) question {
	return func(ctx context.Context, reports clickledgerv1connect.ReportServiceClient, i int) (answer, error) {
		out, err := reports.TopAds(ctx, &v1.TopAdsRequest{
			AdvertiserId: of[i%len(of)].id, StartTime: timestamppb.New(s.from), EndTime: timestamppb.New(s.to), Limit: topLimit,
		})
		return answer{top: out}, err
	}
}

// findSubjects picks who is asked of, and who to warm up with: others, so that what
// is timed is not what the gateway was asked before, but for the largest.
func (b *bench) findSubjects(ctx context.Context) (asked, warming []subject, err error) {
	all, err := b.subjects(ctx)
	for i, s := range all {
		if i%2 == 0 {
			asked = append(asked, s)
		}
		if i%2 == 1 || i == 0 {
			warming = append(warming, s)
		}
	}
	return asked, warming, err
}

// subjects are advertisers of all sizes, the largest first.
func (b *bench) subjects(ctx context.Context) ([]subject, error) {
	rows, err := b.conn.Query(ctx, `SELECT advertiser_id, groupArray(ad_id) FROM (SELECT n, advertiser_id, ad_id FROM bench_ads
		WHERE n IN (SELECT toUInt64(floor(exp(number * log(?) / ?))) FROM numbers(?)) ORDER BY n, minutes DESC, ad_id LIMIT 20 BY n) GROUP BY n, advertiser_id ORDER BY n`,
		float64(b.world.advertisers), subjectsMax, subjectsMax)
	if err != nil {
		return nil, fmt.Errorf("find whom to ask of: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var subjects []subject
	for rows.Next() {
		var s subject
		if err := rows.Scan(&s.id, &s.ads); err != nil {
			return nil, fmt.Errorf("find whom to ask of: %w", err)
		}
		subjects = append(subjects, s)
	}
	return subjects, rows.Err()
}

// makeShapes is the mixed set, of some advertisers of whom the largest is the first.
func (b *bench) makeShapes(subjects []subject) (shapes []*shape) {
	const (
		minute, hour, day = v1.Granularity_GRANULARITY_MINUTE, v1.Granularity_GRANULARITY_HOUR, v1.Granularity_GRANULARITY_DAY
		week, month       = v1.Granularity_GRANULARITY_WEEK, v1.Granularity_GRANULARITY_MONTH
		kolkata, berlin   = "Asia/Kolkata", "Europe/Berlin"
	)
	all := b.settings.Days
	day1, whole := b.span(1, 0, 0), b.span(all, 0, 0)
	ragged := b.span(all, 7*time.Hour+13*time.Minute, 5*time.Hour+41*time.Minute)
	largest := subjects[:1]
	hottest := []subject{{subjects[0].id, subjects[0].ads[:1]}}
	one := func(g v1.Granularity, zone string, s span) *shape {
		return &shape{ask: seriesOf(s, g, zone, true, subjects)}
	}
	sum := func(g v1.Granularity, zone string, s span) *shape {
		return &shape{ask: seriesOf(s, g, zone, false, subjects)}
	}
	withRaw := func(sh *shape, of subject, s span) *shape {
		sh.raw = &rawQuestion{of: of, span: s}
		return sh
	}
	named := []struct {
		name string
		*shape
	}{
		{"one ad, minutes of a day", one(minute, "", day1)},
		{"one ad, hours of 30 days", one(hour, "", b.span(30, 0, 0))},
		{"one ad, days of 90", one(day, "", whole)},
		{"one ad, days of 90 in Berlin", one(day, berlin, ragged)},
		{"one advertiser, minutes of a day", sum(minute, "", day1)},
		{"one advertiser, hours of 30 days", sum(hour, "", b.span(30, 0, 0))},
		{"one advertiser, hours of 40 days in Berlin", sum(hour, berlin, b.span(40, 0, 0))},
		{"one advertiser, days of 90", sum(day, "", whole)},
		{"one advertiser, days of 30 in Kolkata", sum(day, kolkata, b.span(30, 0, 41*time.Minute))},
		{"one advertiser, weeks", sum(week, "", whole)},
		{"one advertiser, months of a ragged range", sum(month, "", ragged)},
		{"one advertiser, its top ads of 30 days", &shape{ask: topAds(b.span(30, 0, 0), subjects[1:])}},
		{"hottest ad, days of 90", withRaw(&shape{ask: seriesOf(whole, day, "", true, hottest)}, hottest[0], whole)},
		{"hottest ad, weeks of a ragged range in Kolkata", withRaw(&shape{ask: seriesOf(ragged, week, kolkata, true, hottest)}, hottest[0], ragged)},
		{"largest advertiser, hours of 30 days", withRaw(&shape{ask: seriesOf(b.span(30, 0, 0), hour, "", false, largest)}, subject{id: largest[0].id}, b.span(30, 0, 0))},
		{"largest advertiser, months of a ragged range", withRaw(&shape{ask: seriesOf(ragged, month, "", false, largest)}, subject{id: largest[0].id}, ragged)},
		{"largest advertiser, its top ads of 90 days", withRaw(&shape{heavy: true, ask: topAds(ragged, largest)}, subject{id: largest[0].id}, ragged)},
		{"largest advertiser, all its ads by day, a page", withRaw(&shape{heavy: true, ask: adsByDay(whole, largest[0])}, subject{id: largest[0].id}, whole)},
	}
	for _, n := range named {
		if strings.Contains(n.name, b.settings.Only) {
			n.shape.name = n.name
			n.shape.result.Name = n.name
			shapes = append(shapes, n.shape)
		}
	}
	return shapes
}
