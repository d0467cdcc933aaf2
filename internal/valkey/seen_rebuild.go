package valkey

import (
	"context"
	"errors"
	"time"

	vk "github.com/valkey-io/valkey-go"

	"clickledger/internal/click"
)

const (
	// buildingKept is how long the trace of a rebuild that died stays.
	buildingKept = 24 * time.Hour
)

// finishScript sets a shard's sentinel if the rebuild's own nonce is still
// there: then nothing of the shard was lost since the rebuild began.
const finishScript = `
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('DEL', KEYS[2])
return 1`

// dropScript removes all keys of a pattern. A script is one command to all
// others. A page is far below the 8,000 values that Lua can hand over at once.
const dropScript = `
local cursor = '0'
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', ARGV[1], 'COUNT', 1000)
  cursor = page[1]
  if #page[2] > 0 then redis.call('UNLINK', unpack(page[2])) end
until cursor == '0'
return 1`

// Complete reports whether every shard can be trusted as it is.
func (s *SeenIndex) Complete(ctx context.Context) (bool, error) {
	shards := make([]int, s.shards)
	for i := range shards {
		shards[i] = i
	}
	commands := append(s.appendSentinels(nil, shards), s.info())
	answers := s.client.DoMulti(ctx, commands...)
	sentinels := answers[:len(shards)]
	err := s.trust(ctx, shards, sentinels, answers[len(shards)], sentinels)
	if errors.Is(err, click.ErrSeenNotReady) {
		return false, nil
	}
	return err == nil, err
}

// BeginRebuild leaves nonce, which must be new, in every shard and returns the
// server's run id. Whatever is lost from now on takes the nonce with it. An
// earlier rebuild that still runs can no longer finish.
func (s *SeenIndex) BeginRebuild(ctx context.Context, nonce string) (runID string, err error) {
	// One pipeline, one connection: the nonces are in the run that is named.
	commands := []vk.Completed{s.info()}
	for shard := range s.shards {
		commands = append(commands, s.client.B().Set().Key(s.shardKey(shard, buildingName)).Value(nonce).Ex(buildingKept).Build())
	}
	answers := s.client.DoMulti(ctx, commands...)
	if runID, err = s.examine(ctx, answers[0]); err != nil {
		return "", err
	}
	for _, answer := range answers[1:] {
		if err := answer.Error(); err != nil {
			return "", s.fault("begin to rebuild", err)
		}
	}
	return runID, nil
}

// Rebuilding reports whether the rebuild that left nonce in the run of the
// server named runID has lost nothing so far and may go on.
func (s *SeenIndex) Rebuilding(ctx context.Context, nonce, runID string) (bool, error) {
	commands := []vk.Completed{s.info()}
	for shard := range s.shards {
		commands = append(commands, s.client.B().Get().Key(s.shardKey(shard, buildingName)).Build())
	}
	answers := s.client.DoMulti(ctx, commands...)
	run, err := s.examine(ctx, answers[0])
	if err != nil {
		return false, err
	}
	same := run == runID
	for _, answer := range answers[1:] {
		found, err := answer.ToString()
		if err != nil && !vk.IsValkeyNil(err) {
			return false, s.fault("look at the rebuild of", err)
		}
		same = same && found == nonce
	}
	return same, nil
}

// FinishRebuild declares complete every shard that still holds nonce, for the
// run of the server that BeginRebuild named. It reports whether that was all of
// them; else something was lost meanwhile, and the rebuild must start over.
func (s *SeenIndex) FinishRebuild(ctx context.Context, nonce, runID string) (bool, error) {
	commands := make([]vk.Completed, s.shards)
	for shard := range commands {
		commands[shard] = s.client.B().Eval().Script(finishScript).Numkeys(2).
			Key(s.shardKey(shard, sentinelName), s.shardKey(shard, buildingName)).
			Arg(nonce, s.sentinel(nonce, runID)).Build()
	}
	all := true
	for _, answer := range s.client.DoMulti(ctx, commands...) {
		set, err := answer.AsInt64()
		if err != nil {
			return false, s.fault("finish rebuilding", err)
		}
		all = all && set == 1
	}
	return all, nil
}

// Drop removes the index of this namespace and nothing else: for the end of a
// test, or to force a rebuild. It is all gone at one moment, as with a server
// that was restarted: removed one after the other, sets that a rebuild has just
// filled could go while the rebuild's nonce stays.
func (s *SeenIndex) Drop(ctx context.Context) error {
	if err := s.client.Do(ctx, s.client.B().Eval().Script(dropScript).Numkeys(0).Arg(s.prefix+"*").Build()).Error(); err != nil {
		return s.fault("drop", err)
	}
	return nil
}
