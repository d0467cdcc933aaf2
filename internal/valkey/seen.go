package valkey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	vk "github.com/valkey-io/valkey-go"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

const (
	seenDialTimeout  = 2 * time.Second
	seenWriteTimeout = 10 * time.Second
	// seenChunkMax bounds one pipeline. At worst each impression is a command of
	// its own: 10,000 of them are answered in some tens of milliseconds.
	seenChunkMax = 10_000
)

// SeenIndex remembers which impressions were counted: one set per shard and
// issue second, whose members are the impressions' Random62. It belongs to a
// Valkey of its own, which must not evict and keeps nothing across a restart.
//
// Every answer is checked against the shards' sentinels, so that an index that
// was lost, wholly or in part, is noticed instead of believed. It is safe for
// concurrent use. Errors wrap click.ErrUnavailable when Valkey does not answer.
type SeenIndex struct {
	client   vk.Client
	addr     string
	prefix   string
	named    []string // what the keys of each shard begin with
	shards   int
	validity time.Duration
	memory   atomic.Pointer[SeenMemory]
}

// OpenSeenIndex makes the seen index of c. A server that is away is no error:
// each call dials again.
func OpenSeenIndex(c config.Config) (*SeenIndex, error) {
	client, err := vk.NewClient(vk.ClientOption{
		InitAddress:      []string{c.ValkeySeenAddr},
		Username:         c.ValkeyUser,
		Password:         c.ValkeyPassword,
		TLSConfig:        c.TLS(c.ValkeyTLS),
		Dialer:           net.Dialer{Timeout: seenDialTimeout},
		ConnWriteTimeout: seenWriteTimeout,
		DisableCache:     true,
		// A client even while the server is away.
		ForceSingleClient: true,
		// One pipeline is one connection, so one run of the server. A retry by
		// the library could answer the second half from another run.
		DisableRetry:      true,
		PipelineMultiplex: -1,
	})
	if client == nil {
		return nil, fmt.Errorf("open seen index at %s: %w", c.ValkeySeenAddr, err)
	}
	index := &SeenIndex{
		client:   client,
		addr:     c.ValkeySeenAddr,
		prefix:   c.KeyPrefix() + "seen:",
		shards:   c.SeenShards,
		validity: c.TokenValidity,
	}
	for shard := range index.shards {
		// In braces: a cluster keeps all of a shard in one slot, so that its
		// sets and its sentinel move and vanish together.
		index.named = append(index.named, fmt.Sprintf("%s{%02d}:", index.prefix, shard))
	}
	return index, nil
}

// Close ends the connections.
func (s *SeenIndex) Close() { s.client.Close() }

// Ping reports whether the server answers.
func (s *SeenIndex) Ping(ctx context.Context) error {
	if err := s.client.Do(ctx, s.client.B().Ping().Build()).Error(); err != nil {
		return s.fault("ping", err)
	}
	return nil
}

// Remembers reports whether the index, if complete, surely still knows id at
// now. Asking about any other impression proves nothing.
func (s *SeenIndex) Remembers(id click.ImpressionID, now time.Time) bool {
	return click.SeenRemembers(id, s.validity, now)
}

// Ask reports for each of ids whether it was marked. The error is
// click.ErrSeenNotReady when the index cannot be trusted: it must be rebuilt.
func (s *SeenIndex) Ask(ctx context.Context, ids []click.ImpressionID) ([]bool, error) {
	seen := make([]bool, len(ids))
	members := s.membersOf(ids)
	for chunk := range slices.Chunk(members, seenChunkMax) {
		if err := s.askChunk(ctx, chunk, seen); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// askChunk is one pipeline: sentinels, the server's own account of itself, the
// question, sentinels again. Only if nothing was lost from the first to the
// last does "not in the set" mean "never counted".
func (s *SeenIndex) askChunk(ctx context.Context, members []seenMember, seen []bool) error {
	sets, shards := setsOf(members)
	commands := make([]vk.Completed, 0, len(sets)+2*len(shards)+1)
	commands = s.appendSentinels(commands, shards)
	commands = append(commands, s.info())
	for _, set := range sets {
		commands = append(commands, s.client.B().Smismember().Key(s.setKey(set[0].key)).Member(texts(set)...).Build())
	}
	commands = s.appendSentinels(commands, shards)

	answers := s.client.DoMulti(ctx, commands...)
	first, info := answers[:len(shards)], answers[len(shards)]
	asked, last := answers[len(shards)+1:len(answers)-len(shards)], answers[len(answers)-len(shards):]
	if err := s.trust(ctx, shards, first, info, last); err != nil {
		return err
	}
	for i, set := range sets {
		found, err := asked[i].AsIntSlice()
		if err != nil {
			return s.fault("ask", err)
		}
		for j, member := range set {
			seen[member.at] = found[j] == 1
		}
	}
	return nil
}

// Mark records ids as counted. Marking again changes nothing. The error is
// click.ErrSeenFull when the server has no memory left for them.
//
// It needs no sentinel: a mark is right whether the index is complete or being
// rebuilt, because the click was stored before it was marked. One that is lost
// with the index is found again by the rebuild, which reads the store.
func (s *SeenIndex) Mark(ctx context.Context, ids []click.ImpressionID) error {
	for chunk := range slices.Chunk(s.membersOf(ids), seenChunkMax) {
		sets, _ := setsOf(chunk)
		commands := make([]vk.Completed, 0, 2*len(sets))
		for _, set := range sets {
			key := s.setKey(set[0].key)
			commands = append(commands,
				s.client.B().Sadd().Key(key).Member(texts(set)...).Build(),
				s.client.B().Expireat().Key(key).Timestamp(set[0].key.Expiry(s.validity).Unix()).Build())
		}
		for _, answer := range s.client.DoMulti(ctx, commands...) {
			if err := answer.Error(); err != nil {
				return s.fault("mark", err)
			}
		}
	}
	return nil
}

// fault names what was tried and says which kind of trouble it is.
func (s *SeenIndex) fault(verb string, err error) error {
	var refused *vk.ValkeyError
	if !errors.As(err, &refused) {
		return fmt.Errorf("%s seen index at %s: %w: %w", verb, s.addr, click.ErrUnavailable, err)
	}
	switch word, _, _ := strings.Cut(refused.Error(), " "); word {
	case "OOM":
		return fmt.Errorf("%s seen index: %w: raise maxmemory of the Valkey at %s", verb, click.ErrSeenFull, s.addr)
	case "LOADING", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN":
		return fmt.Errorf("%s seen index at %s: %w: %w", verb, s.addr, click.ErrUnavailable, err)
	default:
		return fmt.Errorf("%s seen index at %s: %w", verb, s.addr, err)
	}
}

// seenMember is one impression as the index knows it.
type seenMember struct {
	key    click.SeenKey
	random int64
	at     int // its index in the caller's list
}

// membersOf lists ids so that those of one set are neighbours.
func (s *SeenIndex) membersOf(ids []click.ImpressionID) []seenMember {
	members := make([]seenMember, len(ids))
	for i, id := range ids {
		members[i] = seenMember{click.SeenKeyOf(id, s.shards), id.Random62(), i}
	}
	slices.SortFunc(members, func(a, b seenMember) int {
		return cmp.Or(cmp.Compare(a.key.Shard, b.key.Shard), cmp.Compare(a.key.Second, b.key.Second))
	})
	return members
}

// setsOf cuts sorted members into those of one set each, and names the shards.
func setsOf(members []seenMember) (sets [][]seenMember, shards []int) {
	for from := 0; from < len(members); {
		to := from + 1
		for to < len(members) && members[to].key == members[from].key {
			to++
		}
		sets = append(sets, members[from:to])
		if shard := int(members[from].key.Shard); len(shards) == 0 || shards[len(shards)-1] != shard {
			shards = append(shards, shard)
		}
		from = to
	}
	return sets, shards
}

func texts(set []seenMember) []string {
	out := make([]string, len(set))
	for i, member := range set {
		out[i] = strconv.FormatInt(member.random, 10)
	}
	return out
}

func (s *SeenIndex) shardKey(shard int, name string) string { return s.named[shard] + name }

func (s *SeenIndex) setKey(key click.SeenKey) string {
	return s.shardKey(int(key.Shard), strconv.FormatInt(key.Second, 10))
}
