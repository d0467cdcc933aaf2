package click

// PartitionProgress is what decides whether one partition holds back a seal.
// All are offsets of the stream.
type PartitionProgress struct {
	Partition int32
	// Committed is the committed offset of the ingester's group: everything
	// before it is stored. A partition without a commit counts as committed at
	// its log start.
	Committed int64
	// Required is the first offset appended at or after the window's end plus
	// the allowed lateness; with none yet, the end offset.
	Required int64
}

// Sealable reports whether every click appended before the window closed has
// been stored: in every partition, the group has committed at least what is
// required. Idle partitions require only what they hold. No partition at all is
// never sealable: it means the stream was not looked at.
func Sealable(partitions []PartitionProgress) bool {
	for _, p := range partitions {
		if p.Committed < p.Required {
			return false
		}
	}
	return len(partitions) > 0
}

// Offsets is one offset per partition; the index is the partition.
type Offsets []int64

// Dirty reports whether highest, the highest stored offset per partition of a
// window, holds a click at or beyond the offsets checked when the window was
// sealed: a late click that its figures do not have yet.
func Dirty(checked Offsets, highest map[int32]int64) bool {
	for partition, offset := range highest {
		if int(partition) >= len(checked) || offset >= checked[partition] {
			return true
		}
	}
	return false
}
