package main

import (
	"strings"
	"testing"

	"clickledger/internal/config"
)

func TestTheProgramsTakeTheSettingsOfEveryStack(t *testing.T) {
	for _, s := range []stack{singleStack(), clusterStack()} {
		known := settings{}
		addMissing(nil, known, s)
		c, err := config.LoadFrom(known)
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		if len(c.KafkaBrokers) != len(s.kafka) || int(c.KafkaReplicas) != len(s.kafka) || len(c.ClickHouseAddrs) != len(s.clicks) {
			t.Errorf("%s: the programs see %v, %d copies, %v", s.name, c.KafkaBrokers, c.KafkaReplicas, c.ClickHouseAddrs)
		}
	}
}

func TestASwitchThatIsMisspeltIsNamed(t *testing.T) {
	t.Setenv(config.StackVariable, "clutser")
	if _, err := currentStack(); err == nil || !strings.Contains(err.Error(), "clutser") {
		t.Errorf("got %v", err)
	}
}

func TestEachStackKeepsItsOwnDataAndSharesTheTools(t *testing.T) {
	at := folder{repository: "/somewhere"}
	single, cluster := at.of(singleStack()), at.of(clusterStack())
	if single.data("minio") == cluster.data("minio") || single.envFile() == cluster.envFile() {
		t.Error("two stacks have the same data or settings")
	}
	if single.tool("x") != cluster.tool("x") || single.bin("x") != cluster.bin("x") {
		t.Error("the stacks do not share tools and programs")
	}
}

func TestTheMembersOfAValkeyClusterAgreeAndHaveAllSlots(t *testing.T) {
	c := clusterStack().seenCluster()
	views := map[string]bool{}
	for _, n := range c.members {
		view := c.nodes(n)
		if strings.Count(view, "myself,") != 1 {
			t.Errorf("%s does not find itself once in\n%s", n.name, view)
		}
		views[strings.ReplaceAll(view, "myself,", "")] = true
		for _, slots := range []string{" 0-5460\n", " 5461-10921\n", " 10922-16383\n"} {
			if !strings.Contains(view, slots) {
				t.Errorf("%s does not know who has%s", n.name, slots)
			}
		}
	}
	if len(views) != 1 {
		t.Errorf("the members see %d clusters", len(views))
	}
}
