package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"clickledger/tests/client"
	"clickledger/tests/oracle"
	"clickledger/tests/poll"
)

const (
	countedTimeout   = time.Minute
	finalTimeout     = 2 * time.Minute
	askInterval      = 500 * time.Millisecond
	differencesShown = 20
	comparedTimeout  = 30 * time.Second
)

// finish waits until everything sent is counted, and then until the minutes
// that are over are final. To stop waiting for the latter is no error.
func finish(ctx context.Context, s *screen, admin *client.API, clicked *oracle.Oracle, advertisers []*client.Advertiser) error {
	s.say("waiting until all %d are counted (Ctrl-C leaves)", clicked.Promised())
	if err := poll.Until(ctx, countedTimeout, askInterval, clicked.Counted(admin, advertisers)); err != nil {
		return err
	}
	if clicked.Promised() == 0 {
		return nil
	}
	s.say("all are counted; waiting until the last minute is final, two minutes at most (Ctrl-C leaves)")
	err := poll.Until(ctx, finalTimeout, askInterval, clicked.Final(admin, advertisers[0]))
	switch {
	case err == nil:
		s.say("every minute is final")
	case ctx.Err() != nil:
		s.say("left before the last minute was final")
	default:
		return fmt.Errorf("the last minute is not final: %w", err)
	}
	return nil
}

// verdict compares every figure and says so.
func verdict(clicked *oracle.Oracle, advertisers []*client.Advertiser) error {
	ctx, cancel := context.WithTimeout(context.Background(), comparedTimeout)
	defer cancel()
	if clicked.Promised() == 0 {
		return errors.New("no click was recorded")
	}
	differences, err := clicked.Differences(ctx, advertisers)
	if err != nil {
		return err
	}
	if len(differences) == 0 {
		fmt.Printf("Compared by ad and minute: %d distinct clicks sent, the same counted.\n", clicked.Promised())
		return nil
	}
	for _, d := range differences[:min(len(differences), differencesShown)] {
		fmt.Println(" ", d)
	}
	return fmt.Errorf("%d figures are not what was clicked", len(differences))
}
