// Package journal keeps clicks on disk that Kafka did not take in time, until
// it does. A click is in it when Append has returned: fsynced, in a bbolt file
// that one gateway has to itself and that outlives it.
package journal

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"clickledger/internal/click"
)

const (
	lockTimeout = 2 * time.Second
	// appendTimeout bounds what a redirect waits for the disk.
	appendTimeout = time.Second
	// groupMax is how many appends share one fsync. Those that come while one
	// group is being written are the next: no wait is needed to form groups.
	groupMax = 1_000
	// entryBytes is what an entry takes of the file, page overhead included.
	entryBytes = 128
	// fillPercent: keys only grow, so pages are never split in the middle.
	fillPercent   = 0.95
	probeInterval = time.Second
)

var (
	bucketClicks     = []byte("clicks")     // sequence number → entry
	bucketUnreadable = []byte("unreadable") // the same, set aside
	bucketAbout      = []byte("about")
	keyID            = []byte("id")
	keyProbe         = []byte("probe")
)

var (
	// ErrFull: the journal holds as many clicks as it may.
	ErrFull = errors.New("the journal is full")
	errSlow = errors.New("the journal's disk did not answer within " + appendTimeout.String())
	errDone = errors.New("the journal is closed")
)

// Journal is an open journal. It is safe for concurrent use.
type Journal struct {
	db      *bbolt.DB
	id      string
	path    string
	max     int
	appends chan *request
	added   chan struct{}
	closing chan struct{}
	done    chan struct{}

	mu         sync.Mutex
	minutes    map[click.Window]int // clicks held, by minute of event time
	held       int
	unreadable int
	fault      error // of the last write

	beforeWrite atomic.Pointer[func() error] // in tests: a disk that fails
}

// Held is what a journal holds.
type Held struct {
	Depth      int          // clicks
	Oldest     click.Window // the earliest minute among them; meaningless at depth 0
	Bytes      int64        // of the file that are in use for them, about
	Unreadable int          // damaged entries that were set aside: see the file's bucket
}

type request struct {
	click click.Routed
	done  chan error
}

// Open opens the journal at path, or makes it. bytesMax bounds what it holds.
// What a gateway that died left in it is there again. A file that another
// process has open is an error.
func Open(path string, bytesMax int64) (*Journal, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the journal's folder: %w", err)
	}
	options := *bbolt.DefaultOptions
	options.Timeout = lockTimeout
	// The list of free pages is found again at the start; writing it with each
	// group would cost more than the clicks.
	options.NoFreelistSync, options.FreelistType = true, bbolt.FreelistMapType
	db, err := bbolt.Open(path, 0o600, &options)
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("the journal %s is in use by another process: give every gateway a file of its own (CLICKLEDGER_JOURNAL_PATH)", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open the journal %s: %w", path, err)
	}
	j := &Journal{
		db: db, path: path, max: int(bytesMax / entryBytes),
		appends: make(chan *request, groupMax), added: make(chan struct{}, 1),
		closing: make(chan struct{}), done: make(chan struct{}),
		minutes: map[click.Window]int{},
	}
	if err := j.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("read the journal %s: %w", path, err), db.Close())
	}
	go j.write()
	return j, nil
}

// load makes the buckets and the journal's id, and counts what is held.
func (j *Journal) load() error {
	err := j.db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketClicks, bucketUnreadable, bucketAbout} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		about := tx.Bucket(bucketAbout)
		if id := about.Get(keyID); id != nil {
			j.id = string(id)
			return nil
		}
		var random [8]byte
		if _, err := rand.Read(random[:]); err != nil {
			return err
		}
		j.id = hex.EncodeToString(random[:])
		return about.Put(keyID, []byte(j.id))
	})
	if err != nil {
		return err
	}
	return j.db.View(func(tx *bbolt.Tx) error {
		j.unreadable = tx.Bucket(bucketUnreadable).Stats().KeyN
		return tx.Bucket(bucketClicks).ForEach(func(_, value []byte) error {
			j.held++
			if r, err := decodeEntry(value); err == nil {
				j.minutes[click.WindowOf(r.ClickedAt)]++
			}
			return nil
		})
	})
}

// ID names the journal for as long as its file lives.
func (j *Journal) ID() string { return j.id }

// Held tells what the journal holds.
func (j *Journal) Held() Held {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := Held{Depth: j.held, Bytes: int64(j.held) * entryBytes, Unreadable: j.unreadable}
	first := true
	for minute := range j.minutes {
		if first || minute.Before(h.Oldest) {
			h.Oldest, first = minute, false
		}
	}
	return h
}

// Check answers nil while clicks can be kept, or why not, in a plain sentence.
func (j *Journal) Check(context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.held >= j.max {
		return fmt.Errorf("the journal is full (%d clicks): clicks are redirected but not recorded while Kafka is away; raise CLICKLEDGER_JOURNAL_BYTES_MAX", j.held)
	}
	if j.fault != nil {
		return fmt.Errorf("the journal cannot be written: clicks are redirected but not recorded while Kafka is away (%w)", j.fault)
	}
	return nil
}

// Added is signalled when clicks were added.
func (j *Journal) Added() <-chan struct{} { return j.added }

// Append makes a click durable. It waits for the disk a second at most. After
// an error the click is to be taken as not recorded; one that was only slow may
// be in the journal all the same. The error wraps ErrFull when it was full.
func (j *Journal) Append(ctx context.Context, r click.Routed) error {
	request := &request{click: r, done: make(chan error, 1)}
	timer := time.NewTimer(appendTimeout)
	defer timer.Stop()
	select {
	case j.appends <- request:
	case <-timer.C:
		return errSlow
	case <-ctx.Done():
		return ctx.Err()
	case <-j.closing:
		return errDone
	}
	select {
	case err := <-request.done:
		return err
	case <-timer.C:
		return errSlow
	case <-j.done:
		return errDone
	}
}

// Close writes what is being appended and closes the file. What is held stays.
func (j *Journal) Close() error {
	close(j.closing)
	<-j.done
	if err := j.db.Close(); err != nil {
		return fmt.Errorf("close the journal: %w", err)
	}
	return nil
}

// write is the one writer: each round takes all that wait and fsyncs them as one.
func (j *Journal) write() {
	defer close(j.done)
	probe := time.NewTicker(probeInterval)
	defer probe.Stop()
	for {
		select {
		case first := <-j.appends:
			j.writeGroup(j.group(first))
		case <-probe.C:
			j.probe()
		case <-j.closing:
			for {
				select {
				case first := <-j.appends:
					j.writeGroup(j.group(first))
				default:
					return
				}
			}
		}
	}
}

func (j *Journal) group(first *request) []*request {
	group := []*request{first}
	for len(group) < groupMax {
		select {
		case next := <-j.appends:
			group = append(group, next)
		default:
			return group
		}
	}
	return group
}

func (j *Journal) writeGroup(group []*request) {
	j.mu.Lock()
	room := max(j.max-j.held, 0)
	j.mu.Unlock()
	refused := group[min(room, len(group)):]
	group = group[:len(group)-len(refused)]
	for _, r := range refused {
		r.done <- ErrFull
	}
	if len(group) == 0 {
		return
	}
	err := j.update(func(tx *bbolt.Tx) error {
		clicks := tx.Bucket(bucketClicks)
		clicks.FillPercent = fillPercent
		for _, r := range group {
			// Never reused, even when the bucket was emptied: nothing is overwritten.
			sequence, err := clicks.NextSequence()
			if err != nil {
				return err
			}
			if err := clicks.Put(key(sequence), encodeEntry(r.click)); err != nil {
				return err
			}
		}
		return nil
	})
	j.mu.Lock()
	j.fault = err
	if err == nil {
		j.held += len(group)
		for _, r := range group {
			j.minutes[click.WindowOf(r.click.ClickedAt)]++
		}
	}
	j.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("write the journal: %w", err)
	}
	for _, r := range group {
		r.done <- err
	}
	if err == nil {
		select {
		case j.added <- struct{}{}:
		default:
		}
	}
}

func (j *Journal) update(change func(*bbolt.Tx) error) error {
	if before := j.beforeWrite.Load(); before != nil {
		if err := (*before)(); err != nil {
			return err
		}
	}
	return j.db.Update(change)
}

// probe finds out whether a disk that failed works again: while it does not,
// the gateway is not ready and no click would come to tell.
func (j *Journal) probe() {
	j.mu.Lock()
	failing := j.fault != nil
	j.mu.Unlock()
	if !failing {
		return
	}
	err := j.update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketAbout).Put(keyProbe, []byte(time.Now().UTC().Format(time.RFC3339Nano)))
	})
	j.mu.Lock()
	j.fault = err
	j.mu.Unlock()
}
