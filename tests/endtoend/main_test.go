// Package endtoend tests Clickledger as it is used: the built programs, the
// real servers, and only the ports that are open to anybody.
package endtoend

import (
	"os"
	"testing"
	"time"

	"clickledger/tests/fleet"
)

const askInterval = 250 * time.Millisecond

// programs is the folder of the built programs, set once before any test.
var programs string

func TestMain(m *testing.M) { os.Exit(fleet.Main(m, &programs)) }
