package server

import (
	"testing"

	"connectrpc.com/connect"
)

func TestAShardThatIsAwayEndsOnlyItsOwnWatchers(t *testing.T) {
	synced(t, func(t *testing.T, h watching) {
		asked := h.asked(7)
		asked.from = h.minute(0)
		there, away := h.joins(t, 1, asked), h.joins(t, 2, h.asked(9))
		for _, w := range []*watcher{there, away} {
			if first := next(w); !first.GetSnapshot() {
				t.Fatalf("began with %v", first)
			}
		}
		h.store.change(func(m *memoryLive) {
			m.awayID, m.fresh = 9, append(m.fresh, LiveFigure{7, 0, h.minute(0), 3})
		})
		wantPoints(t, "with the other shard away", next(there), h.minute(0).Format("15:04")+" 3 PROVISIONAL")
		wantEnded(t, away, connect.CodeUnavailable, "cannot be read just now")
		again := h.joins(t, 2, h.asked(9))
		if got := next(again); got != nil {
			t.Errorf("of a shard that is away there is told %v", got)
		}
		wantEnded(t, again, connect.CodeUnavailable, "cannot be read just now")
		h.store.change(func(m *memoryLive) { m.awayID, m.fresh = 0, append(m.fresh, LiveFigure{7, 0, h.minute(-1), 4}) })
		if back := next(h.joins(t, 2, h.asked(9))); !back.GetSnapshot() {
			t.Errorf("with the shard back it begins with %v", back)
		}
	})
}
