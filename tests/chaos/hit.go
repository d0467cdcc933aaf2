package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"clickledger/tests/poll"
)

// recoverTimeout is how long what was hit may take until it is ready again
// before its recovery is given up: other faults may be in its way.
const recoverTimeout = 2 * time.Minute

// hand makes the faults of a plan.
type hand struct {
	*stage
	crowd *crowd
	score *score

	turns map[string]*sync.Mutex // what is hit is hit by one fault at a time
	under sync.WaitGroup
}

func newHand(s *stage, c *crowd, score *score) *hand {
	h := &hand{stage: s, crowd: c, score: score, turns: map[string]*sync.Mutex{}}
	for name := range s.processes {
		h.turns[name] = new(sync.Mutex)
	}
	for l := range s.network.proxies {
		h.turns[l.String()] = new(sync.Mutex)
	}
	h.turns[spooler] = h.turns[spoolOwner]
	return h
}

// run makes the faults, each at its time, until the plan or ctx ends, and
// returns when all harm is taken back and recovered from.
func (h *hand) run(ctx context.Context, plan []fault) {
	begun := time.Now()
	for _, f := range plan {
		poll.Pause(ctx, time.Until(begun.Add(f.at)))
		if ctx.Err() != nil {
			break
		}
		h.under.Go(func() { h.make(ctx, f) })
	}
	h.under.Wait()
}

// make is one fault from harm to recovery.
func (h *hand) make(ctx context.Context, f fault) {
	turn := h.turns[f.where()]
	turn.Lock()
	before := h.crowd.begun.Load()
	hit, began := h.score.begin(f, h.crowd.waiting.Load()), time.Now()
	say("%v", f)
	err := h.harm(ctx, f)
	turn.Unlock()
	ended := time.Now()
	if f.lasts == 0 {
		ended = began // a blow is over at once: what follows is recovery
	}
	recoverErr := poll.Until(ctx, recoverTimeout, lookInterval, func(ctx context.Context) error {
		return errors.Join(h.feels(ctx, f), h.store.counts(ctx, ended))
	})
	h.score.update(hit, func(s *strike) {
		s.ended, s.over = ended, true
		s.inFlight += h.crowd.begun.Load() - before
		switch {
		case err != nil:
			s.problem = err.Error()
		case recoverErr == nil:
			s.recovered = time.Now()
		}
	})
	if err != nil {
		say("%3d  %s: %s was not made: %v", f.number, f.where(), f.kind, err)
	}
	if recoverErr != nil && ctx.Err() == nil {
		say("%3d  %s: %s: %v", f.number, f.where(), f.kind, recoverErr)
	}
}

// harm does it, for as long as it lasts, and takes it back, also when ctx ends.
func (h *hand) harm(ctx context.Context, f fault) error {
	undoing := context.WithoutCancel(ctx)
	switch f.kind {
	case kill:
		return h.kill(ctx, f)
	case freeze:
		return h.freeze(ctx, f)
	case restart:
		return h.processes[f.target].restart(undoing)
	case wipe:
		return h.store.wipe(ctx, f.target)
	case refuse:
		return h.during(ctx, f, func() error { return h.store.refuse(ctx, f.target) }, func() error { return h.store.accept(undoing, f.target) })
	case fillUp:
		return h.fillUp(ctx, f)
	case slow, narrow, reset, swallow, cut:
		return h.during(ctx, f, func() error { return h.network.harm(f) }, func() error { return h.network.mend(f) })
	default:
		return fmt.Errorf("no such fault: %s", f.kind)
	}
}

func (h *hand) during(ctx context.Context, f fault, harm, mend func() error) error {
	err := harm()
	if err == nil {
		poll.Pause(ctx, f.lasts)
	}
	return errors.Join(err, mend())
}

// errUnfelt: a full disk that turned nobody away proves nothing.
var errUnfelt = errors.New("nobody was told that a click is not recorded")

// fillUp fills the disk of a journal while it is needed: without Kafka. A
// journal that was used before has room of its own; that is taken back first.
func (h *hand) fillUp(ctx context.Context, f fault) error {
	brokers := h.system.linksTo(spoolOwner, kafka)
	for _, l := range brokers { // in the same order always: nobody waits crosswise
		turn := h.turns[l.String()]
		turn.Lock()
		defer turn.Unlock()
	}
	if err := h.compact(ctx); err != nil {
		return err
	}
	before := h.score.declaredSoFar()
	err := h.during(ctx, f,
		func() error { return errors.Join(h.spool.fill(), each(brokers, h.network.harm)) },
		func() error { return errors.Join(h.spool.free(), each(brokers, h.network.mend)) })
	if err == nil && h.score.declaredSoFar() == before {
		err = errUnfelt
	}
	return err
}

// each has nothing come through any of the links, or mends it.
func each(links []link, do func(fault) error) error {
	var errs []error
	for _, l := range links {
		errs = append(errs, do(fault{kind: swallow, link: l}))
	}
	return errors.Join(errs...)
}

// compact restarts the journal's gateway with a journal without free pages: it
// needs some room to start, so this comes before the disk is filled.
func (h *hand) compact(ctx context.Context) error {
	owner, ok := h.processes[spoolOwner].(*keeper)
	if !ok || !h.spool.mounted {
		return errNoSpool
	}
	if err := owner.restartWith(context.WithoutCancel(ctx), h.spool.compact); err != nil {
		return err
	}
	return poll.Until(ctx, recoverTimeout, lookInterval, owner.check)
}

func (h *hand) kill(ctx context.Context, f fault) error {
	p := h.processes[f.target]
	if k, ok := p.(*keeper); ok {
		k.expect()
	}
	pid, err := sendSignal(ctx, p, syscall.SIGKILL)
	if err != nil {
		return err
	}
	// It is over when the next one runs.
	return poll.Until(ctx, recoverTimeout, lookInterval, func(ctx context.Context) error {
		now, err := p.pid(ctx)
		if err == nil && now == pid {
			err = fmt.Errorf("process %d still runs", pid)
		}
		return err
	})
}

func (h *hand) freeze(ctx context.Context, f fault) error {
	pid, err := sendSignal(ctx, h.processes[f.target], syscall.SIGSTOP)
	if err != nil {
		return err
	}
	poll.Pause(ctx, f.lasts)
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		return fmt.Errorf("let process %d go on: %w", pid, err)
	}
	return nil
}

// feels is nil when what was hit is ready again: of a connection the program
// it belongs to; of a server also every program that uses it.
func (h *hand) feels(ctx context.Context, f fault) error {
	if f.kind.hitsLink() {
		return h.processes[f.link.program].check(ctx)
	}
	if f.target == spooler {
		return h.processes[spoolOwner].check(ctx)
	}
	err := h.processes[f.target].check(ctx)
	for _, m := range members {
		if slices.Contains(m.role.uses(), partOf(f.target)) {
			err = errors.Join(err, h.processes[m.name].check(ctx))
		}
	}
	return err
}
