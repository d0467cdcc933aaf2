package workflows

import (
	"context"
	"errors"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// execute runs an activity and waits for its result. The activity is a method
// value of a typed nil, which only names it: a wrong input or a forgotten
// result does not compile, where the plain call would say nothing.
func execute[In, Out any](
	ctx workflow.Context, options workflow.ActivityOptions, activity func(context.Context, In) (Out, error), in In,
) (Out, error) {
	var out Out
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activity, in).Get(ctx, &out)
	return out, plain(err)
}

// plain is what the activity itself said, without the envelope it came in: a
// workflow that fails of it shows the sentence first, not "activity error".
func plain(err error) error {
	var said *temporal.ApplicationError
	if errors.As(err, &said) {
		return said
	}
	return err
}

// sentence is what a failure says, without its type.
func sentence(err error) string {
	var said *temporal.ApplicationError
	if errors.As(err, &said) {
		return said.Message()
	}
	return err.Error()
}

// child starts a workflow with its one input as a child; a wrong input does not
// compile.
func child[In, Out any](
	ctx workflow.Context, options workflow.ChildWorkflowOptions, run func(workflow.Context, In) (Out, error), in In,
) workflow.ChildWorkflowFuture {
	return workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, options), run, in)
}
