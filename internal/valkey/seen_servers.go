package valkey

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	vk "github.com/valkey-io/valkey-go"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

// redirectsMax is how often one operation follows shards from server to server
// before it takes the cluster for one that is being changed.
const redirectsMax = 5

// seenServer is one Valkey that has shards of the seen index.
type seenServer struct {
	addr   string
	client vk.Client
	memory atomic.Pointer[SeenMemory]
	given  bool // by the settings, not learned
}

// seenServers are the Valkeys that share the seen index, and which shard each
// has. One that is no cluster has them all. In a cluster, a server that is asked
// for a shard of another's says whose it is (MOVED); what was learned so is
// believed until a server says otherwise or does not answer.
//
// The library's own client of a cluster is not used: it spreads a pipeline over
// connections and repeats parts of it, and what is asked of one server must be
// of one run of it (see SeenIndex.askServer).
type seenServers struct {
	config config.Config

	mu     sync.Mutex
	all    []*seenServer // those of the settings first
	routes []*seenServer // of each shard
}

// newSeenServers knows the servers of the settings, and believes that the first
// has everything.
func newSeenServers(c config.Config) (*seenServers, error) {
	s := &seenServers{config: c, routes: make([]*seenServer, c.SeenShards)}
	for _, addr := range c.ValkeySeenAddrs {
		server, err := s.dial(addr)
		if err != nil {
			s.close()
			return nil, err
		}
		server.given = true
		s.all = append(s.all, server)
	}
	for shard := range s.routes {
		s.routes[shard] = s.all[0]
	}
	return s, nil
}

// dial makes the client of a server. It waits for one that does not answer.
func (s *seenServers) dial(addr string) (*seenServer, error) {
	client, err := vk.NewClient(vk.ClientOption{
		InitAddress:      []string{addr},
		Username:         s.config.ValkeyUser,
		Password:         s.config.ValkeyPassword,
		TLSConfig:        s.config.TLS(s.config.ValkeyTLS),
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
		return nil, fmt.Errorf("open seen index at %s: %w", addr, err)
	}
	return &seenServer{addr: addr, client: client}, nil
}

// at is the server at an address, nil if it is not known. The lock is held.
func (s *seenServers) at(addr string) *seenServer {
	i := slices.IndexFunc(s.all, func(known *seenServer) bool { return known.addr == addr })
	if i < 0 {
		return nil
	}
	return s.all[i]
}

func (s *seenServers) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, server := range s.all {
		server.client.Close()
	}
}

// seenPart is what one server has of some shards.
type seenPart struct {
	server *seenServer
	shards []int // ascending
}

// parts divides shards by the servers that are believed to have them.
func (s *seenServers) parts(shards []int) []seenPart {
	s.mu.Lock()
	defer s.mu.Unlock()
	var parts []seenPart
	for _, shard := range shards {
		server := s.routes[shard]
		i := slices.IndexFunc(parts, func(p seenPart) bool { return p.server == server })
		if i < 0 {
			i, parts = len(parts), append(parts, seenPart{server: server})
		}
		parts[i].shards = append(parts[i].shards, shard)
	}
	return parts
}

// learn notes that the server at addr has a shard. A server that does not know
// its own name tells a port only; it means itself.
func (s *seenServers) learn(shard int, addr, teller string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("ask seen index at %s: it says that shard %d is at %q: %w", teller, shard, addr, err)
	}
	if host == "" || host == "?" {
		host, _, _ = net.SplitHostPort(teller)
	}
	addr = net.JoinHostPort(host, port)
	s.mu.Lock()
	server := s.at(addr)
	s.mu.Unlock()
	var dialed *seenServer
	if server == nil {
		// Without the lock: the others go on asking who answers.
		if dialed, err = s.dial(addr); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if server = s.at(addr); server == nil {
		if dialed == nil { // let go of meanwhile
			return fmt.Errorf("ask seen index at %s: %w: it was left a moment ago", addr, click.ErrUnavailable)
		}
		server, dialed = dialed, nil
		s.all = append(s.all, server)
	}
	if dialed != nil { // somebody else was faster
		go dialed.client.Close()
	}
	s.routes[shard] = server
	s.letGo()
	return nil
}

// letGo leaves the servers that were learned of and have nothing any more:
// addresses of a cluster come and go. The lock is held.
func (s *seenServers) letGo() {
	s.all = slices.DeleteFunc(s.all, func(server *seenServer) bool {
		idle := !server.given && !slices.Contains(s.routes, server)
		if idle {
			go server.client.Close() // it waits for what is under way
		}
		return idle
	})
}

// doubt has the next server asked for what one that does not answer was
// believed to have: in a cluster it may have lost it to another.
func (s *seenServers) doubt(part seenPart) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.all[(slices.Index(s.all, part.server)+1)%len(s.all)]
	for _, shard := range part.shards {
		if s.routes[shard] == part.server {
			s.routes[shard] = next
		}
	}
	s.letGo()
}

// holders are the servers that are believed to have a shard.
func (s *seenServers) holders() []*seenServer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.all), func(server *seenServer) bool { return !slices.Contains(s.routes, server) })
}

// everyShard is all of the index.
func (s *SeenIndex) everyShard() []int {
	shards := make([]int, s.shards)
	for i := range shards {
		shards[i] = i
	}
	return shards
}

// onServers does something with shards, on all their servers at once. Where a
// server says that a shard is another's, it is done again for the shards of that
// part, so it must be something that may be done twice.
func (s *SeenIndex) onServers(ctx context.Context, shards []int, do func(seenPart) error) error {
	for range redirectsMax {
		parts := s.servers.parts(shards)
		errs := make([]error, len(parts))
		if len(parts) == 1 {
			errs[0] = do(parts[0])
		} else {
			var all sync.WaitGroup
			for i, part := range parts {
				all.Go(func() { errs[i] = do(part) })
			}
			all.Wait()
		}
		var again []int
		var failed []error
		for i, err := range errs {
			if isMoved(err) {
				again = append(again, parts[i].shards...)
				err = s.locate(ctx, parts[i])
			}
			if isLost(err) {
				s.servers.doubt(parts[i])
			}
			if err != nil {
				failed = append(failed, err)
			}
		}
		if len(failed) > 0 {
			return errors.Join(failed...)
		}
		if shards = again; len(shards) == 0 {
			return nil
		}
		slices.Sort(shards)
	}
	return fmt.Errorf("ask seen index: its shards move from server to server: %w", click.ErrUnavailable)
}

// locate asks a server for each of some shards where it is.
func (s *SeenIndex) locate(ctx context.Context, part seenPart) error {
	for i, answer := range part.server.client.DoMulti(ctx, s.appendSentinels(nil, part)...) {
		err := answer.Error()
		if err == nil || vk.IsValkeyNil(err) {
			continue
		}
		var refused *vk.ValkeyError
		if !errors.As(err, &refused) {
			return part.server.fault("ask", err)
		}
		addr, moved := refused.IsMoved()
		if !moved {
			return part.server.fault("ask", err)
		}
		if err := s.servers.learn(part.shards[i], addr, part.server.addr); err != nil {
			return err
		}
	}
	return nil
}

// isLost reports whether a server does not answer, or knows no cluster any more:
// another may know who has its shards. One that says that a shard is on its way
// is right to be asked again.
func isLost(err error) bool {
	if !errors.Is(err, click.ErrUnavailable) || errors.Is(err, context.Canceled) {
		return false
	}
	var refused *vk.ValkeyError
	return !errors.As(err, &refused) || refused.IsClusterDown() || strings.HasPrefix(refused.Error(), "MASTERDOWN")
}

// isMoved reports whether a server said that what it was asked for is another's.
func isMoved(err error) bool {
	var refused *vk.ValkeyError
	if !errors.As(err, &refused) {
		return false
	}
	_, moved := refused.IsMoved()
	return moved
}
