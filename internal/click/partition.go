package click

import "encoding/binary"

// Partition is the Kafka partition of an impression's clicks, in
// [0, partitions): (hash(ad) + hash(impression) mod fanOut) mod partitions.
//
// The ad shards the stream; a hot ad is salted over fanOut partitions. Because
// the salt comes from the impression, all clicks of one impression meet in one
// partition, where the lowest offset wins.
func Partition(adID int64, impression ImpressionID, fanOut uint8, partitions int32) int32 {
	salt := uint64(0)
	if fanOut > 1 {
		salt = mix(binary.BigEndian.Uint64(impression[8:16])) % uint64(fanOut)
	}
	return int32((mix(uint64(adID)) + salt) % uint64(partitions))
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood 2014): every input bit
// changes every output bit with probability one half.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
