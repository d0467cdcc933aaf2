package primaries

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	vk "github.com/valkey-io/valkey-go"
)

const (
	keysPerMove = 100
	moveTimeout = 5 * time.Second
)

// SlotOf is the slot of a key of a Valkey cluster, by the cluster itself.
func SlotOf(ctx context.Context, addr, password, key string) (slot int64, err error) {
	s := &server{addr: addr, password: password}
	err = s.do(ctx, func(client vk.Client) error {
		slot, err = client.Do(ctx, client.B().ClusterKeyslot().Key(key).Build()).AsInt64()
		return err
	})
	return slot, err
}

// Move moves a slot from one server of a cluster to another as operators do, key
// by key while everything goes on
// (https://valkey.io/commands/cluster-setslot: importing, migrating, MIGRATE,
// then the new owner is told to all). Between is called after each step of at
// most 100 keys.
func Move(ctx context.Context, slot int64, password, from, to string, all []string, between func()) error {
	source, target := &server{addr: from, password: password}, &server{addr: to, password: password}
	sourceID, err := source.id(ctx)
	if err != nil {
		return err
	}
	targetID, err := target.id(ctx)
	if err != nil {
		return err
	}
	if err := target.order(ctx, "CLUSTER", "SETSLOT", strconv.FormatInt(slot, 10), "IMPORTING", sourceID); err != nil {
		return err
	}
	if err := source.order(ctx, "CLUSTER", "SETSLOT", strconv.FormatInt(slot, 10), "MIGRATING", targetID); err != nil {
		return err
	}
	for moved := true; moved; between() {
		if moved, err = source.migrate(ctx, slot, target, password); err != nil {
			return err
		}
	}
	// First the new owner, then the old one, so that never both refuse.
	for _, addr := range append([]string{to, from}, all...) {
		s := &server{addr: addr, password: password}
		if err := s.order(ctx, "CLUSTER", "SETSLOT", strconv.FormatInt(slot, 10), "NODE", targetID); err != nil {
			return err
		}
	}
	return nil
}

// migrate moves some keys of a slot; false when there were none.
func (s *server) migrate(ctx context.Context, slot int64, to *server, password string) (bool, error) {
	var keys []string
	err := s.do(ctx, func(client vk.Client) (err error) {
		keys, err = client.Do(ctx, client.B().ClusterGetkeysinslot().Slot(slot).Count(keysPerMove).Build()).AsStrSlice()
		return err
	})
	if err != nil || len(keys) == 0 {
		return false, err
	}
	words := []string{"MIGRATE", "127.0.0.1", port(to.addr), "", "0", strconv.FormatInt(moveTimeout.Milliseconds(), 10), "REPLACE", "AUTH", password, "KEYS"}
	return true, s.order(ctx, append(words, keys...)...)
}

func (s *server) id(ctx context.Context) (id string, err error) {
	err = s.do(ctx, func(client vk.Client) error {
		id, err = client.Do(ctx, client.B().ClusterMyid().Build()).ToString()
		return err
	})
	return id, err
}

func (s *server) order(ctx context.Context, words ...string) error {
	err := s.do(ctx, func(client vk.Client) error {
		return client.Do(ctx, client.B().Arbitrary(words...).Build()).Error()
	})
	if err != nil {
		return fmt.Errorf("%s %s at %s: %w", words[0], words[1], s.addr, err)
	}
	return nil
}

// OwnerOf is the server of a cluster that has a key, as the one at addr knows it.
func OwnerOf(ctx context.Context, addr, password, key string) (string, error) {
	owner := addr
	s := &server{addr: addr, password: password}
	err := s.do(ctx, func(client vk.Client) error {
		err := client.Do(ctx, client.B().Exists().Key(key).Build()).Error()
		var refused *vk.ValkeyError
		if errors.As(err, &refused) {
			if to, moved := refused.IsMoved(); moved {
				owner, err = to, nil
			}
		}
		return err
	})
	return owner, err
}
