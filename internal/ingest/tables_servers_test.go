package ingest_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"clickledger/internal/clickhouse"
)

// retried reports whether a step was tried again, by the metrics.
func retried(t *testing.T, registry *prometheus.Registry) bool {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "clickledger_ingester_retries_total" && m.GetCounter().GetValue() > 0 {
				return true
			}
		}
	}
	return false
}

// A store that lost its tables is as good as away: the offsets stay, no click
// becomes a dead letter, and all that came meanwhile count when setup has run.
func TestClicksWaitWhileTheTablesAreMissing(t *testing.T) {
	for name, drop := range map[string]func(*testing.T, *servers){
		"the database too": func(t *testing.T, s *servers) {
			if err := clickhouse.DropDatabase(t.Context(), s.config); err != nil {
				t.Fatal(err)
			}
		},
		"the tables only": func(t *testing.T, s *servers) {
			for _, err := range []error{
				s.rows.Exec(t.Context(), "DROP DATABASE "+s.config.Database()+" SYNC"),
				s.rows.Exec(t.Context(), "CREATE DATABASE "+s.config.Database()),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServers(t)
			parts := s.parts()
			registry := prometheus.NewRegistry()
			parts.Registry = registry
			_, stop := start(t, parts)
			s.click(t, impressions(t, 100))
			s.committed(t)
			drop(t, s)
			ids := impressions(t, 150)
			s.click(t, ids)
			ticker := time.NewTicker(20 * time.Millisecond)
			defer ticker.Stop()
			for deadline := time.After(waitMax); !retried(t, registry); {
				select {
				case <-ticker.C:
				case <-deadline:
					t.Fatal("the ingester did not notice")
				}
			}
			if err := clickhouse.Migrate(t.Context(), s.config); err != nil {
				t.Fatal(err)
			}
			s.committed(t)
			s.wantStored(t, len(ids))
			if _, end, err := s.admin.DeadRange(t.Context()); err != nil || end != 0 {
				t.Errorf("%d clicks became dead letters: %v", end, err)
			}
			stop()
		})
	}
}
