package s3

import (
	"testing"

	"github.com/minio/minio-go/v7/pkg/lifecycle"
)

func TestTheRetentionIsSetOnceAndOthersRulesStay(t *testing.T) {
	lake := openLake(t)
	theirs := lifecycle.Rule{
		ID: "theirs", Status: enabled, RuleFilter: lifecycle.Filter{Prefix: "other/"}, Expiration: lifecycle.Expiration{Days: 9},
	}
	err := lake.client.SetBucketLifecycle(t.Context(), lake.bucket, &lifecycle.Configuration{Rules: []lifecycle.Rule{theirs}})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		days    int
		changed bool
	}{{400, true}, {400, false}, {30, true}, {30, false}} {
		changed, err := lake.EnsureRetention(t.Context(), step.days)
		if err != nil || changed != step.changed {
			t.Fatalf("%d days: changed = %v, %v", step.days, changed, err)
		}
		there, err := lake.client.GetBucketLifecycle(t.Context(), lake.bucket)
		if err != nil {
			t.Fatal(err)
		}
		days := map[string]int{}
		for _, r := range there.Rules {
			days[r.RuleFilter.Prefix] = int(r.Expiration.Days)
		}
		if len(there.Rules) != 3 || days["clicks/"] != step.days || days["manifests/"] != step.days || days["other/"] != 9 {
			t.Errorf("%d days: the rules are %v", step.days, days)
		}
	}
}

func TestABucketWithoutRulesGetsItsRetention(t *testing.T) {
	lake := openLake(t)
	for _, want := range []bool{true, false} {
		if changed, err := lake.EnsureRetention(t.Context(), 2); err != nil || changed != want {
			t.Errorf("changed = %v, %v; want %v", changed, err, want)
		}
	}
}
