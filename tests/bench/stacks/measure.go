package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"clickledger/internal/config"
	"clickledger/tests/report"
)

// endTimeout is how long a program that was told to end may take.
const endTimeout = time.Minute

// curve is what the load generator writes to .local/reports/curve.json.
type curve struct {
	Points []struct {
		Rate          int     `json:"rate"`
		CPUUSPerClick float64 `json:"cpu_us_per_click"`
	} `json:"points"`
}

// at is what a click cost at a rate, in µs of CPU.
func (c curve) at(rate int) (us float64, ok bool) {
	for _, p := range c.Points {
		if p.Rate == rate {
			return p.CPUUSPerClick, true
		}
	}
	return 0, false
}

// measure starts a stack, takes its curve and leaves it running.
func measure(ctx context.Context, stack string, s settings) (c curve, err error) {
	if err := down(ctx); err != nil {
		return c, err
	}
	if err := command(ctx, []string{config.StackVariable + "=" + stack}, "deploy/local", "run"); err != nil {
		return c, err
	}
	select {
	case <-ctx.Done():
		return c, context.Cause(ctx)
	case <-time.After(s.Settle):
	}
	if err := spreadLeaders(ctx, stack); err != nil {
		return c, err
	}
	rates := make([]string, len(s.Rates))
	for i, rate := range s.Rates {
		rates[i] = strconv.Itoa(rate)
	}
	if err := command(ctx, []string{
		config.StackVariable + "=" + stack, "RATES=" + strings.Join(rates, ","), "DURATION=" + s.Duration.String(), "WARMUP=" + s.WarmUp.String(),
	}, "tests/load"); err != nil {
		return c, err
	}
	root, err := report.Root()
	if err != nil {
		return c, err
	}
	text, err := os.ReadFile(filepath.Join(root, report.Folder, "curve.json"))
	if err != nil {
		return c, fmt.Errorf("read the curve: %w", err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("read the curve: %w", err)
	}
	return c, nil
}

// spreadLeaders has every broker lead what it leads on fresh data. After a
// restart the one that was there first leads all for some minutes, which is
// cheaper than a cluster is.
func spreadLeaders(ctx context.Context, stack string) error {
	if err := os.Setenv(config.StackVariable, stack); err != nil {
		return fmt.Errorf("choose the stack: %w", err)
	}
	defer func() { _ = os.Unsetenv(config.StackVariable) }()
	variables, err := config.LocalVariables()
	if err != nil {
		return err
	}
	c, err := config.LoadFrom(variables)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.KafkaBrokers...))
	if err != nil {
		return fmt.Errorf("make a client of Kafka: %w", err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).ElectLeaders(ctx, kadm.ElectPreferredReplica, nil); err != nil {
		return fmt.Errorf("elect leaders: %w", err)
	}
	return nil
}

// down stops either stack.
func down(ctx context.Context) error { return command(ctx, nil, "deploy/local", "down") }

// command runs one of the project's own, with other settings besides the
// environment's. It has a process group of its own: what we interrupt is told
// to end and waited for, and what puts things right is not interrupted.
func command(ctx context.Context, variables []string, name string, words ...string) error {
	c := exec.CommandContext(ctx, "go", append([]string{"run", "clickledger/" + name}, words...)...)
	c.Env = append(os.Environ(), variables...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGINT) }
	c.WaitDelay = endTimeout
	if err := c.Run(); err != nil {
		return errors.Join(context.Cause(ctx), fmt.Errorf("%s: %w", strings.Join(append([]string{name}, words...), " "), err))
	}
	return nil
}
