package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"go.temporal.io/api/workflowservice/v1"
	"golang.org/x/sync/errgroup"

	clickledgerv1 "clickledger/proto/gen/clickledger/v1"
)

// callersMax is how many ask at a time.
const callersMax = 32

func countRunning(workflowType string) *workflowservice.CountWorkflowExecutionsRequest {
	return &workflowservice.CountWorkflowExecutionsRequest{
		Query: fmt.Sprintf("WorkflowType = %q and ExecutionStatus = 'Running'", workflowType),
	}
}

// knows has the first gateway look up ads, and looks at its memory.
func (b *bench) knows(ctx context.Context) error {
	first := b.gateways[0]
	if err := b.ask(ctx, 0, 1000); err != nil { // what calls need themselves
		return err
	}
	bytesBefore, adsBefore, err := first.memory(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("asking a gateway about %d ads …\n", b.settings.Known)
	if err := b.ask(ctx, 1000, b.settings.Known); err != nil {
		return err
	}
	bytesAfter, adsAfter, err := first.memory(ctx)
	if err != nil {
		return err
	}
	if adsAfter-adsBefore < float64(b.settings.Known)/2 {
		return fmt.Errorf("the gateway keeps %.0f ads of %d", adsAfter, b.settings.Known)
	}
	b.result.GatewayAds = adsAfter
	b.result.GatewayBytes = (bytesAfter - bytesBefore) / (adsAfter - adsBefore)
	return nil
}

// ask issues an impression of each of the ads from first to last.
func (b *bench) ask(ctx context.Context, first, last int) error {
	callers, ctx := errgroup.WithContext(ctx)
	callers.SetLimit(callersMax)
	for i := first; i < last && ctx.Err() == nil; i++ {
		callers.Go(func() error {
			_, err := b.admin.Impressions.IssueImpressions(ctx, &clickledgerv1.IssueImpressionsRequest{AdId: adID(i), Count: 1})
			return err
		})
	}
	return callers.Wait()
}

// memory is what a gateway has on its heap, all garbage collected, and how many
// ads it keeps.
func (g gateway) memory(ctx context.Context) (bytes, ads float64, err error) {
	if _, err := g.get(ctx, "/debug/pprof/heap?gc=1"); err != nil {
		return 0, 0, err
	}
	text, err := g.get(ctx, "/metrics")
	if err != nil {
		return 0, 0, err
	}
	if bytes, err = metric(text, "go_memstats_heap_alloc_bytes"); err != nil {
		return 0, 0, err
	}
	ads, err = metric(text, "clickledger_gateway_ads_cached")
	return bytes, ads, err
}

func (g gateway) get(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.ops+path, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", path, response.Status)
	}
	return string(text), err
}

// metric is the value of a metric without labels.
func metric(text, name string) (float64, error) {
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}
