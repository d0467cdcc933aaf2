package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	sdk "go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/types/known/durationpb"

	"clickledger/internal/config"
	temporalclient "clickledger/internal/temporal"
	"clickledger/workflows"
)

// historyRetention is how long finished workflows can be looked at.
const historyRetention = 7 * 24 * time.Hour

// errNotKnownYet: Temporal was told, but its caches lag behind by seconds.
var errNotKnownYet = errors.New("temporal does not know it everywhere yet")

// temporal is what setup does to one Temporal namespace.
type temporal struct {
	client    client.Client
	namespace string
	lateness  time.Duration
	created   bool // the namespace, by this run: a repeated step finds it there
}

func dialTemporal(c config.Config) (*temporal, error) {
	quiet := log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	connection, err := client.NewLazyClient(temporalclient.Options(c, quiet))
	if err != nil {
		return nil, fmt.Errorf("create temporal client: %w", err)
	}
	return &temporal{client: connection, namespace: c.TemporalNamespace(), lateness: c.AllowedLateness}, nil
}

// ensureNamespace registers the namespace, then the search attributes in it.
func (t *temporal) ensureNamespace(ctx context.Context) (string, error) {
	_, err := t.client.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace:                        t.namespace,
		Description:                      "Clickledger",
		WorkflowExecutionRetentionPeriod: durationpb.New(historyRetention),
	})
	var exists *serviceerror.NamespaceAlreadyExists
	if err != nil && !errors.As(err, &exists) {
		return "", fmt.Errorf("register namespace: %w", err)
	}
	t.created = t.created || err == nil
	added, err := t.ensureAttributes(ctx)
	if err != nil {
		return "", err
	}
	did := "namespace " + t.namespace + " is there"
	if t.created {
		did = "created namespace " + t.namespace
	}
	if len(added) > 0 {
		did += ", added search attributes " + strings.Join(added, " and ")
	}
	return did, nil
}

// ensureAttributes adds the search attributes that are missing and returns
// their names. One of another type cannot be mended here.
func (t *temporal) ensureAttributes(ctx context.Context) (added []string, err error) {
	listed, err := t.client.OperatorService().ListSearchAttributes(ctx,
		&operatorservice.ListSearchAttributesRequest{Namespace: t.namespace})
	if err != nil {
		return nil, fmt.Errorf("list search attributes: %w", err)
	}
	missing := map[string]enumspb.IndexedValueType{}
	for _, attribute := range []struct {
		name string
		kind enumspb.IndexedValueType
	}{
		{workflows.JobAttribute, enumspb.INDEXED_VALUE_TYPE_KEYWORD},
		{workflows.WindowAttribute, enumspb.INDEXED_VALUE_TYPE_DATETIME},
		{workflows.StateAttribute, enumspb.INDEXED_VALUE_TYPE_KEYWORD},
	} {
		switch kind, ok := listed.GetCustomAttributes()[attribute.name]; {
		case !ok:
			missing[attribute.name] = attribute.kind
			added = append(added, attribute.name)
		case kind != attribute.kind:
			return nil, fmt.Errorf("search attribute %s is of type %s, not %s; remove it with `temporal operator search-attribute remove`",
				attribute.name, kind, attribute.kind)
		}
	}
	if len(missing) == 0 {
		return nil, nil
	}
	_, err = t.client.OperatorService().AddSearchAttributes(ctx,
		&operatorservice.AddSearchAttributesRequest{Namespace: t.namespace, SearchAttributes: missing})
	var exists *serviceerror.AlreadyExists
	if err != nil && !errors.As(err, &exists) { // exists: another setup was quicker
		return nil, fmt.Errorf("add search attributes: %w", err)
	}
	return added, nil
}

// ensureSchedules creates the schedules, or brings them up to date. One that
// was paused stays paused.
func (t *temporal) ensureSchedules(ctx context.Context) (string, error) {
	var did []string
	for _, schedule := range workflows.Schedules(t.lateness) {
		_, err := t.client.ScheduleClient().Create(ctx, schedule)
		verb := "created "
		if errors.Is(err, sdk.ErrScheduleAlreadyRunning) {
			verb, err = "updated ", t.updateSchedule(ctx, schedule)
		}
		if err != nil {
			return "", fmt.Errorf("schedule %s: %w", schedule.ID, notKnownYet(err))
		}
		did = append(did, verb+schedule.ID)
	}
	return strings.Join(did, ", "), nil
}

// notKnownYet marks the refusal of a search attribute that was only just added.
func notKnownYet(err error) error {
	var invalid *serviceerror.InvalidArgument
	if errors.As(err, &invalid) && strings.Contains(strings.ToLower(invalid.Message), "search attribute") {
		return fmt.Errorf("%w: %w", errNotKnownYet, err)
	}
	return err
}

func (t *temporal) updateSchedule(ctx context.Context, schedule client.ScheduleOptions) error {
	return t.client.ScheduleClient().GetHandle(ctx, schedule.ID).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			kept := in.Description.Schedule
			kept.Spec, kept.Action = &schedule.Spec, schedule.Action
			kept.Policy = &client.SchedulePolicies{Overlap: schedule.Overlap, CatchupWindow: schedule.CatchupWindow}
			return &client.ScheduleUpdate{Schedule: &kept}, nil
		},
	})
}
