package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// progress shows installs that run in parallel: moving lines on a terminal, plain lines elsewhere.
type progress interface {
	begin(i install, into string) task
	close()
}

// task is one install being shown.
type task interface {
	end(how outcome, size int64, elapsed time.Duration)
}

// outcome is how an install ended.
type outcome string

const (
	done    outcome = "done"
	failed  outcome = "failed"
	givenUp outcome = "given up"
)

func newProgress(out *os.File) progress {
	if _, rows, err := term.GetSize(int(out.Fd())); err == nil && rows > len(installs()) { // fails where there is no terminal
		return &bars{container: mpb.New(mpb.WithOutput(out), mpb.WithRefreshRate(250*time.Millisecond))}
	}
	return lines{out: out}
}

// bars are lines that move: a spinner, what happens, how much is there, since when.
type bars struct{ container *mpb.Progress }

func (b *bars) begin(i install, into string) task {
	how := new(atomic.Pointer[outcome])
	bar := b.container.AddSpinner(0,
		mpb.PrependDecorators(decor.Name(fmt.Sprintf("%-11s", i.name)), decor.Name(fmt.Sprintf("%-36s", i.what))),
		mpb.AppendDecorators(
			decor.Any(func(s decor.Statistics) string {
				if s.Aborted {
					return string(*how.Load())
				}
				return fmt.Sprintf("%9s", humanize.Bytes(uint64(max(s.Current, sizeOf(into)))))
			}),
			decor.Elapsed(decor.ET_STYLE_GO, decor.WCSyncSpace),
		))
	return &barTask{bar: bar, how: how}
}

func (b *bars) close() { b.container.Wait() }

type barTask struct {
	bar *mpb.Bar
	how *atomic.Pointer[outcome] // set before the bar is aborted
}

func (t *barTask) end(how outcome, size int64, _ time.Duration) {
	t.how.Store(&how)
	if how != done {
		t.bar.Abort(false)
		return
	}
	t.bar.SetTotal(max(size, 1), false)
	t.bar.SetCurrent(max(size, 1))
	t.bar.SetTotal(max(size, 1), true)
}

// lineInterval is how often a long install says that it goes on.
const lineInterval = 30 * time.Second

// lines are for logs: one line when something begins, now and then while it goes on, and one at its end.
type lines struct{ out io.Writer }

func (l lines) begin(i install, into string) task {
	fmt.Fprintf(l.out, "install %-11s %s\n", i.name, i.what)
	t := &lineTask{out: l.out, install: i, over: make(chan struct{})}
	go t.goOn(into)
	return t
}

func (l lines) close() {}

type lineTask struct {
	out     io.Writer
	install install
	over    chan struct{}
}

func (t *lineTask) goOn(into string) {
	begun := time.Now()
	ticker := time.NewTicker(lineInterval)
	defer ticker.Stop()
	for {
		select {
		case <-t.over:
			return
		case <-ticker.C:
			size := humanize.Bytes(uint64(sizeOf(into)))
			fmt.Fprintf(t.out, "        %-11s goes on: %s, %s\n", t.install.name, size, time.Since(begun).Round(time.Second))
		}
	}
}

func (t *lineTask) end(how outcome, size int64, elapsed time.Duration) {
	close(t.over)
	if how != done {
		fmt.Fprintf(t.out, "        %-11s %s after %s\n", t.install.name, how, elapsed.Round(time.Second))
		return
	}
	fmt.Fprintf(t.out, "        %-11s done: %s, %s\n", t.install.name, humanize.Bytes(uint64(size)), elapsed.Round(100*time.Millisecond))
}
