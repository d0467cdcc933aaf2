package server

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

const (
	// changesBurst is how many seconds' worth of changes may come at once: a
	// hundred ads are paused in one go.
	changesBurst = 5
	// limiterIdleMax is more than it takes any limiter to fill up: one that was
	// forgotten is as good as a new one.
	limiterIdleMax = time.Minute
)

// callLimits bounds how often each key may call this gateway, and how often with
// what changes something: each such call is several inserts into the store. The
// admin key of the configuration is not limited. It is safe for concurrent use.
type callLimits struct {
	ofRole  map[click.Role]int // calls per second
	changes int                // per second, of any role
	now     func() time.Time
	known   *otter.Cache[int64, *keyLimits]
}

type keyLimits struct{ calls, changes *rate.Limiter }

func newCallLimits(c config.Config) (*callLimits, error) {
	known, err := otter.New(&otter.Options[int64, *keyLimits]{
		MaximumSize:      keysKnownMax,
		ExpiryCalculator: otter.ExpiryAccessing[int64, *keyLimits](limiterIdleMax),
	})
	if err != nil {
		return nil, fmt.Errorf("make the limits of keys: %w", err)
	}
	return &callLimits{
		ofRole: map[click.Role]int{
			click.RoleAdvertiser: c.AdvertiserCallsPerSecond,
			click.RolePublisher:  c.PublisherCallsPerSecond,
			click.RoleAdmin:      c.AdminCallsPerSecond,
		},
		changes: c.ChangesPerSecond, now: time.Now, known: known,
	}, nil
}

// check takes one call of p, or says when to come again.
func (l *callLimits) check(p Principal, change bool) error {
	if p.Role == click.RoleAdmin && p.KeyID == 0 {
		return nil
	}
	of, err := l.limitsOf(p)
	if err != nil {
		return err
	}
	if err := l.take(of.calls, "calls"); err != nil || !change {
		return err
	}
	return l.take(of.changes, "calls that change something")
}

// limitsOf are the limiters of a key, new ones if it was not seen for long.
func (l *callLimits) limitsOf(p Principal) (*keyLimits, error) {
	if of, ok := l.known.GetIfPresent(p.KeyID); ok {
		return of, nil
	}
	perSecond := l.ofRole[p.Role]
	if p.CallsPerSecond > 0 {
		perSecond = int(p.CallsPerSecond)
	}
	if perSecond == 0 {
		return nil, internalError{fmt.Errorf("a key of the role %q has no limit", p.Role)}
	}
	fresh := &keyLimits{
		calls:   rate.NewLimiter(rate.Limit(perSecond), perSecond),
		changes: rate.NewLimiter(rate.Limit(l.changes), changesBurst*l.changes),
	}
	of, _ := l.known.SetIfAbsent(p.KeyID, fresh) // two first calls at once share one
	return of, nil
}

func (l *callLimits) take(limiter *rate.Limiter, what string) error {
	now := l.now()
	reservation := limiter.ReserveN(now, 1)
	wait := reservation.DelayFrom(now)
	if wait <= 0 {
		return nil
	}
	reservation.CancelAt(now)
	return exhausted(fmt.Errorf("this API key may make %s %s a second at each gateway: try again in %v",
		thousands(int(limiter.Limit())), what, wait.Round(time.Millisecond)), wait)
}

// limitCalls refuses what comes too often. It stands behind authenticate.
func limitCalls(limits *callLimits) connect.Interceptor { return limitInterceptor{limits} }

type limitInterceptor struct{ limits *callLimits }

func (i limitInterceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		_, _, change := audited(request.Any(), nil)
		if err := i.limits.check(principalOf(ctx), change); err != nil {
			return nil, err
		}
		return next(ctx, request)
	}
}

func (limitInterceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler counts a stream as one call. None changes anything.
func (i limitInterceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, stream connect.StreamingHandlerConn) error {
		if err := i.limits.check(principalOf(ctx), false); err != nil {
			return err
		}
		return next(ctx, stream)
	}
}
