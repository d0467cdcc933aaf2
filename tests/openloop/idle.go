package openloop

// idle are connections that are ready for a click. The gateways have their turns,
// as behind a proxy that shares out requests, and so have the connections of each:
// a person clicks over a connection of their own, and not again at once. Those used
// last would be those that the caches of processors still hold, and the sooner a
// gateway answers the fewer they would be: clicks would cost what no person's do,
// and what they cost two stacks could not be compared.
type idle struct {
	of    []queue // by gateway
	turn  int     // the gateway that is next
	count int
}

// queue is a ring: the connection that was put first is taken.
type queue struct {
	ring  []*connection
	first int
	count int
}

func newIdle(gateways int) idle { return idle{of: make([]queue, gateways)} }

func (i *idle) put(c *connection) {
	i.of[c.gateway.number].put(c)
	i.count++
}

// take is a connection to the gateway whose turn it is; one that has none idle is
// passed over. There must be one.
func (i *idle) take() *connection {
	for i.of[i.turn].count == 0 {
		i.turn = (i.turn + 1) % len(i.of)
	}
	c := i.of[i.turn].take()
	i.turn = (i.turn + 1) % len(i.of)
	i.count--
	return c
}

func (q *queue) put(c *connection) {
	if q.count == len(q.ring) {
		ring := make([]*connection, 2*len(q.ring)+1)
		n := copy(ring, q.ring[q.first:])
		copy(ring[n:], q.ring[:q.first])
		q.ring, q.first = ring, 0
	}
	q.ring[(q.first+q.count)%len(q.ring)] = c
	q.count++
}

func (q *queue) take() *connection {
	c := q.ring[q.first]
	q.first = (q.first + 1) % len(q.ring)
	q.count--
	return c
}
