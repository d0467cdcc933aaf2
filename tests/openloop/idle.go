package openloop

// idle are connections that are ready for a click. The gateways have their turns,
// as behind a proxy that shares out requests: taking the connection that was used
// last, from all of them, would leave all clicks of a low rate to one gateway.
type idle struct {
	of     []queue // by gateway
	inTurn bool    // see Sender.InTurn
	turn   int     // the gateway that is next
	count  int
}

// queue is a ring of connections, in the order they were put.
type queue struct {
	ring  []*connection
	first int
	count int
}

func newIdle(gateways int, inTurn bool) idle {
	return idle{of: make([]queue, gateways), inTurn: inTurn}
}

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
	own := &i.of[i.turn]
	i.turn = (i.turn + 1) % len(i.of)
	i.count--
	if i.inTurn {
		return own.takeFirst()
	}
	return own.takeLast()
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

func (q *queue) takeFirst() *connection {
	c := q.ring[q.first]
	q.first = (q.first + 1) % len(q.ring)
	q.count--
	return c
}

func (q *queue) takeLast() *connection {
	q.count--
	return q.ring[(q.first+q.count)%len(q.ring)]
}
