package server

import (
	"strconv"
	"time"
	_ "time/tzdata" // time zones are known wherever this runs

	v1 "clickledger/proto/gen/clickledger/v1"
)

const (
	pointsMax      = 50_000
	reportSpanMax  = 400 * 24 * time.Hour
	reportAgeMax   = 400 * 24 * time.Hour // figures per minute are kept that long
	reportAheadMax = 400 * 24 * time.Hour
)

// reportRange is a range that was asked for and is allowed.
type reportRange struct {
	from, to    time.Time // whole minutes, UTC, half-open
	granularity v1.Granularity
	starts      []time.Time
}

// end is the first instant after point i.
func (r reportRange) end(i int) time.Time {
	if i+1 < len(r.starts) {
		return r.starts[i+1]
	}
	return r.to
}

func readRange(in *v1.QueryClicksRequest, now time.Time) (reportRange, error) {
	if err := refusePages(in); err != nil {
		return reportRange{}, err
	}
	r := reportRange{
		from: in.GetStartTime().AsTime(), to: in.GetEndTime().AsTime(), granularity: in.GetGranularity(),
	}
	if r.granularity == v1.Granularity_GRANULARITY_UNSPECIFIED {
		r.granularity = v1.Granularity_GRANULARITY_MINUTE
	}
	loc, err := location(in.GetTimeZone())
	if err != nil {
		return reportRange{}, err
	}
	if err := checkBounds(r.from, r.to, now); err != nil {
		return reportRange{}, err
	}
	series := 1
	if in.GetGroupByAd() && len(in.GetAdIds()) > 0 && !paged(in) {
		series = len(in.GetAdIds())
	}
	if r.granularity == v1.Granularity_GRANULARITY_MINUTE { // known without making them
		if err := checkPoints(int(r.to.Sub(r.from)/time.Minute) * series); err != nil {
			return reportRange{}, err
		}
	}
	r.starts = pointStarts(r.from, r.to, r.granularity, loc)
	return r, checkPoints(len(r.starts) * series)
}

// refusePages refuses pages of what has none: an answer that silently left them
// out would be a wrong one.
func refusePages(in *v1.QueryClicksRequest) error {
	if paged(in) && !in.GetGroupByAd() {
		return invalid("page_size and page_token are for group_by_ad: an answer of one series comes whole")
	}
	return nil
}

func checkBounds(from, to, now time.Time) error {
	switch {
	case !from.Equal(from.Truncate(time.Minute)) || !to.Equal(to.Truncate(time.Minute)):
		return invalid("start_time and end_time must be whole minutes")
	case !from.Before(to):
		return invalid("start_time must be before end_time")
	case from.Before(now.Add(-reportAgeMax)):
		return invalid("start_time is more than 400 days ago: figures are kept that long")
	case to.After(now.Add(reportAheadMax)):
		return invalid("end_time is more than 400 days ahead")
	case to.Sub(from) > reportSpanMax:
		return invalid("start_time and end_time are more than 400 days apart")
	default:
		return nil
	}
}

func location(name string) (*time.Location, error) {
	if name == "Local" { // of this machine: nobody's business, and no IANA name
		return nil, invalid("time_zone must be an IANA name such as Europe/Berlin")
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, invalid("time_zone must be an IANA name such as Europe/Berlin")
	}
	return loc, nil
}

func checkPoints(points int) error {
	if points <= pointsMax {
		return nil
	}
	return invalidf("%s points asked, at most %s: use a coarser granularity, or page_size with group_by_ad", thousands(points), thousands(pointsMax))
}

// thousands writes 527040 as 527,040.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
