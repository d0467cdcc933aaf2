package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

const (
	namespaceCheckTimeout = 2 * time.Second
	namespacePause        = time.Second
)

// checkNamespace reports whether Temporal answers and has the namespace.
func checkNamespace(ctx context.Context, c client.Client, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, namespaceCheckTimeout)
	defer cancel()
	_, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	var notFound *serviceerror.NamespaceNotFound
	switch {
	case errors.As(err, &notFound):
		return fmt.Errorf("temporal has no namespace %s; run setup", namespace)
	case err != nil:
		return fmt.Errorf("temporal does not answer: %w", err)
	default:
		return nil
	}
}

// awaitNamespace waits until there is work to be had, and says once what it
// waits for.
func awaitNamespace(ctx context.Context, c client.Client, namespace string, log *slog.Logger) error {
	said := ""
	for {
		err := checkNamespace(ctx, c, namespace)
		if err == nil {
			return nil
		}
		if said == "" {
			said = err.Error()
			log.Warn("waiting", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(namespacePause):
		}
	}
}
