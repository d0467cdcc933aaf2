package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"clickledger/internal/config"
	"clickledger/tests/client"
	"clickledger/tests/fleet"
	"clickledger/tests/poll"
)

const (
	startTimeout  = 2 * time.Minute
	removeTimeout = time.Minute
)

// stage is everything that runs.
type stage struct {
	system    system
	config    config.Config
	urls      []string      // of the gateways
	admins    []*client.API // with the admin's key
	processes map[string]process
	network   *network
	store     *store
	spool     *spool

	folder  string // programs, logs, journals
	keepers []*keeper
}

// newStage builds and starts the programs beside the servers of a supervisor and
// returns when all are ready.
func newStage(ctx context.Context, supervisor supervisor, system system) (s *stage, err error) {
	s = &stage{system: system, processes: map[string]process{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.end(false))
		}
	}()
	for _, name := range system.all() {
		s.processes[name] = server{name, supervisor}
		if err := s.processes[name].check(ctx); err != nil {
			return s, err
		}
	}
	variables, err := config.LocalVariables()
	if err != nil {
		return s, err
	}
	var id [4]byte
	_, _ = rand.Read(id[:])
	variables[config.Prefix+"NAMESPACE"] = "chaos_" + hex.EncodeToString(id[:])
	if s.config, err = config.LoadFrom(variables); err != nil {
		return s, err
	}
	if s.folder, err = os.MkdirTemp("", "clickledger-chaos-"); err != nil {
		return s, fmt.Errorf("make a folder: %w", err)
	}
	addresses, err := system.addresses(s.config)
	if err != nil {
		return s, err
	}
	if s.network, err = newNetwork(system, addresses); err != nil {
		return s, err
	}
	if s.store, err = newStore(s.config, addresses); err != nil {
		return s, err
	}
	if s.spool, err = newSpool(filepath.Join(s.folder, spoolOwner)); err != nil {
		return s, err
	}
	say("building the programs")
	if err := os.Mkdir(s.bin(), 0o700); err != nil {
		return s, fmt.Errorf("make a folder: %w", err)
	}
	if err := fleet.Build(s.bin()); err != nil {
		return s, err
	}
	if err := fleet.Setup(ctx, s.bin(), variables); err != nil {
		return s, err
	}
	if err := s.startPrograms(variables); err != nil {
		return s, err
	}
	return s, s.ready(ctx)
}

// startPrograms starts each program with ports and a journal of its own.
func (s *stage) startPrograms(direct map[string]string) error {
	for i, m := range members {
		listen, ops := blockAddr(i, listenPort), blockAddr(i, opsPort)
		variables := s.network.variables(direct, m.name)
		maps.Copy(variables, map[string]string{
			config.Prefix + "JOURNAL_PATH":          filepath.Join(s.folder, m.name, journalFile),
			config.Prefix + "GATEWAY_LISTEN":        listen,
			config.Prefix + "PUBLIC_URL":            "http://" + listen,
			config.Prefix + "GATEWAY_OPS_LISTEN":    ops,
			config.Prefix + "INGESTER_OPS_LISTEN":   ops,
			config.Prefix + "AGGREGATOR_OPS_LISTEN": ops,
		})
		if err := os.MkdirAll(filepath.Join(s.folder, m.name), 0o700); err != nil {
			return fmt.Errorf("make folder of %s: %w", m.name, err)
		}
		if m.role == gateway {
			s.urls = append(s.urls, "http://"+listen)
			s.admins = append(s.admins, client.New("http://"+listen, s.config.AdminKey))
		}
		k := keep(fleet.NewProgram(m.name, filepath.Join(s.bin(), string(m.role)), ops, s.log(m.name), variables))
		s.keepers = append(s.keepers, k)
		s.processes[m.name] = k
	}
	return nil
}

func (s *stage) bin() string { return filepath.Join(s.folder, "bin") }

func (s *stage) log(name string) string { return filepath.Join(s.folder, name+".log") }

// ready waits until every program and server is.
func (s *stage) ready(ctx context.Context) error {
	for name, p := range s.processes {
		if err := poll.Until(ctx, startTimeout, lookInterval, p.check); err != nil {
			return fmt.Errorf("%s is not ready: %w", name, err)
		}
	}
	return nil
}

func (s *stage) endsByItself() []error {
	var all []error
	for _, k := range s.keepers {
		all = append(all, k.endsByItself()...)
	}
	return all
}

// end stops the programs. When all went well everything they kept is removed;
// otherwise it is left to be looked at.
func (s *stage) end(well bool) error {
	for _, k := range s.keepers {
		k.stop()
	}
	var errs []error
	if s.network != nil {
		s.network.close()
	}
	if s.store != nil {
		errs = append(errs, s.store.close())
	}
	if s.spool != nil {
		errs = append(errs, s.spool.close())
	}
	if s.folder != "" && !well {
		say("the programs' logs and journals are kept in %s, their data in the namespace %s", s.folder, s.config.Namespace)
		return errors.Join(errs...)
	}
	if s.folder != "" {
		ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
		defer cancel()
		errs = append(errs, fleet.Remove(ctx, s.config), os.RemoveAll(s.folder))
	}
	return errors.Join(errs...)
}
