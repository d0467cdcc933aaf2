package workflows

// registry is what a worker, a test environment and a replayer have in common.
type registry interface {
	RegisterWorkflow(workflow any)
}

// Register makes every workflow known to a worker. Both queues' workers know
// all of them: flushes are started on either.
func Register(r registry) {
	r.RegisterWorkflow(FlushTick)
	r.RegisterWorkflow(FlushWindow)
	r.RegisterWorkflow(RepairWindow)
	r.RegisterWorkflow(RebuildSeen)
	r.RegisterWorkflow(FindHotAds)
}
