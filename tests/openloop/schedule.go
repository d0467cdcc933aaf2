package openloop

import "time"

// job is one click to make.
type job struct {
	due   time.Time
	token []byte
	ad    uint32
}

// schedule is the open loop: click number i is due at begin + i × interval.
type schedule struct {
	supply   *Supply
	begin    time.Time
	interval float64 // nanoseconds
	warmUp   int     // clicks at half the rate before those that are measured
	current  *segment
	at       int // in current
	number   int
	ended    bool
}

// due is the next click if it is due by now.
func (s *schedule) due(now time.Time) (job, bool, error) {
	if s.ended {
		return job{}, false, nil
	}
	due := s.time(s.number)
	if due.After(now) {
		return job{}, false, nil
	}
	if s.current == nil || s.at == len(s.current.ads) {
		next, err := s.supply.next()
		if next == nil || err != nil {
			s.ended = true
			return job{}, false, err
		}
		s.current, s.at = next, 0
	}
	next := job{due: due, token: s.current.token(s.at), ad: s.current.ads[s.at]}
	s.at++
	s.number++
	return next, true, nil
}

// time is when click number n is due.
func (s *schedule) time(n int) time.Time {
	return s.begin.Add(time.Duration(float64(n+min(n, s.warmUp)) * s.interval))
}

// measured is when the first click that is measured is due.
func (s *schedule) measured() time.Time { return s.time(s.warmUp) }
