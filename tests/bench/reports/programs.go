package main

import (
	"context"
	"errors"
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
	folder   string // of the journal
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
	own := maps.Clone(b.own)
	own[config.Prefix+"JOURNAL_PATH"] = filepath.Join(p.folder, "journal.db")
	if err := fleet.RunPrograms(ctx, own); err != nil {
		return err
	}
	return pauseSchedules(ctx, b.config)
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
	return errors.Join(fleet.StopPrograms(ctx), os.RemoveAll(p.folder))
}
