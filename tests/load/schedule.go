package main

import "time"

// job is one click to make.
type job struct {
	due   time.Time
	token []byte
	ad    uint32
}

// schedule is the open loop: click number i is due at begin + i × interval.
type schedule struct {
	supply   *supply
	begin    time.Time
	interval float64 // nanoseconds
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
	due := s.begin.Add(time.Duration(float64(s.number) * s.interval))
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
