package click

import "fmt"

// stagedPrefix is where backfills put what the archive does not have yet, each
// in a folder of its own. It is no part of the lake: no manifest names it.
const stagedPrefix = "staging/backfill/"

// StagedFolder is where a backfill stages. The empty run's is all of them.
func StagedFolder(run string) string {
	if run == "" {
		return stagedPrefix
	}
	return stagedPrefix + run + "/"
}

// StagedObjectPath is where the clicks of a span of a partition are staged.
func StagedObjectPath(run string, partition int32, span OffsetSpan) string {
	return fmt.Sprintf("%sclicks-%d-%d-%d.parquet", StagedFolder(run), partition, span.First, span.Next-1)
}
