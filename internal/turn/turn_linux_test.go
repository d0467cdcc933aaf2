package turn

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAThreadAsksForAShortTurnAndGivesItBack(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	turn := func() time.Duration {
		own, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(own.Runtime)
	}
	usual := turn()
	Take(Prompt)
	want := Prompt
	if usual == 0 { // a system that tells no turns does not know them
		want = 0
	}
	if got := turn(); got != want {
		t.Errorf("the turn is %v, want %v", got, want)
	}
	Take(Usual)
	if got := turn(); got != usual {
		t.Errorf("afterwards the turn is %v, was %v", got, usual)
	}
}
