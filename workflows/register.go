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
	r.RegisterWorkflow(ArchiveTick)
	r.RegisterWorkflow(ArchiveWindow)
	r.RegisterWorkflow(ExportCatalogue)
	r.RegisterWorkflow(CleanLake)
	r.RegisterWorkflow(RollupTick)
	r.RegisterWorkflow(RollupDay)
	r.RegisterWorkflow(ReconcileTick)
	r.RegisterWorkflow(ReconcileHour)
	r.RegisterWorkflow(Backfill)
	r.RegisterWorkflow(ImportAds)
	r.RegisterWorkflow(SyncCatalogue)
}
