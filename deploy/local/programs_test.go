package main

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func TestSettingsForProgramsThatAreRefused(t *testing.T) {
	single, cluster := singleStack(), clusterStack()
	for _, test := range []struct {
		name   string
		stack  stack
		set    settings
		reason string // empty: it is taken
	}{
		{"none", single, nil, ""},
		{"Go's own", single, settings{"GOGC": "100"}, ""},
		{"another namespace and journal", single, settings{"CLICKLEDGER_NAMESPACE": "bench", "CLICKLEDGER_JOURNAL_PATH": "b.db"}, ""},
		{"clicks of one namespace counted in another", single, settings{"CLICKLEDGER_NAMESPACE": "bench"}, "JOURNAL_PATH"},
		{"one journal for two gateways", cluster, settings{"CLICKLEDGER_JOURNAL_PATH": "b.db"}, "each of the 2 gateways"},
		{"one address for two gateways", cluster, settings{"CLICKLEDGER_GATEWAY_LISTEN": "127.0.0.1:1"}, "each of the 2 gateways"},
		{"one linger for two gateways", cluster, settings{"CLICKLEDGER_PRODUCE_LINGER": "9ms"}, ""},
		{"a secret", single, settings{"CLICKLEDGER_ADMIN_KEY": "x"}, "secret"},
		{"a name that nobody reads", single, settings{"NAMESPACE": "x"}, "no setting"},
	} {
		err := test.stack.checkSet(test.set)
		if test.reason == "" && err != nil || test.reason != "" && (err == nil || !strings.Contains(err.Error(), test.reason)) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.reason)
		}
	}
}

func TestSettingsAreReadAsTheyAreWritten(t *testing.T) {
	var c commands
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"run", "--set", "A=x=y;z,w", "--set", "B=1"}); err != nil {
		t.Fatal(err)
	}
	if want := (settings{"A": "x=y;z,w", "B": "1"}); !maps.Equal(c.Run.Set, want) {
		t.Errorf("got %v, want %v", c.Run.Set, want)
	}
}

func TestAStartTakesTheSettingsOfItsOrder(t *testing.T) {
	c, log := testChild(t, service{command: script("exec sleep 600")})
	s := &supervisor{at: c.at, log: c.log, children: map[string]*child{"thing": c}}
	order := func(what, body string) int {
		answer := httptest.NewRecorder()
		s.routes().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/services/thing/"+what, strings.NewReader(body)))
		return answer.Code
	}
	if got := order("start", "GOGC=1"); got != http.StatusBadRequest {
		t.Errorf("settings that are not JSON: %d", got)
	}
	if got := c.snapshot().State; got != stopped {
		t.Errorf("it is %s", got)
	}
	for _, step := range []struct {
		what, body string
		want       settings
	}{
		{"start", `{"GOGC":"7654"}`, settings{"GOGC": "7654"}},
		{"restart", "", nil},
		{"stop", "", nil},
		{"start", "", nil},
	} {
		if got := order(step.what, step.body); got != http.StatusNoContent {
			t.Errorf("%s %s: %d", step.what, step.body, got)
		}
		if got := c.snapshot().Set; !maps.Equal(got, step.want) {
			t.Errorf("%s %s: it has %v", step.what, step.body, got)
		}
	}
	c.stop()
	if strings.Contains(log.String(), "7654") {
		t.Errorf("the log tells settings: %s", log)
	}
}
