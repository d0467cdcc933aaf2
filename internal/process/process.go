// Package process is what the four programs share in being a process: signals,
// logs, --help, and the operations port with health, metrics and profiles.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"clickledger/internal/config"
)

// Main runs a program and returns its exit code: 0 after a clean stop, 1 after
// an error or when it was stopped before its work was done, 2 after a wrong command line or configuration. The context of run
// ends with the first SIGINT or SIGTERM; a second one kills the process.
func Main(name, about string, run func(context.Context, config.Config, *slog.Logger) error) int {
	if len(os.Args) > 1 {
		return usage(os.Stdout, os.Stderr, name, about, os.Args[1:])
	}
	c, err := config.Load()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\nRun %s --help for every setting.\n", name, err, name)
		return 2
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: c.LogLevel})).With("program", name)
	slog.SetDefault(log)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal is not caught any more

	err = run(ctx, c, log)
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled):
		log.Warn("stopped before it was done")
		return 1
	case err != nil:
		log.Error("stopped", "error", err)
		return 1
	}
	log.Info("stopped")
	return 0
}

func usage(out, errOut io.Writer, name, about string, args []string) int {
	if args[0] == "-h" || args[0] == "--help" || args[0] == "help" {
		fmt.Fprintf(out, "%s: %s\n\nIt takes no arguments; it is told everything by its environment:\n\n%s", name, about, config.Help())
		return 0
	}
	fmt.Fprintf(errOut, "%s: unexpected argument %q; see %s --help\n", name, args[0], name)
	return 2
}
