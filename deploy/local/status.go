package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
)

type statusCommand struct {
	JSON bool `name:"json" help:"Print what the supervisor knows as JSON, for programs."`
}

// Run prints a table of the services, each asked whether it is ready right now.
func (c *statusCommand) Run(ctx context.Context, at folder) error {
	now, err := newClient(at).overview(ctx, true)
	if err != nil {
		return err
	}
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(now)
	}
	noteOtherBuild(now)
	out := table.NewWriter()
	out.SetOutputMirror(os.Stdout)
	out.SetStyle(table.StyleLight)
	out.AppendHeader(table.Row{"name", "state", "pid", "since", "restarts", "address", "what"})
	for _, s := range at.stack.services() {
		r := now.find(s.name)
		out.AppendRow(table.Row{s.name, r.State, number(r.PID), age(r.Since), r.Restarts, strings.Join(s.addrs, " "), s.what})
	}
	out.Render()
	for _, r := range now.Services {
		if len(r.Set) > 0 {
			fmt.Printf("%s: other settings than .local/env's: %s\n", r.Name, strings.Join(slices.Sorted(maps.Keys(r.Set)), ", "))
		}
		if r.Problem != "" {
			fmt.Printf("%s: %s\n", r.Name, r.Problem)
		}
	}
	fmt.Printf("Temporal UI    http://%s\nGateway        http://%s\nMinIO console  http://%s\n", temporalUIAddr, addrsOf(at.stack.gateways), minioConsoleAddr)
	return nil
}

func number(pid int) string {
	if pid == 0 {
		return ""
	}
	return fmt.Sprint(pid)
}

// age is how long ago something was, to the second.
func age(since time.Time) string {
	if since.IsZero() {
		return ""
	}
	return time.Since(since).Round(time.Second).String()
}
