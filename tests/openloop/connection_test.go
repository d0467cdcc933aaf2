package openloop

import (
	"strings"
	"testing"
	"time"
)

const recorded = "HTTP/1.1 302 Found\r\nCache-Control: no-store\r\nClickledger-Clicked-At: 2026-11-23T10:05:12.345Z\r\n" +
	"Location: https://example.com/\r\nContent-Length: 0\r\n\r\n"

func TestAnswerIsReadHoweverItComesInPieces(t *testing.T) {
	refused := "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 5\r\n\r\nSorry"
	for _, answer := range []string{recorded, refused} {
		for n := range len(answer) {
			if _, complete, ok := parse([]byte(answer[:n])); complete || !ok {
				t.Fatalf("complete %v, ok %v after %d bytes of %q", complete, ok, n, answer)
			}
		}
	}
	if r, complete, ok := parse([]byte(recorded)); !complete || !ok || r.status != "302" || string(r.clickedAt) != "2026-11-23T10:05:12.345Z" {
		t.Fatalf("read %+v, %v, %v", r, complete, ok)
	}
	if r, complete, ok := parse([]byte(refused)); !complete || !ok || r.status != "503" || r.clickedAt != nil {
		t.Fatalf("read %+v, %v, %v", r, complete, ok)
	}
}

func TestAnswerOfAnotherShapeIsRefused(t *testing.T) {
	for _, answer := range []string{
		strings.Replace(recorded, "Content-Length: 0\r\n", "", 1),
		strings.Replace(recorded, "Content-Length: 0", "Content-Length: x", 1),
		"Content-Length: 0\r\n\r\n",
	} {
		if _, complete, ok := parse([]byte(answer)); complete || ok {
			t.Errorf("%q was read", answer)
		}
	}
}

// A click is due by the clock, not by when the one before was answered.
func TestClicksAreDueAtAConstantRate(t *testing.T) {
	begin := time.Date(2026, 11, 23, 10, 5, 0, 0, time.UTC)
	segments := make(chan *segment, 1)
	segments <- &segment{tokens: make([]byte, 1<<10), ads: []uint32{7, 8, 9}}
	close(segments)
	s := schedule{supply: &Supply{segments: segments}, begin: begin, interval: float64(time.Millisecond)}
	late := begin.Add(time.Millisecond + time.Microsecond)
	for i := range 2 {
		next, ok, err := s.due(late)
		if !ok || err != nil || next.ad != uint32(7+i) || !next.due.Equal(begin.Add(time.Duration(i)*time.Millisecond)) {
			t.Fatalf("click %d: %+v, %v, %v", i, next, ok, err)
		}
	}
	if _, ok, _ := s.due(late); ok || s.ended {
		t.Fatal("the third click is not due yet")
	}
	if _, ok, _ := s.due(begin.Add(time.Hour)); !ok {
		t.Fatal("the third click is due")
	}
	if _, ok, err := s.due(begin.Add(time.Hour)); ok || err != nil || !s.ended {
		t.Fatal("there are only three clicks")
	}
}
