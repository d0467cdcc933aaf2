// Command demo clicks ads on the running system as a small crowd would, shows
// live what was clicked and what was counted, and at its end compares the two.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"clickledger/internal/config"
	"clickledger/tests/client"
	"clickledger/tests/oracle"
)

const (
	advertiserCount  = 3
	adsPerAdvertiser = 12
)

// settings are the environment's; --help shows them.
type settings struct {
	Seconds int `env:"DEMO_SECONDS" default:"0" help:"How long to click; 0 means until Ctrl-C."`
	Rate    int `env:"DEMO_RATE" default:"200" help:"Clicks per second."`
}

func main() {
	var s settings
	kong.Parse(&s, kong.Name("demo"), kong.UsageOnError(),
		kong.Description("Clicks ads on the running system (`just run`, or `just cluster` with STACK=cluster), shows live figures, and fails if what was counted is not what was clicked."))
	if err := run(s); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run is the demo from its advertisers to its comparison. The first Ctrl-C ends
// the clicking, a second one the waiting.
func run(s settings) error {
	if s.Rate < 1 || s.Rate > 5000 || s.Seconds < 0 {
		return errors.New("DEMO_RATE must be from 1 to 5000 and DEMO_SECONDS not negative")
	}
	variables, err := config.LocalVariables()
	if err != nil {
		return err
	}
	c, err := config.LoadFrom(variables)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	admin := client.New(c.PublicURL, c.AdminKey)
	advertisers, err := newAdvertisers(ctx, admin)
	if err != nil {
		return fmt.Errorf("%w (is the system up? `just run`, or `just cluster`)", err)
	}
	var clicked oracle.Oracle
	crowd, err := newCrowd(c, client.Gateways(variables, c.PublicURL), admin, &clicked, advertisers, s.Rate)
	if err != nil {
		return err
	}
	folder, err := config.LocalFolder()
	if err != nil {
		return err
	}
	screen := newScreen(c, folder, admin, &clicked, crowd, advertisers)

	clicking, end := ctx, context.CancelFunc(func() {})
	if s.Seconds > 0 {
		clicking, end = context.WithTimeout(ctx, time.Duration(s.Seconds)*time.Second)
	}
	defer end()
	showing, hide := context.WithCancel(context.Background())
	defer hide()
	shown := screen.start(showing)
	crowd.click(clicking)
	stop() // the next Ctrl-C is caught anew

	waiting, stopWaiting := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stopWaiting()
	err = finish(waiting, screen, admin, &clicked, advertisers)
	hide()
	<-shown
	return errors.Join(err, verdict(&clicked, advertisers))
}

func newAdvertisers(ctx context.Context, admin *client.API) ([]*client.Advertiser, error) {
	advertisers := make([]*client.Advertiser, advertiserCount)
	for i, name := range []string{"Bakery", "Bicycles", "Books"} {
		var err error
		if advertisers[i], err = admin.NewAdvertiser(ctx, name, adsPerAdvertiser); err != nil {
			return nil, err
		}
	}
	return advertisers, nil
}
