// Package endtoend tests Clickledger as it is used: the built programs, the
// real servers, and only the ports that are open to anybody.
package endtoend

import (
	"fmt"
	"os"
	"testing"
	"time"

	"clickledger/tests/client"
	"clickledger/tests/fleet"
	"clickledger/tests/oracle"
	"clickledger/tests/poll"
)

const (
	countedTimeout = time.Minute
	// finalTimeout is from a minute's last click: up to a minute until it ends,
	// then the lateness, the next tick and the flush. Generous: machines are slow.
	finalTimeout = 4 * time.Minute
	askInterval  = 250 * time.Millisecond
)

// programs is the folder of the built programs, set once before any test.
var programs string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "clickledger-programs-")
	if err == nil {
		defer func() { _ = os.RemoveAll(folder) }()
		err = fleet.Build(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	programs = folder
	return m.Run()
}

// waitCounted waits until every acknowledged click of the advertisers shows.
func waitCounted(t *testing.T, f *fleet.Fleet, clicked *oracle.Oracle, advertisers ...*client.Advertiser) {
	t.Helper()
	if err := poll.Until(t.Context(), countedTimeout, askInterval, clicked.Counted(f.Admin, advertisers)); err != nil {
		t.Fatal(err)
	}
}

// waitFinal waits until every minute clicked in is sealed.
func waitFinal(t *testing.T, f *fleet.Fleet, clicked *oracle.Oracle, advertiser *client.Advertiser) {
	t.Helper()
	if err := poll.Until(t.Context(), finalTimeout, askInterval, clicked.Final(f.Admin, advertiser)); err != nil {
		t.Fatal(err)
	}
}

// compare fails the test for every figure that is not what was clicked.
func compare(t *testing.T, clicked *oracle.Oracle, advertisers ...*client.Advertiser) {
	t.Helper()
	differences, err := clicked.Differences(t.Context(), advertisers)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range differences {
		t.Error(d)
	}
}
