package turn

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
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

func TestWhatYieldsDoesSoWithAllItStarts(t *testing.T) {
	command := exec.Command("sh", "-c", "sleep 60 & echo $!; wait")
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	started, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	pid, child := command.Process.Pid, 0
	defer func() {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		_ = command.Wait()
	}()
	if _, err := fmt.Fscan(started, &child); err != nil {
		t.Fatal(err)
	}
	Yield(pid)
	for _, process := range []int{pid, child} {
		if got, err := unix.Getpriority(unix.PRIO_PROCESS, process); err != nil || got != 20-niceness { // as the system call counts it
			t.Errorf("process %d has niceness %d: %v", process, 20-got, err)
		}
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/autogroup", pid))
	if err != nil {
		t.Skip("this system does not share out by session")
	}
	if want := fmt.Sprintf("nice %d\n", niceness); !strings.HasSuffix(string(text), want) {
		t.Errorf("its session is %q, not %q", text, want)
	}
	if own, err := os.ReadFile("/proc/self/autogroup"); err != nil || string(own) == string(text) {
		t.Errorf("its session is this one's: %q, %v", own, err)
	}
}
