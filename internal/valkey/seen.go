package valkey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
// Valkey of its own, or to several that share its shards as a Valkey cluster
// does; they must not evict, and keep nothing across a restart.
//
// Every answer is checked against the shards' sentinels, so that an index that
// was lost, wholly or in part, is noticed instead of believed. It is safe for
// concurrent use. Errors wrap click.ErrUnavailable when a Valkey does not answer,
// or while a shard is on its way from one to another.
type SeenIndex struct {
	servers  *seenServers
	prefix   string
	named    []string // what the keys of each shard begin with
	shards   int
	validity time.Duration
}

// OpenSeenIndex makes the seen index of c. A server that is away is no error:
// each call dials again.
func OpenSeenIndex(c config.Config) (*SeenIndex, error) {
	servers, err := newSeenServers(c)
	if err != nil {
		return nil, err
	}
	index := &SeenIndex{
		servers:  servers,
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
func (s *SeenIndex) Close() { s.servers.close() }

// Ping reports whether the server of every shard answers.
func (s *SeenIndex) Ping(ctx context.Context) error {
	return s.onServers(ctx, s.everyShard(), func(part seenPart) error {
		for _, answer := range part.server.client.DoMulti(ctx, s.appendSentinels(nil, part)...) {
			if _, err := readSentinel(part.server, answer); err != nil {
				return err
			}
		}
		return nil
	})
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

// askChunk asks each server for its part.
func (s *SeenIndex) askChunk(ctx context.Context, members []seenMember, seen []bool) error {
	sets, shards := setsOf(members)
	return s.onServers(ctx, shards, func(part seenPart) error { return s.askServer(ctx, part, setsIn(sets, part), seen) })
}

// askServer is one pipeline: sentinels, the server's own account of itself, the
// question, sentinels again. Only if nothing was lost from the first to the
// last does "not in the set" mean "never counted".
func (s *SeenIndex) askServer(ctx context.Context, part seenPart, sets [][]seenMember, seen []bool) error {
	client, shards := part.server.client, len(part.shards)
	commands := make([]vk.Completed, 0, len(sets)+2*shards+1)
	commands = s.appendSentinels(commands, part)
	commands = append(commands, part.server.info())
	for _, set := range sets {
		commands = append(commands, client.B().Smismember().Key(s.setKey(set[0].key)).Member(texts(set)...).Build())
	}
	commands = s.appendSentinels(commands, part)

	answers := client.DoMulti(ctx, commands...)
	first, info := answers[:shards], answers[shards]
	asked, last := answers[shards+1:len(answers)-shards], answers[len(answers)-shards:]
	if err := s.trust(ctx, part, first, info, last); err != nil {
		return err
	}
	for i, set := range sets {
		found, err := asked[i].AsIntSlice()
		if err != nil {
			return part.server.fault("ask", err)
		}
		for j, member := range set {
			seen[member.at] = found[j] == 1
		}
	}
	return nil
}

// Mark records ids as counted. Marking again changes nothing. The error is
// click.ErrSeenFull when a server has no memory left for them.
//
// It needs no sentinel: a mark is right whether the index is complete or being
// rebuilt, because the click was stored before it was marked. One that is lost
// with the index is found again by the rebuild, which reads the store.
func (s *SeenIndex) Mark(ctx context.Context, ids []click.ImpressionID) error {
	return s.mark(ctx, s.membersOf(ids))
}

func (s *SeenIndex) mark(ctx context.Context, members []seenMember) error {
	for chunk := range slices.Chunk(members, seenChunkMax) {
		sets, shards := setsOf(chunk)
		err := s.onServers(ctx, shards, func(part seenPart) error { return s.markServer(ctx, part.server, setsIn(sets, part)) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *SeenIndex) markServer(ctx context.Context, server *seenServer, sets [][]seenMember) error {
	commands := make([]vk.Completed, 0, 2*len(sets))
	for _, set := range sets {
		key := s.setKey(set[0].key)
		commands = append(commands,
			server.client.B().Sadd().Key(key).Member(texts(set)...).Build(),
			server.client.B().Expireat().Key(key).Timestamp(set[0].key.Expiry(s.validity).Unix()).Build())
	}
	for _, answer := range server.client.DoMulti(ctx, commands...) {
		if err := answer.Error(); err != nil {
			return server.fault("mark", err)
		}
	}
	return nil
}

// fault names what was tried and says which kind of trouble it is.
func (s *seenServer) fault(verb string, err error) error {
	var refused *vk.ValkeyError
	if !errors.As(err, &refused) {
		return fmt.Errorf("%s seen index at %s: %w: %w", verb, s.addr, click.ErrUnavailable, err)
	}
	switch word, _, _ := strings.Cut(refused.Error(), " "); word {
	case "OOM":
		return fmt.Errorf("%s seen index: %w: raise maxmemory of the Valkey at %s", verb, click.ErrSeenFull, s.addr)
	// ASK: the key is not here any more, or not yet, while its slot is moved.
	case "LOADING", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "ASK":
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

// setsIn are those of the sets that are in a part.
func setsIn(sets [][]seenMember, part seenPart) [][]seenMember {
	in := make([][]seenMember, 0, len(sets))
	for _, set := range sets {
		if _, has := slices.BinarySearch(part.shards, int(set[0].key.Shard)); has {
			in = append(in, set)
		}
	}
	return in
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
