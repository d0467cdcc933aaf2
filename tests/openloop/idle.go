package openloop

// idle are connections that are ready for a click. The gateways have their turns,
// as behind a proxy that shares out requests: taking the connection that was used
// last, from all of them, would leave all clicks of a low rate to one gateway.
type idle struct {
	of    [][]*connection // by gateway; the last is taken
	turn  int             // the gateway that is next
	count int
}

func newIdle(gateways int) idle { return idle{of: make([][]*connection, gateways)} }

func (i *idle) put(c *connection) {
	i.of[c.gateway.number] = append(i.of[c.gateway.number], c)
	i.count++
}

// take is a connection to the gateway whose turn it is; one that has none idle is
// passed over. There must be one.
func (i *idle) take() *connection {
	for len(i.of[i.turn]) == 0 {
		i.turn = (i.turn + 1) % len(i.of)
	}
	own := i.of[i.turn]
	c := own[len(own)-1]
	i.of[i.turn] = own[:len(own)-1]
	i.turn = (i.turn + 1) % len(i.of)
	i.count--
	return c
}
