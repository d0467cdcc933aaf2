package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

const temporalVersion = "v1.5.1"

func temporalService() service {
	return service{
		name: "temporal", what: "Temporal 1.29 and its UI", group: server,
		addrs:    []string{temporalAddr, temporalUIAddr},
		installs: []string{"temporal"},
		prepare: func(_ context.Context, at site) error {
			// The server's program is the command line too; people find it beside our own.
			link := at.bin("temporal")
			if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("link to the command line: %w", err)
			}
			return linkTo(at.tool(temporalFolder, "temporal"), link)
		},
		command:     temporalCommand,
		ready:       temporalReady,
		yields:      true,
		stopTimeout: 20 * time.Second,
	}
}

func temporalCommand(at site) []string {
	host, port, _ := net.SplitHostPort(temporalAddr)
	_, uiPort, _ := net.SplitHostPort(temporalUIAddr)
	return []string{
		at.tool(temporalFolder, "temporal"), "server", "start-dev", "--ip", host, "--port", port, "--ui-port", uiPort,
		"--db-filename", at.data("temporal", "temporal.db"), "--log-level", "warn",
		// A commit waits for the disk at the next checkpoint, not at once: only a machine that loses its power loses the last ones, and
		// ticks plan from the ledger, which does not.
		"--sqlite-pragma", "synchronous=1",
		// Every namespace is registered with search attributes of its own and used a moment later.
		"--dynamic-config-value", "system.forceSearchAttributesCacheRefreshOnRead=true",
		"--dynamic-config-value", "frontend.namespaceRPS=10000", "--dynamic-config-value", "frontend.globalNamespaceRPS=0",
	}
}

// temporalReady asks for the frontend's health, for the namespace `default`, which the server makes last, and for the UI.
func temporalReady(ctx context.Context, _ site) error {
	connection, err := grpc.NewClient(temporalAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	defer connection.Close()
	health, err := grpc_health_v1.NewHealthClient(connection).Check(ctx, &grpc_health_v1.HealthCheckRequest{
		Service: "temporal.api.workflowservice.v1.WorkflowService",
	})
	if err != nil {
		return fmt.Errorf("ask for health: %w", err)
	}
	if health.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return errors.New("health is " + health.GetStatus().String())
	}
	namespaces := workflowservice.NewWorkflowServiceClient(connection)
	if _, err := namespaces.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: "default"}); err != nil {
		return fmt.Errorf("ask for namespace: %w", err)
	}
	return httpReady(ctx, "http://"+temporalUIAddr+"/")
}
