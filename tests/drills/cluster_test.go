//go:build drill

package drills

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"clickledger/internal/config"
	"clickledger/internal/stacktest/primaries"
	"clickledger/tests/oracle"
	"clickledger/tests/poll"
	"clickledger/tests/report"
	"clickledger/tests/traffic"
)

const (
	clusterClicksPerSecond = 300
	// copiedTimeout is how long a broker may take to have all copies again.
	copiedTimeout  = 3 * time.Minute
	copiedInterval = time.Second
	brokerOutage   = 20 * time.Second
)

// onCluster says why a drill of the cluster does not run on the single stack.
func onCluster(t *testing.T) {
	t.Helper()
	if os.Getenv(config.StackVariable) != config.StackCluster {
		t.Skip("needs several servers of each kind: STACK=cluster just drills")
	}
}

// A broker that comes back without its disk is one that was replaced: it copies
// everything from the others, and then is as good as they, so that another one
// can be away.
func TestClusterBrokerIsReplaced(t *testing.T) {
	onCluster(t)
	d := beginWith(t, 2*copiedTimeout, adsCount, clusterClicksPerSecond, nil)
	d.away(t, "kafka-3", brokerOutage, func() { removeData(t, "kafka-3") })
	began := time.Now()
	d.waitCopied(t)
	t.Logf("the new broker had all copies after %v", time.Since(began).Round(time.Second))
	d.away(t, "kafka-1", brokerOutage, func() { d.expectFreshFigures(t) })
	d.waitCopied(t)
	d.end(t)
}

// A primary of the seen index is killed and comes back empty, and a slot moves to
// another one, while people click: what was counted before is known all the time.
func TestClusterPrimaryIsLostAndASlotMoves(t *testing.T) {
	onCluster(t)
	d := beginWith(t, 2*valkeyOutage+time.Minute, adsCount, clusterClicksPerSecond, nil)
	regulars, err := d.fleet.Admin.NewAdvertiser(t.Context(), "Regulars", 1)
	if err != nil {
		t.Fatal(err)
	}
	impressions, err := traffic.Issue(t.Context(), d.fleet.Admin, regulars.Ads[0].GetAdId(), clickedAgain)
	if err != nil {
		t.Fatal(err)
	}
	var clicked oracle.Oracle
	clicker := traffic.NewClicker(d.fleet.URL, &clicked)
	for _, impression := range impressions {
		clicker.Insist(t.Context(), impression)
	}
	d.fleet.WaitCounted(t, &clicked, regulars)
	again := func() {
		// The gateway's memory of recent clicks goes: only the index is left.
		if err := errors.Join(d.fleet.Gateway.Kill(), d.fleet.Gateway.Start(), d.fleet.Gateway.Ready(t.Context())); err != nil {
			t.Fatal(err)
		}
		for _, impression := range impressions {
			if _, err := clicker.Click(t.Context(), impression); err != nil {
				t.Error(err)
			}
		}
	}
	d.away(t, "valkey-seen-2", valkeyOutage, func() {})
	again()
	d.expectFreshFigures(t)
	d.moveSlots(t)
	again()
	d.expectFreshFigures(t)
	d.end(t)
	d.fleet.Compare(t, &clicked, regulars)
}

// moveSlots moves the slots of two shards of the seen index to another primary,
// one after the other.
func (d *drill) moveSlots(t *testing.T) {
	t.Helper()
	addrs, password := d.fleet.Config.ValkeySeenAddrs, d.fleet.Config.ValkeyPassword
	for _, tag := range []string{"{00}", "{07}"} { // what keys of a shard have in common
		from, err := primaries.OwnerOf(t.Context(), addrs[0], password, tag)
		if err != nil {
			t.Fatal(err)
		}
		slot, err := primaries.SlotOf(t.Context(), from, password, tag)
		if err != nil {
			t.Fatal(err)
		}
		to, steps := addrs[(slices.Index(addrs, from)+1)%len(addrs)], 0
		if err := primaries.Move(t.Context(), slot, password, from, to, addrs, func() { steps++ }); err != nil {
			t.Fatal(err)
		}
		t.Logf("slot %d of shard %s moved from %s to %s in %d steps", slot, tag, from, to, steps)
	}
}

// removeData takes the disk of a stopped server away.
func removeData(t *testing.T, server string) {
	t.Helper()
	root, err := report.Root()
	if err != nil {
		t.Fatal(err)
	}
	folder, err := config.LocalFolder()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(root, folder, "data", server)); err != nil {
		t.Fatal(err)
	}
}

// waitCopied waits until every partition of every topic has all its copies.
func (d *drill) waitCopied(t *testing.T) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(d.fleet.Config.KafkaBrokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	err = poll.Until(t.Context(), copiedTimeout, copiedInterval, func(ctx context.Context) error {
		topics, err := kadm.NewClient(client).ListTopicsWithInternal(ctx)
		if err != nil {
			return err
		}
		lacking := 0
		for _, topic := range topics {
			for _, partition := range topic.Partitions {
				if len(partition.ISR) < len(partition.Replicas) {
					lacking++
				}
			}
		}
		if lacking > 0 {
			return fmt.Errorf("%d partitions lack a copy", lacking)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
