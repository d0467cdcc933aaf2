package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"clickledger/internal/click"
)

// An entry is, big endian: version 1 B, fan-out 1 B, ad 8 B, advertiser 8 B,
// impression 16 B, arrival 16 B, clicked at (Unix milliseconds) 8 B, CRC-32C
// of all before 4 B. The file's pages have no checksum of their own.
const (
	entryVersion = 1
	entryLength  = 1 + 1 + 8 + 8 + 16 + 16 + 8 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encodeEntry(r click.Routed) []byte {
	b := make([]byte, 0, entryLength)
	b = append(b, entryVersion, r.FanOut)
	b = binary.BigEndian.AppendUint64(b, uint64(r.AdID))
	b = binary.BigEndian.AppendUint64(b, uint64(r.AdvertiserID))
	b = append(b, r.Impression[:]...)
	b = append(b, r.Arrival[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.ClickedAt.UnixMilli()))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeEntry reads what encodeEntry wrote. An error means that the entry was
// damaged, or written by a later version.
func decodeEntry(b []byte) (click.Routed, error) {
	if len(b) != entryLength {
		return click.Routed{}, fmt.Errorf("entry has %d bytes, not %d", len(b), entryLength)
	}
	if b[0] != entryVersion {
		return click.Routed{}, fmt.Errorf("entry has version %d, not %d", b[0], entryVersion)
	}
	end := entryLength - crc32.Size
	if crc32.Checksum(b[:end], castagnoli) != binary.BigEndian.Uint32(b[end:]) {
		return click.Routed{}, errors.New("entry does not match its checksum")
	}
	r := click.Routed{FanOut: b[1]}
	r.AdID = int64(binary.BigEndian.Uint64(b[2:]))
	r.AdvertiserID = int64(binary.BigEndian.Uint64(b[10:]))
	copy(r.Impression[:], b[18:])
	copy(r.Arrival[:], b[34:])
	r.ClickedAt = time.UnixMilli(int64(binary.BigEndian.Uint64(b[50:]))).UTC()
	return r, nil
}
