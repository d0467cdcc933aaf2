package kafka

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"clickledger/internal/click"
)

// ownedPartitions are those the group gave to this member.
type ownedPartitions struct {
	mu    sync.Mutex
	given bool // the group has answered at least once, be it with nothing
	set   map[int32]bool
}

func (o *ownedPartitions) add(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
	o.change(topics, true)
}

func (o *ownedPartitions) remove(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
	o.change(topics, false)
}

func (o *ownedPartitions) change(topics map[string][]int32, owned bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.given = true
	if o.set == nil {
		o.set = map[int32]bool{}
	}
	for _, partitions := range topics {
		for _, partition := range partitions {
			o.set[partition] = owned
		}
	}
}

func (o *ownedPartitions) has(partition int32) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.set[partition]
}

func (o *ownedPartitions) joined() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.given
}

// Progress is, for every partition this member owns, the committed offset and,
// as what is required, the end of the stream. joined is false until the group
// has said what this member owns, which may be nothing.
func (c *Consumer) Progress(ctx context.Context) (progress []click.PartitionProgress, joined bool, err error) {
	admin := Admin{client: c.client, admin: kadm.NewClient(c.client), config: c.config}
	lags, err := admin.Lag(ctx)
	if err != nil {
		return nil, false, err
	}
	for _, lag := range lags {
		if c.owned.has(lag.Partition) {
			progress = append(progress, click.PartitionProgress{
				Partition: lag.Partition, Committed: lag.Committed, Required: lag.End,
			})
		}
	}
	return progress, c.owned.joined(), nil
}
