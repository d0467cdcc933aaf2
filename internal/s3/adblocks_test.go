package s3

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"clickledger/internal/click"
)

func TestBlocksReadAtAnyPlaceWhatIsThere(t *testing.T) {
	content := make([]byte, blockBytes*(blocksKept+3)+17)
	luck := rand.New(rand.NewPCG(1, 2))
	for i := range content {
		content[i] = byte(luck.Uint32())
	}
	reads := 0
	b := &blocks{bytes: int64(len(content)), kept: map[int64][]byte{}, read: func(from, to int64) ([]byte, error) {
		reads++
		return content[from:to], nil
	}}
	for range 200 {
		offset := luck.Int64N(int64(len(content)))
		into := make([]byte, luck.IntN(3*blockBytes))
		n, err := b.ReadAt(into, offset)
		want := content[offset:min(offset+int64(len(into)), int64(len(content)))]
		if !bytes.Equal(into[:n], want) || (err != nil) != (len(want) < len(into)) || err != nil && !errors.Is(err, io.EOF) {
			t.Fatalf("%d bytes at %d: %d read, %v", len(into), offset, n, err)
		}
		if len(b.kept) > blocksKept || len(b.recent) != len(b.kept) {
			t.Fatalf("%d blocks are kept, %d in order", len(b.kept), len(b.recent))
		}
	}
	before := reads
	for range 10 { // side by side, as columns are
		for number := range int64(blocksKept) {
			if _, err := b.ReadAt(make([]byte, 100), number*blockBytes); err != nil {
				t.Fatal(err)
			}
		}
	}
	if reads-before > blocksKept {
		t.Errorf("%d blocks were read for %d places", reads-before, blocksKept)
	}
}

func TestABlockThatIsCutShortIsNotTheFilesEnd(t *testing.T) {
	b := &blocks{bytes: 100, kept: map[int64][]byte{}, read: func(int64, int64) ([]byte, error) { return make([]byte, 60), nil }}
	if _, err := b.ReadAt(make([]byte, 10), 0); !errors.Is(err, click.ErrUnavailable) {
		t.Error(err)
	}
}
