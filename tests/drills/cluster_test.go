//go:build drill

package drills

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"clickledger/internal/config"
	"clickledger/tests/poll"
	"clickledger/tests/report"
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
