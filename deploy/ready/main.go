// Command ready asks a URL and exits with 0 when it is answered with 200: the health check of containers whose image has nothing else
// to ask with.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// timeout is below those of the health checks, so that the reason is seen.
const timeout = 4 * time.Second

func main() {
	if len(os.Args) != 2 || os.Args[1] == "--help" {
		fmt.Fprintln(os.Stderr, "usage: ready URL")
		os.Exit(2)
	}
	if err := ask(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "ready:", err)
		os.Exit(1)
	}
}

// ask returns what is answered with anything but 200 as an error: /readyz says there what is not ready.
func ask(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody) //nolint:gosec // who starts it says whom it asks
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	response, err := http.DefaultClient.Do(request) //nolint:gosec // as above
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return nil
	}
	reason, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil {
		return fmt.Errorf("read why it answers %s: %w", response.Status, err)
	}
	return fmt.Errorf("%s: %s", response.Status, reason)
}
