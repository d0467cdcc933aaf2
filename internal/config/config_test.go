package config

import (
	"strings"
	"testing"
)

func valid() map[string]string {
	return map[string]string{
		"CLICKLEDGER_TOKEN_KEYS":          "1:" + strings.Repeat("ab", 32) + ",2:" + strings.Repeat("cd", 32),
		"CLICKLEDGER_ADMIN_KEY":           "an-admin-key-for-tests",
		"CLICKLEDGER_CLICKHOUSE_PASSWORD": "p",
		"CLICKLEDGER_S3_ACCESS_KEY":       "a",
		"CLICKLEDGER_S3_SECRET_KEY":       "s",
	}
}

func TestLoadFillsDefaultsAndKeys(t *testing.T) {
	c, err := LoadFrom(valid())
	if err != nil {
		t.Fatal(err)
	}
	if len(c.TokenKeys) != 2 || c.TokenKeys[0].ID != 1 || c.ClicksTopic() != "clickledger.clicks" || c.Bucket() != "clickledger-lake" {
		t.Errorf("unexpected configuration: %+v", c)
	}
}

func TestOriginsOfPagesAreReadAndNoneIsTheDefault(t *testing.T) {
	variables := valid()
	if c, err := LoadFrom(variables); err != nil || len(c.CORSOrigins) != 0 {
		t.Errorf("%v, %v", c.CORSOrigins, err)
	}
	variables["CLICKLEDGER_CORS_ORIGINS"] = "https://a.example.com,http://127.0.0.1:3000"
	if c, err := LoadFrom(variables); err != nil || len(c.CORSOrigins) != 2 {
		t.Errorf("%v, %v", c.CORSOrigins, err)
	}
}

func TestLoadReportsEveryFaultAtOnceAndNoSecret(t *testing.T) {
	variables := valid()
	delete(variables, "CLICKLEDGER_S3_SECRET_KEY")
	variables["CLICKLEDGER_TOKEN_KEYS"] = "1:feedbeef"
	variables["CLICKLEDGER_NAMESPACE"] = "Has-Capitals"
	variables["CLICKLEDGER_PARTITIONS"] = "0"
	variables["CLICKLEDGER_LAKE_RETENTION_DAYS"] = "1"
	variables["CLICKLEDGER_CLICKS_RETENTION_DAYS"] = "34"
	variables["CLICKLEDGER_MINUTES_RETENTION_DAYS"] = "399"
	variables["CLICKLEDGER_HOURS_RETENTION_DAYS"] = "398"
	variables["CLICKLEDGER_CHANGES_PER_SECOND"] = "0"
	variables["CLICKLEDGER_PRODUCE_LINGER"] = "126ms"
	variables["CLICKLEDGER_BATCH_INTERVAL"] = "0s"
	variables["CLICKLEDGER_REPORTS_AT_ONCE"] = "13"
	variables["CLICKLEDGER_REPORT_ROWS_MAX"] = "99999"
	variables["CLICKLEDGER_REPORT_MEMORY_BYTES_MAX"] = "1000"
	variables["CLICKLEDGER_PUBLIC_URL"] = "example.com"
	variables["CLICKLEDGER_CORS_ORIGINS"] = "https://a.example.com,https://*.example.com,https://b.example.com/"
	_, err := LoadFrom(variables)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"S3_SECRET_KEY", "64 hexadecimal digits", "NAMESPACE", "PARTITIONS", "LAKE_RETENTION_DAYS 1", "CLICKS_RETENTION_DAYS 34", "MINUTES_RETENTION_DAYS 399", "HOURS_RETENTION_DAYS 398", "CHANGES_PER_SECOND 0", "PRODUCE_LINGER 126ms", "BATCH_INTERVAL 0s", "REPORTS_AT_ONCE 13", "REPORT_ROWS_MAX 99999", "REPORT_MEMORY_BYTES_MAX 1000", "PUBLIC_URL",
		`CORS_ORIGINS: "https://*.example.com"`, `CORS_ORIGINS: "https://b.example.com/"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "feedbeef") {
		t.Errorf("the error repeats a secret: %v", err)
	}
}

func TestHelpNamesEveryVariable(t *testing.T) {
	if help := Help(); !strings.Contains(help, "CLICKLEDGER_TOKEN_KEYS") || !strings.Contains(help, "CLICKLEDGER_AGGREGATOR_OPS_LISTEN") {
		t.Error(help)
	}
}
