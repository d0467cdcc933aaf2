package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"clickledger/internal/click"
	"clickledger/internal/config"
	"clickledger/internal/kafka"
	"clickledger/internal/valkey"
)

// raisePartitions gives the clicks topic as many partitions as are configured.
// Impressions move to other partitions by it, so it is done only while nothing
// is sent and everything that was sent is stored: every gateway that runs has to
// be configured so too, and then keeps its clicks in its journal (gateway/topic.go).
func raisePartitions(ctx context.Context, c config.Config, admin *kafka.Admin) (string, error) {
	gateways, err := valkey.OpenGateways(c)
	if err != nil {
		return "", err
	}
	defer gateways.Close()
	states, err := gateways.List(ctx)
	if err != nil {
		return "", err
	}
	if sending := stillSending(states, c.Partitions, time.Now()); len(sending) > 0 {
		return "", fmt.Errorf("topic %s is to have %d partitions (%sPARTITIONS), but gateways with another number still send to it: restart them with that number first; their journals are %s",
			c.ClicksTopic(), c.Partitions, config.Prefix, strings.Join(sending, ", "))
	}
	before, err := admin.RaisePartitions(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("topic %s has %d partitions now, it had %d", c.ClicksTopic(), c.Partitions, before), nil
}

// stillSending are the journals of the gateways that run with another number of
// partitions, each with the number.
func stillSending(states []click.GatewayState, partitions int32, now time.Time) []string {
	var sending []string
	for _, g := range states {
		if !g.Gone(now) && g.Partitions != partitions {
			sending = append(sending, fmt.Sprintf("%s (%d)", g.JournalID, g.Partitions))
		}
	}
	return sending
}
