package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"clickledger/internal/config"
	api "clickledger/tests/client"
	"clickledger/tests/fleet"
	"clickledger/workflows"
)

// programs are the local stack's own, with the settings of this namespace.
type programs struct {
	own      map[string]string // settings in place of the stack's
	folder   string            // of the journal
	url      string
	admin    *api.API
	receiver *api.API // the same, whose answers are received, and empty
}

// startPrograms has the local stack run its programs with what is filled in, in
// place of its own.
func (b *bench) startPrograms(ctx context.Context) (err error) {
	say("starting the gateway, the ingester and the aggregator in namespace %s, in place of the stack's", b.config.Namespace)
	if err := b.idle(ctx); err != nil {
		return err
	}
	p := &programs{
		url: b.config.PublicURL, admin: api.New(b.config.PublicURL, b.config.AdminKey),
		receiver: api.New(b.config.PublicURL, b.config.AdminKey, receiveOnly()...),
	}
	if p.folder, err = os.MkdirTemp("", "clickledger-reports-"); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	b.programs = p
	p.own = maps.Clone(b.own)
	p.own[config.Prefix+"JOURNAL_PATH"] = filepath.Join(p.folder, "journal.db")
	// Before they run: what has begun is not ended by a pause.
	if err := fleet.Build(p.folder); err != nil {
		return err
	}
	if err := fleet.Setup(ctx, p.folder, b.variables); err != nil {
		return err
	}
	if err := pauseSchedules(ctx, b.config); err != nil {
		return err
	}
	return fleet.RunPrograms(ctx, p.own)
}

// checkPrograms finds out whether they are still those that were started.
func (b *bench) checkPrograms(ctx context.Context) error {
	return fleet.CheckPrograms(ctx, b.programs.own)
}

// pauseSchedules leaves what every minute has: what comes each hour or night is
// not of a report's time, and compares with a lake that has none of this.
func pauseSchedules(ctx context.Context, c config.Config) error {
	quiet := log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	temporal, err := client.DialContext(ctx, client.Options{HostPort: c.TemporalAddr, Namespace: c.TemporalNamespace(), Logger: quiet})
	if err != nil {
		return fmt.Errorf("dial temporal: %w", err)
	}
	defer temporal.Close()
	for _, id := range []string{workflows.ReconcileScheduleID, workflows.RollupScheduleID, workflows.ExportScheduleID, workflows.CleanScheduleID} {
		if err := temporal.ScheduleClient().GetHandle(ctx, id).Pause(ctx, client.SchedulePauseOptions{}); err != nil {
			return fmt.Errorf("pause schedule %s: %w", id, err)
		}
	}
	return nil
}

func (p *programs) stop(ctx context.Context) error {
	if err := fleet.StopPrograms(ctx); err != nil {
		return fmt.Errorf("%w\nthe programs may run in namespace %s, which is left as it is, as is %s: `just stop gateway ingester aggregator` stops them",
			err, p.own[config.Prefix+"NAMESPACE"], p.folder)
	}
	return os.RemoveAll(p.folder)
}
