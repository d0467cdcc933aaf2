package s3

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"
)

// Our rules of a bucket's lifecycle begin with ruleName. Others are somebody
// else's and stay.
const (
	ruleName = "clickledger-"
	enabled  = "Enabled"

	noLifecycle = "NoSuchLifecycleConfiguration" // the server has no rules of the bucket
)

// retentionRules are the rules that a bucket is to have.
func retentionRules(days int) []lifecycle.Rule {
	var rules []lifecycle.Rule
	for _, prefix := range []string{clicksPrefix, manifestsPrefix} {
		rules = append(rules, lifecycle.Rule{
			ID: ruleName + strings.TrimSuffix(prefix, "/"), Status: enabled,
			RuleFilter: lifecycle.Filter{Prefix: prefix},
			Expiration: lifecycle.Expiration{Days: lifecycle.ExpirationDays(days)},
		})
	}
	return rules
}

// EnsureRetention has the server delete clicks and their manifests some days
// after they were written, and reports whether that was something new to it.
// What is there already is under the rule too.
func (l *Lake) EnsureRetention(ctx context.Context, days int) (changed bool, err error) {
	there, err := l.client.GetBucketLifecycle(ctx, l.bucket)
	switch {
	case minio.ToErrorResponse(err).Code == noLifecycle:
		there = lifecycle.NewConfiguration()
	case err != nil:
		return false, l.fault("read the lifecycle of", err)
	}
	wanted, missing := retentionRules(days), false
	for _, rule := range wanted {
		missing = missing || !slices.ContainsFunc(there.Rules, func(r lifecycle.Rule) bool {
			return r.ID == rule.ID && r.Status == enabled && r.RuleFilter.Prefix == rule.RuleFilter.Prefix && r.Expiration.Days == rule.Expiration.Days
		})
	}
	if !missing {
		return false, nil
	}
	for _, rule := range there.Rules {
		if !strings.HasPrefix(rule.ID, ruleName) {
			wanted = append(wanted, rule)
		}
	}
	if err := l.client.SetBucketLifecycle(ctx, l.bucket, &lifecycle.Configuration{Rules: wanted}); err != nil {
		return false, l.fault(fmt.Sprintf("set a retention of %d days on", days), err)
	}
	return true, nil
}
