// Command local runs the local stack: the real servers of Clickledger and, if asked, its programs, on this machine, without Docker.
//
// What is missing is installed under .local/ on first use; data, logs and secrets are kept there too. The servers belong to a
// supervisor, a detached copy of this program, which restarts what dies and takes its orders from the other commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type commands struct {
	Up      upCommand      `cmd:"" help:"Install what is missing, start the servers, return when all are ready."`
	Run     runCommand     `cmd:"" help:"Do what up does, then build the programs, set up and start them."`
	Down    downCommand    `cmd:"" help:"Stop the programs, then the servers. The data stays."`
	Status  statusCommand  `cmd:"" help:"Show what runs, since when, and where."`
	Logs    logsCommand    `cmd:"" help:"Show the log of one server or program."`
	Stop    stopCommand    `cmd:"" help:"Stop one server or program; it stays stopped."`
	Start   startCommand   `cmd:"" help:"Start one server or program and wait until it is ready."`
	Restart restartCommand `cmd:"" help:"Stop one server or program and start it again."`
	Env     envCommand     `cmd:"" help:"Make .local/env, or add the settings it lacks, and do nothing else."`

	Supervise superviseCommand `cmd:"" hidden:"" help:"Be the supervisor."`
}

func main() {
	var c commands
	parsed := kong.Parse(&c, kong.Name("local"), kong.UsageOnError(),
		kong.Description("The local stack of Clickledger: Kafka, ClickHouse, two Valkeys, MinIO, Temporal, and the programs."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, parsed))
}

// run returns the exit code: 0, or 1 with one sentence on standard error.
func run(ctx context.Context, parsed *kong.Context) int {
	place, err := findFolder()
	if err == nil {
		parsed.BindTo(ctx, (*context.Context)(nil))
		err = parsed.Run(place)
	}
	if err == nil {
		return 0
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = errors.New("interrupted; what had been started goes on, `just down` stops it")
	}
	fmt.Fprintln(os.Stderr, "local:", err)
	return 1
}
