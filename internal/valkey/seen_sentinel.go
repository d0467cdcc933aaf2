package valkey

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	vk "github.com/valkey-io/valkey-go"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

// Names of a shard's two keys beside its sets.
const (
	sentinelName = "epoch"    // the shard is complete
	buildingName = "building" // a rebuild of the shard is under way
)

// What a server must say of itself to be believed.
const (
	infoRunID     = "run_id"
	infoMode      = "server_mode"
	infoPolicy    = "maxmemory_policy"
	infoUsed      = "used_memory"
	infoMax       = "maxmemory"
	policyNeeded  = "noeviction"
	policyRemoved = "" // a server that hides its policy is not doubted
	modeAlone     = "standalone"
)

// info asks for the sections that hold the above.
func (s *seenServer) info() vk.Completed {
	return s.client.B().Info().Section("server", "memory").Build()
}

// disownScript removes a sentinel if it is still the one that was read.
const disownScript = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`

// sentinel is the text of a shard's sentinel: what it was built for. The nonce
// tells two builds apart, the rest whether it is ours.
func (s *SeenIndex) sentinel(nonce, runID string) string {
	return fmt.Sprintf("%s %s", nonce, s.purpose(runID))
}

// purpose is what a sentinel must end with to be believed: this run of its
// server, this validity, this number of shards. A shard that came from another
// server, with its slot or by way of a replica, was built in another run: nobody
// can say what it lost on the way, so it is rebuilt, and no other shard is.
func (s *SeenIndex) purpose(runID string) string { return runNamed(runID) + s.settings() }

func runNamed(runID string) string { return "run=" + runID + " " }

// settings is what a shard's sets were filled for.
func (s *SeenIndex) settings() string {
	return fmt.Sprintf("validity=%s shards=%d", s.validity, s.shards)
}

// disown removes sentinels of another run of their server, as well as it can:
// back on the server of that run they would be believed again, whatever the
// shard had lost meanwhile.
func (s *SeenIndex) disown(ctx context.Context, part seenPart, sentinels []string, runID string) {
	var commands []vk.Completed
	for i, shard := range part.shards {
		_, purpose, ok := strings.Cut(sentinels[i], " ")
		if ok && !strings.HasPrefix(purpose, runNamed(runID)) {
			commands = append(commands, part.server.client.B().Eval().Script(disownScript).Numkeys(1).
				Key(s.shardKey(shard, sentinelName)).Arg(sentinels[i]).Build())
		}
	}
	if len(commands) > 0 {
		part.server.client.DoMulti(ctx, commands...)
	}
}

func (s *SeenIndex) appendSentinels(commands []vk.Completed, part seenPart) []vk.Completed {
	for _, shard := range part.shards {
		commands = append(commands, part.server.client.B().Get().Key(s.shardKey(shard, sentinelName)).Build())
	}
	return commands
}

// trust reports whether what a server was asked between first and last can be
// believed.
func (s *SeenIndex) trust(ctx context.Context, part seenPart, first []vk.ValkeyResult, info vk.ValkeyResult, last []vk.ValkeyResult) error {
	runID, err := s.examine(ctx, part, info)
	if err != nil {
		return err
	}
	before := make([]string, len(part.shards))
	for i := range part.shards {
		if before[i], err = readSentinel(part.server, first[i]); err != nil {
			return err
		}
	}
	s.disown(ctx, part, before, runID)
	for i, shard := range part.shards {
		after, err := readSentinel(part.server, last[i])
		if err != nil {
			return err
		}
		if before[i] != after {
			return fmt.Errorf("ask seen index: shard %d changed while it was asked: %w", shard, click.ErrSeenNotReady)
		}
		if err := s.judge(shard, before[i], runID); err != nil {
			return err
		}
	}
	return nil
}

// judge is nil for a sentinel that says that its shard is complete.
func (s *SeenIndex) judge(shard int, sentinel, runID string) error {
	_, purpose, _ := strings.Cut(sentinel, " ")
	switch {
	case sentinel == "":
		return fmt.Errorf("ask seen index: shard %d has no sentinel: %w", shard, click.ErrSeenNotReady)
	case purpose != s.purpose(runID):
		return fmt.Errorf("ask seen index: shard %d was built for %s, not %s: %w", shard, purpose, s.purpose(runID), click.ErrSeenNotReady)
	default:
		return nil
	}
}

// readSentinel is a sentinel's text, empty when there is none.
func readSentinel(server *seenServer, answer vk.ValkeyResult) (string, error) {
	text, err := answer.ToString()
	if err != nil && !vk.IsValkeyNil(err) {
		return "", server.fault("ask", err)
	}
	return text, nil
}

// examine reads the server's run id and memory, and refuses a server that may
// evict: it forgets without a trace, so its sentinels are taken away too.
func (s *SeenIndex) examine(ctx context.Context, part seenPart, info vk.ValkeyResult) (runID string, err error) {
	server := part.server
	text, err := info.ToString()
	if err != nil {
		return "", server.fault("ask", err)
	}
	facts := parseInfo(text)
	server.memory.Store(&SeenMemory{Used: number(facts[infoUsed]), Max: number(facts[infoMax])})
	if policy := facts[infoPolicy]; policy != policyNeeded && policy != policyRemoved {
		s.distrust(ctx, part)
		return "", fmt.Errorf("the Valkey at %s has maxmemory-policy %s and may forget impressions: set it to %s",
			server.addr, policy, policyNeeded)
	}
	// Two that do not know each other would both be believed, each by the
	// programs that reach it.
	if len(s.servers.config.ValkeySeenAddrs) > 1 && facts[infoMode] == modeAlone {
		return "", fmt.Errorf("the Valkey at %s is in no cluster: %sVALKEY_SEEN_ADDR must be it alone, or servers of one cluster",
			server.addr, config.Prefix)
	}
	if facts[infoRunID] == "" {
		return "", fmt.Errorf("the Valkey at %s does not tell its run id", server.addr)
	}
	return facts[infoRunID], nil
}

// distrust removes the sentinels of a part, as well as it can.
func (s *SeenIndex) distrust(ctx context.Context, part seenPart) {
	commands := make([]vk.Completed, len(part.shards))
	for i, shard := range part.shards {
		commands[i] = part.server.client.B().Del().Key(s.shardKey(shard, sentinelName)).Build()
	}
	part.server.client.DoMulti(ctx, commands...)
}

// parseInfo reads the lines name:value of INFO.
func parseInfo(text string) map[string]string {
	facts := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			facts[name] = value
		}
	}
	return facts
}

func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}
