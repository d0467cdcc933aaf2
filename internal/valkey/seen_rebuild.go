package valkey

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
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
// others. One by one: a command of a cluster may not name keys of two slots.
const dropScript = `
local cursor = '0'
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', ARGV[1], 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do redis.call('UNLINK', key) end
until cursor == '0'
return 1`

// seenRuns are the shards of a rebuild by the run of the server that has them:
// what an operator reads in the heartbeat of a rebuild, as JSON. A rebuild is for
// some settings. The next attempt may be that of a program with others, in whose
// sets nothing was put yet.
type seenRuns struct {
	Settings string           `json:"settings"`
	Runs     map[string][]int `json:"runs"`
}

func (r seenRuns) text() string {
	text, _ := json.Marshal(r) // cannot fail
	return string(text)
}

// readRuns reads what BeginRebuild returned. What another version returned, or
// one with other settings, is read as no shard at all.
func (s *SeenIndex) readRuns(text string) (shards []int, runOf map[int]string) {
	var runs seenRuns
	if json.Unmarshal([]byte(text), &runs) != nil || runs.Settings != s.settings() {
		return nil, nil
	}
	runOf = map[int]string{}
	for runID, of := range runs.Runs {
		for _, shard := range of {
			if shard < 0 || shard >= s.shards {
				return nil, nil // of another number of shards
			}
			runOf[shard] = runID
		}
	}
	return slices.Sorted(maps.Keys(runOf)), runOf
}

// Complete reports whether every shard can be trusted as it is.
func (s *SeenIndex) Complete(ctx context.Context) (bool, error) {
	missing, err := s.Missing(ctx)
	return err == nil && len(missing) == 0, err
}

// Missing are the shards that cannot be trusted as they are, ascending: those
// that a rebuild is for.
func (s *SeenIndex) Missing(ctx context.Context) ([]int, error) {
	missing := make([]bool, s.shards)
	err := s.onServers(ctx, s.everyShard(), func(part seenPart) error {
		answers := part.server.client.DoMulti(ctx, append(s.appendSentinels(nil, part), part.server.info())...)
		runID, err := s.examine(ctx, part, answers[len(part.shards)])
		if err != nil {
			return err
		}
		sentinels := make([]string, len(part.shards))
		for i, shard := range part.shards {
			if sentinels[i], err = readSentinel(part.server, answers[i]); err != nil {
				return err
			}
			missing[shard] = s.judge(shard, sentinels[i], runID) != nil
		}
		s.disown(ctx, part, sentinels, runID)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(s.everyShard(), func(shard int) bool { return !missing[shard] }), nil
}

// BeginRebuild leaves nonce, which must be new, in each of the shards, all if
// nil, and returns in which runs of their servers they are. Whatever is lost from
// now on takes the nonce with it. An earlier rebuild of one of them that still
// runs can no longer finish.
func (s *SeenIndex) BeginRebuild(ctx context.Context, nonce string, shards []int) (runs string, err error) {
	if shards == nil {
		shards = s.everyShard()
	}
	runOf := make([]string, s.shards)
	err = s.onServers(ctx, shards, func(part seenPart) error {
		// One pipeline, one connection: the nonces are in the run that is named.
		commands := []vk.Completed{part.server.info()}
		for _, shard := range part.shards {
			commands = append(commands,
				part.server.client.B().Set().Key(s.shardKey(shard, buildingName)).Value(nonce).Ex(buildingKept).Build())
		}
		answers := part.server.client.DoMulti(ctx, commands...)
		runID, err := s.examine(ctx, part, answers[0])
		if err != nil {
			return err
		}
		for i, answer := range answers[1:] {
			if err := answer.Error(); err != nil {
				return part.server.fault("begin to rebuild", err)
			}
			runOf[part.shards[i]] = runID
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	named := seenRuns{Settings: s.settings(), Runs: map[string][]int{}}
	for _, shard := range shards {
		named.Runs[runOf[shard]] = append(named.Runs[runOf[shard]], shard)
	}
	return named.text(), nil
}

// Rebuilding reports whether the rebuild that left nonce in runs has lost
// nothing so far and may go on.
func (s *SeenIndex) Rebuilding(ctx context.Context, nonce, runs string) (bool, error) {
	shards, runOf := s.readRuns(runs)
	if len(shards) == 0 {
		return false, nil
	}
	same := make([]bool, s.shards)
	err := s.onServers(ctx, shards, func(part seenPart) error {
		commands := []vk.Completed{part.server.info()}
		for _, shard := range part.shards {
			commands = append(commands, part.server.client.B().Get().Key(s.shardKey(shard, buildingName)).Build())
		}
		answers := part.server.client.DoMulti(ctx, commands...)
		runID, err := s.examine(ctx, part, answers[0])
		if err != nil {
			return err
		}
		for i, shard := range part.shards {
			found, err := answers[i+1].ToString()
			if err != nil && !vk.IsValkeyNil(err) {
				return part.server.fault("look at the rebuild of", err)
			}
			same[shard] = found == nonce && runOf[shard] == runID
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(shards, func(shard int) bool { return !same[shard] }), nil
}

// Remark marks those of ids that are in the shards of a rebuild, and returns how
// many they are.
func (s *SeenIndex) Remark(ctx context.Context, runs string, ids []click.ImpressionID) (int, error) {
	_, runOf := s.readRuns(runs)
	members := s.membersOf(ids)
	if len(runOf) < s.shards {
		members = slices.DeleteFunc(members, func(m seenMember) bool { return runOf[int(m.key.Shard)] == "" })
	}
	return len(members), s.mark(ctx, members)
}

// FinishRebuild declares complete every shard of a rebuild that still holds
// nonce, for the runs of the servers that BeginRebuild named. It reports whether
// that was all of them; else something was lost meanwhile, or is on another
// server now, and they must be rebuilt again.
func (s *SeenIndex) FinishRebuild(ctx context.Context, nonce, runs string) (bool, error) {
	shards, runOf := s.readRuns(runs)
	done := make([]bool, s.shards)
	err := s.onServers(ctx, shards, func(part seenPart) error {
		commands := []vk.Completed{part.server.info()}
		for _, shard := range part.shards {
			commands = append(commands, part.server.client.B().Eval().Script(finishScript).Numkeys(2).
				Key(s.shardKey(shard, sentinelName), s.shardKey(shard, buildingName)).
				Arg(nonce, s.sentinel(nonce, runOf[shard])).Build())
		}
		answers := part.server.client.DoMulti(ctx, commands...)
		runID, err := s.examine(ctx, part, answers[0])
		if err != nil {
			return err
		}
		var failed error
		for i, answer := range answers[1:] {
			set, err := answer.AsInt64()
			if err != nil {
				failed = part.server.fault("finish rebuilding", err)
				continue
			}
			// Asked again after a redirect, a shard that is done has no nonce any more.
			shard := part.shards[i]
			done[shard] = done[shard] || set == 1 && runOf[shard] == runID
		}
		return failed
	})
	if err != nil {
		return false, err
	}
	return len(shards) > 0 && !slices.ContainsFunc(shards, func(shard int) bool { return !done[shard] }), nil
}

// Drop removes the index of this namespace and nothing else: for the end of a
// test, or to force a rebuild. What a server has of it is all gone at one moment,
// as with one that was restarted: removed one after the other, sets that a
// rebuild has just filled could go while the rebuild's nonce stays.
func (s *SeenIndex) Drop(ctx context.Context) error {
	if err := s.Ping(ctx); err != nil { // finds the servers
		return err
	}
	return s.onServers(ctx, s.everyShard(), func(part seenPart) error {
		client := part.server.client
		if err := client.Do(ctx, client.B().Eval().Script(dropScript).Numkeys(0).Arg(s.prefix+"*").Build()).Error(); err != nil {
			return part.server.fault("drop", err)
		}
		return nil
	})
}
