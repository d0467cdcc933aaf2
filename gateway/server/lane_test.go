package server

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/gzip"

	v1 "clickledger/proto/gen/clickledger/v1"
)

func TestNoMoreIsMadeAtOnceThanTheLaneHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := make(lane, 2)
		var now, most, done atomic.Int64
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				l.do(func() {
					most.Store(max(most.Load(), now.Add(1)))
					time.Sleep(time.Second)
					now.Add(-1)
				})
				done.Add(1)
			})
		}
		all.Wait()
		if most.Load() != 2 || done.Load() != 10 {
			t.Errorf("%d at once, %d done", most.Load(), done.Load())
		}
	})
}

func TestALaneIsFreeAgainAfterAPanic(t *testing.T) {
	l := make(lane, 1)
	func() {
		defer func() { _ = recover() }()
		l.do(func() { panic("no") })
	}()
	l.do(func() {})
}

func TestWhatIsWrittenInALaneIsRead(t *testing.T) {
	l := make(lane, 1)
	in := &v1.QueryClicksResponse{NextPageToken: strings.Repeat("0123456789", laneBytes)}
	for _, codec := range []laneCodec{{protoCodec{}, l}, {jsonCodec{"json"}, l}} {
		data, err := codec.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var compressed bytes.Buffer
		w := laneCompressor{gzip.NewWriter(&compressed), l}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := gzip.NewReader(&compressed)
		if err != nil {
			t.Fatal(err)
		}
		back, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out := &v1.QueryClicksResponse{}
		if err := codec.Unmarshal(back, out); err != nil || out.GetNextPageToken() != in.GetNextPageToken() {
			t.Errorf("%s: read back %d bytes, %v", codec.Name(), len(out.GetNextPageToken()), err)
		}
	}
}
