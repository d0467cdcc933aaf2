package server

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// pastStore is where it is told what had been final.
type pastStore interface {
	// SealedThroughAsOf is SealedThrough as it was at a time; click.ErrNotSettled
	// or click.ErrBeforeLedger if that cannot be told.
	SealedThroughAsOf(ctx context.Context, asOf time.Time) (time.Time, error)
	Corrections(ctx context.Context, q CorrectionsQuery) ([]click.Correction, error)
}

// CorrectionsQuery asks for the corrections of figures of each ad that took
// effect in (Since, AsOf], in the order of ad, minute and time.
type CorrectionsQuery struct {
	AdvertiserID   int64
	AdIDs          []int64 // none: all
	From, To       time.Time
	Since, AsOf    time.Time
	After          click.Correction // go on behind it; zero: from the first on
	CorrectionsMax int
}

// asOfClockMargin is how far this clock may be ahead of the one that dates seals.
const asOfClockMargin = 2 * time.Second

// earliestAsOf is before anything was counted anywhere.
func earliestAsOf() time.Time { return time.Unix(0, 0).UTC() }

// readAsOf is the time that was given, the zero time if none was.
func readAsOf(in *timestamppb.Timestamp, now time.Time) (time.Time, error) {
	if in == nil {
		return time.Time{}, nil
	}
	at := in.AsTime().Truncate(time.Microsecond) // as seals are compared
	switch {
	case in.CheckValid() != nil:
		return time.Time{}, invalid("as_of is not a time")
	case at.After(now):
		return time.Time{}, invalid("as_of is in the future")
	case at.Before(earliestAsOf()):
		return time.Time{}, beforeLedger()
	default:
		return at, nil
	}
}

func notSettled() error {
	return invalidf("as_of must be at least %.0f seconds ago: what is sealed at this moment cannot be told yet", click.AsOfSettled.Seconds())
}

func beforeLedger() error {
	return invalid("as_of is before the ledger: nothing is known to have been final then")
}

// sealedThrough is how far minutes are sealed, or were as of a time.
func (s *reportService) sealedThrough(ctx context.Context, asOf time.Time) (time.Time, error) {
	if asOf.IsZero() {
		return s.store.SealedThrough(ctx)
	}
	sealed, err := s.store.SealedThroughAsOf(ctx, asOf)
	switch {
	case errors.Is(err, click.ErrNotSettled):
		return time.Time{}, notSettled()
	case errors.Is(err, click.ErrBeforeLedger):
		return time.Time{}, beforeLedger()
	default:
		return sealed, err
	}
}

// ListRestatements lists what has been corrected: of the figures of an invoice,
// since it was made.
func (s *reportService) ListRestatements(ctx context.Context, in *v1.ListRestatementsRequest) (*v1.ListRestatementsResponse, error) {
	if err := requireAdvertiser(ctx, in.GetAdvertiserId()); err != nil {
		return nil, err
	}
	q, err := readCorrections(in, s.now())
	if err != nil {
		return nil, err
	}
	if err := s.requireOwn(ctx, in.GetAdvertiserId(), in.GetAdIds()); err != nil {
		return nil, err
	}
	if _, err := s.sealedThrough(ctx, q.AsOf); err != nil {
		return nil, err
	}
	size := q.CorrectionsMax
	q.CorrectionsMax++ // to know whether there are more
	found, err := s.store.Corrections(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &v1.ListRestatementsResponse{AsOf: timeToProto(q.AsOf)}
	if len(found) > size {
		found = found[:size]
		out.NextPageToken = correctionsToken(q.AsOf, found[size-1])
	}
	for _, c := range found {
		out.Restatements = append(out.Restatements, &v1.Restatement{
			AdId: c.AdID, Minute: timeToProto(c.Minute), ClicksBefore: int64(c.Before), ClicksAfter: int64(c.After),
			RestateTime: timeToProto(c.At), Reason: c.Reason,
		})
	}
	return out, nil
}

func readCorrections(in *v1.ListRestatementsRequest, now time.Time) (CorrectionsQuery, error) {
	q := CorrectionsQuery{
		AdvertiserID: in.GetAdvertiserId(), AdIDs: in.GetAdIds(),
		From: in.GetStartTime().AsTime(), To: in.GetEndTime().AsTime(), CorrectionsMax: pageSize(in.GetPageSize()),
	}
	if err := checkBounds(q.From, q.To, now); err != nil {
		return q, err
	}
	if in.GetSince() != nil {
		if q.Since = in.GetSince().AsTime(); in.GetSince().CheckValid() != nil || q.Since.Before(earliestAsOf()) || q.Since.After(now) {
			return q, invalid("since must be a time in the past")
		}
	}
	var err error
	if q.AsOf, err = readAsOf(in.GetAsOf(), now); err != nil {
		return q, err
	}
	if token := in.GetPageToken(); token != "" {
		var asOf time.Time
		if asOf, q.After, err = parseCorrectionsToken(token); err != nil {
			return q, err
		}
		if !q.AsOf.IsZero() && !q.AsOf.Equal(asOf) {
			return q, invalid("page_token is of another as_of")
		}
		q.AsOf = asOf
	}
	if q.AsOf.IsZero() {
		q.AsOf = now.Add(-click.AsOfSettled - asOfClockMargin).Truncate(time.Microsecond)
	}
	return q, nil
}

// A page token of corrections is the time that all pages are of, and the last
// correction of the page before.

func correctionsToken(asOf time.Time, last click.Correction) string {
	parts := []string{
		strconv.FormatInt(asOf.UnixMicro(), 36), pageToken(last.AdID),
		strconv.FormatInt(last.Minute.Unix(), 36), strconv.FormatUint(last.ReplacedVersion, 36),
	}
	return strings.Join(parts, ".")
}

func parseCorrectionsToken(token string) (asOf time.Time, last click.Correction, err error) {
	unknown := invalid("page_token is not one that was given out here")
	parts := strings.Split(token, ".")
	if len(parts) != 4 {
		return asOf, last, unknown
	}
	micros, err1 := strconv.ParseInt(parts[0], 36, 64)
	adID, err2 := strconv.ParseInt(parts[1], 36, 64)
	minute, err3 := strconv.ParseUint(parts[2], 36, 32)
	version, err4 := strconv.ParseUint(parts[3], 36, 64)
	if errors.Join(err1, err2, err3, err4) != nil || micros <= 0 || adID <= 0 {
		return asOf, last, unknown
	}
	return time.UnixMicro(micros).UTC(), click.Correction{AdID: adID, Minute: time.Unix(int64(minute), 0).UTC(), ReplacedVersion: version}, nil
}
