package journal

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"

	"clickledger/internal/click"
)

// Oldest are the entries that were appended first, in that order, limit at
// most. Entries that are damaged are set aside, never thrown away.
func (j *Journal) Oldest(limit int) ([]click.Journalled, error) {
	var entries []click.Journalled
	var damaged [][]byte
	err := j.db.View(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(bucketClicks).Cursor()
		for k, value := cursor.First(); k != nil && len(entries) < limit; k, value = cursor.Next() {
			r, err := decodeEntry(value)
			if err != nil {
				damaged = append(damaged, append([]byte(nil), k...))
				continue
			}
			entries = append(entries, click.Journalled{Routed: r, Number: binary.BigEndian.Uint64(k)})
		}
		return nil
	})
	if err == nil && len(damaged) > 0 {
		err = j.setAside(damaged)
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return entries, nil
}

// Remove takes entries out whose clicks are durable elsewhere.
func (j *Journal) Remove(entries []click.Journalled) error {
	if len(entries) == 0 {
		return nil
	}
	err := j.db.Update(func(tx *bbolt.Tx) error {
		clicks := tx.Bucket(bucketClicks)
		clicks.FillPercent = fillPercent
		for _, e := range entries {
			if err := clicks.Delete(key(e.Number)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove from the journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.held -= len(entries)
	for _, e := range entries {
		minute := click.WindowOf(e.ClickedAt)
		if j.minutes[minute]--; j.minutes[minute] <= 0 {
			delete(j.minutes, minute)
		}
	}
	return nil
}

// setAside moves damaged entries to where an operator finds them.
func (j *Journal) setAside(keys [][]byte) error {
	err := j.db.Update(func(tx *bbolt.Tx) error {
		clicks, unreadable := tx.Bucket(bucketClicks), tx.Bucket(bucketUnreadable)
		for _, k := range keys {
			if err := unreadable.Put(k, append([]byte(nil), clicks.Get(k)...)); err != nil {
				return err
			}
			if err := clicks.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("set damaged entries aside: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.held -= len(keys)
	j.unreadable += len(keys)
	return nil
}

func key(number uint64) []byte { return binary.BigEndian.AppendUint64(nil, number) }
