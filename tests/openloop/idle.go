package openloop

// idle are connections that are ready for a click. The gateways have their turns,
// as behind a proxy that shares out requests: taking the connection that was used
// last, from all of them, would leave all clicks of a low rate to one gateway.
type idle struct {
	of     [][]*connection // by gateway, in the order they became ready
	inTurn bool            // see Sender.InTurn
	turn   int             // the gateway that is next
	count  int
}

func newIdle(gateways int, inTurn bool) idle {
	return idle{of: make([][]*connection, gateways), inTurn: inTurn}
}

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
	own := &i.of[i.turn]
	i.turn = (i.turn + 1) % len(i.of)
	i.count--
	var c *connection
	if last := len(*own) - 1; i.inTurn {
		c, *own = (*own)[0], (*own)[1:]
	} else {
		c, *own = (*own)[last], (*own)[:last]
	}
	return c
}
