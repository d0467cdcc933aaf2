package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// valkeySlots is how many slots the keys of a Valkey cluster are spread over.
const valkeySlots = 16384

// valkeyCluster is primaries that share the slots. Which of them has which is theirs to know: they keep it in a file nodes.conf of each.
// The first one is written here, before they ever ran, so that nobody has to introduce them to each other
// (https://valkey.io/topics/cluster-spec; the lines are those of CLUSTER NODES).
type valkeyCluster struct{ members []node }

// seenCluster is that of the seen index; nil where one server has it all.
func (s stack) seenCluster() *valkeyCluster {
	if len(s.seen) < 2 {
		return nil
	}
	return &valkeyCluster{s.seen}
}

// introduce writes the first nodes.conf of a member. One that is there is the member's own, and stays.
func (c *valkeyCluster) introduce(at site, self node) error {
	path := at.data(self.name, "nodes.conf")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return writePrivate(path, []byte(c.nodes(self)))
}

// nodes is the cluster as a member sees it.
func (c *valkeyCluster) nodes(self node) string {
	var b strings.Builder
	for i, n := range c.members {
		flags := "master"
		if n.name == self.name {
			flags = "myself,master"
		}
		from, to := i*valkeySlots/len(c.members), (i+1)*valkeySlots/len(c.members)-1
		_, bus, _ := strings.Cut(n.addrs[1], ":")
		fmt.Fprintf(&b, "%040x %s@%s %s - 0 0 %d connected %d-%d\n", i+1, n.addr(), bus, flags, i+1, from, to)
	}
	fmt.Fprintf(&b, "vars currentEpoch %d lastVoteEpoch 0\n", len(c.members))
	return b.String()
}

// valkeyClusterReady asks a member whether it found the others.
func valkeyClusterReady(connection io.Writer, answers *bufio.Reader) error {
	if _, err := fmt.Fprint(connection, "CLUSTER INFO\r\n"); err != nil {
		return fmt.Errorf("ask for the cluster: %w", err)
	}
	for {
		line, err := answers.ReadString('\n')
		if err != nil {
			return fmt.Errorf("ask for the cluster: %w", err)
		}
		if state, ok := strings.CutPrefix(strings.TrimSpace(line), "cluster_state:"); ok {
			if state != "ok" {
				return errors.New("the Valkey cluster is not complete yet")
			}
			return nil
		}
	}
}
