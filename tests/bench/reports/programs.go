package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"clickledger/internal/config"
	"clickledger/internal/turn"
	api "clickledger/tests/client"
	"clickledger/tests/fleet"
	"clickledger/workflows"
)

// niceness of what gives way to redirects, as in the local stack.
const niceness = 19

// programs are a gateway, an ingester and an aggregator of this namespace.
type programs struct {
	folder  string
	running []*fleet.Program
	url     string
	admin   *api.API
}

// startPrograms builds the programs, has setup find what is filled in, and
// starts them as the local stack does.
func (b *bench) startPrograms(ctx context.Context) (err error) {
	say("starting a gateway, an ingester and an aggregator")
	if err := b.idle(ctx); err != nil {
		return err
	}
	p := &programs{}
	b.programs = p
	if p.folder, err = os.MkdirTemp("", "clickledger-reports-"); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	addrs, err := fleet.FreeAddrs(4)
	if err != nil {
		return err
	}
	variables := maps.Clone(b.variables)
	maps.Copy(variables, map[string]string{
		config.Prefix + "JOURNAL_PATH":          filepath.Join(p.folder, "journal.db"),
		config.Prefix + "GATEWAY_LISTEN":        addrs[0],
		config.Prefix + "PUBLIC_URL":            "http://" + addrs[0],
		config.Prefix + "GATEWAY_OPS_LISTEN":    addrs[1],
		config.Prefix + "INGESTER_OPS_LISTEN":   addrs[2],
		config.Prefix + "AGGREGATOR_OPS_LISTEN": addrs[3],
	})
	bin := filepath.Join(p.folder, "bin")
	if err := errors.Join(os.Mkdir(bin, 0o700), fleet.Build(bin)); err != nil {
		return err
	}
	if err := fleet.Setup(ctx, bin, variables); err != nil {
		return err
	}
	if err := pauseSchedules(ctx, b.config); err != nil {
		return err
	}
	p.url, p.admin = "http://"+addrs[0], api.New("http://"+addrs[0], b.config.AdminKey)
	for i, name := range []string{"gateway", "ingester", "aggregator"} {
		own := maps.Clone(variables)
		if name != "aggregator" {
			own["GOGC"] = "400"
		}
		program := fleet.NewProgram(name, filepath.Join(bin, name), addrs[i+1], filepath.Join(p.folder, name+".log"), own)
		if err := startAs(program, name != "gateway"); err != nil {
			return err
		}
		p.running = append(p.running, program)
	}
	for _, program := range p.running {
		if err := program.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// startAs starts a program on a thread that yields, or takes short turns; the
// program has it from that thread, which ends here.
func startAs(p *fleet.Program, yields bool) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if yields {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, niceness) // without it, it only runs with the others
		} else {
			turn.Take(turn.Prompt)
		}
		started <- p.Start()
	}()
	return <-started
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

func (p *programs) stop() error {
	var errs []error
	for _, program := range p.running {
		if err := program.Stop(); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", program.Name, err))
		}
	}
	return errors.Join(append(errs, os.RemoveAll(p.folder))...)
}
