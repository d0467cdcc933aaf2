package kafka

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

func TestGatheredClicksKeepTheirOrder(t *testing.T) {
	const clicks = 200_000
	given := make(chan *delivery, clicks+1)
	g := gatherer{keep: 100 * time.Microsecond, give: func(d *delivery) { given <- d }}
	added := make([]*delivery, clicks)
	for i := range added {
		added[i] = &delivery{}
		g.add(added[i])
	}
	g.giveAll(true)
	late := &delivery{}
	g.add(late)
	added = append(added, late)
	if len(given) != len(added) {
		t.Fatalf("%d of %d were given", len(given), len(added))
	}
	for i, want := range added {
		if got := <-given; got != want {
			t.Fatalf("another click than the %dth was given in its place", i)
		}
	}
}

func TestHandOverIsASmallPartOfTheLinger(t *testing.T) {
	for linger, want := range map[time.Duration]time.Duration{
		0: 0, 5 * time.Millisecond: 500 * time.Microsecond, 20 * time.Millisecond: 2 * time.Millisecond, 60 * time.Millisecond: 2 * time.Millisecond,
	} {
		if got := handOver(linger); got != want {
			t.Errorf("of a linger of %v: %v, want %v", linger, got, want)
		}
	}
}

func TestGatewaysSendAtTheSameMoments(t *testing.T) {
	for name, test := range map[string]struct{ now, want time.Duration }{
		"in between":          {103 * time.Millisecond, 17 * time.Millisecond},
		"a moment before one": {120*time.Millisecond - 1, 1},
		"at one":              {120 * time.Millisecond, 60 * time.Millisecond},
	} {
		if got := untilMultiple(time.Unix(0, int64(test.now)), 60*time.Millisecond); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestClosingSendsWhatIsGathered(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "test.clicks"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	producer := newProducer(t, config.Config{
		Namespace: "test", KafkaBrokers: cluster.ListenAddrs(), Partitions: 3, ProduceLinger: time.Hour,
	})
	d, err := producer.send(&click.Routed{Click: someClick(t), FanOut: 1}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := producer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-d.done:
		if d.err != nil {
			t.Errorf("not sent: %v", d.err)
		}
	default:
		t.Error("nothing became of a click that was waiting when the producer was closed")
	}
}
