package click

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"time"
)

// ImpressionID names one showing of one ad. It is a UUID of version 7 (RFC
// 9562, section 5.7): 48 bits of Unix milliseconds, then random bits, so it
// carries the time it was issued.
type ImpressionID [16]byte

// NewImpressionID makes an impression id issued at now with randomness from
// random, which must be a cryptographic source: ids are not guessable.
func NewImpressionID(now time.Time, random io.Reader) (ImpressionID, error) {
	var id ImpressionID
	if _, err := io.ReadFull(random, id[6:]); err != nil {
		return ImpressionID{}, fmt.Errorf("read randomness for an impression id: %w", err)
	}
	ms := uint64(now.UnixMilli())
	binary.BigEndian.PutUint32(id[0:4], uint32(ms>>16))
	binary.BigEndian.PutUint16(id[4:6], uint16(ms))
	id[6] = id[6]&0x0f | 0x70 // version 7
	id[8] = id[8]&0x3f | 0x80 // variant 10
	return id, nil
}

// IssuedAt is the time the impression was issued, in milliseconds, UTC.
func (id ImpressionID) IssuedAt() time.Time {
	ms := uint64(binary.BigEndian.Uint32(id[0:4]))<<16 | uint64(binary.BigEndian.Uint16(id[4:6]))
	return time.UnixMilli(int64(ms)).UTC()
}

// valid reports whether version and variant are those of a UUIDv7.
func (id ImpressionID) valid() bool {
	return id[6]>>4 == 7 && id[8]>>6 == 0b10
}

// Random62 is the 62 random bits behind the variant (RFC 9562's rand_b) as a
// non-negative integer. Together with the issue second it names an impression
// in the seen index: two impressions of one second share it with a chance of
// about n²/2⁶³ for n impressions in that second.
func (id ImpressionID) Random62() int64 {
	return int64(binary.BigEndian.Uint64(id[8:16]) & (1<<62 - 1))
}

// String is the usual 8-4-4-4-12 form in lower case.
func (id ImpressionID) String() string {
	return formatUUID(id)
}

func formatUUID(id [16]byte) string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	b[8] = '-'
	hex.Encode(b[9:13], id[4:6])
	b[13] = '-'
	hex.Encode(b[14:18], id[6:8])
	b[18] = '-'
	hex.Encode(b[19:23], id[8:10])
	b[23] = '-'
	hex.Encode(b[24:36], id[10:16])
	return string(b[:])
}
