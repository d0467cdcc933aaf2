package s3

import (
	"errors"
	"testing"

	"clickledger/internal/click"
	"clickledger/internal/stacktest"
)

func TestBucketIsCreatedOnce(t *testing.T) {
	lake, err := Open(stacktest.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := lake.Ping(t.Context()); !errors.Is(err, click.ErrNotFound) {
		t.Errorf("ping without a bucket: %v", err)
	}
	stacktest.Cleanup(t, "bucket", lake.Drop)
	for _, want := range []bool{true, false} {
		if created, err := lake.Ensure(t.Context()); err != nil || created != want {
			t.Errorf("created = %v, %v; want %v", created, err, want)
		}
	}
	if err := lake.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAServerThatIsAwayIsUnavailable(t *testing.T) {
	c := stacktest.Config(t)
	c.S3Endpoint = "127.0.0.1:1"
	lake, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := lake.Ping(t.Context()); !errors.Is(err, click.ErrUnavailable) {
		t.Errorf("ping: %v", err)
	}
}
