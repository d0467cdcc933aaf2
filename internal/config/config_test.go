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

func TestLoadReportsEveryFaultAtOnceAndNoSecret(t *testing.T) {
	variables := valid()
	delete(variables, "CLICKLEDGER_S3_SECRET_KEY")
	variables["CLICKLEDGER_TOKEN_KEYS"] = "1:feedbeef"
	variables["CLICKLEDGER_NAMESPACE"] = "Has-Capitals"
	variables["CLICKLEDGER_PARTITIONS"] = "0"
	variables["CLICKLEDGER_PUBLIC_URL"] = "example.com"
	_, err := LoadFrom(variables)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"S3_SECRET_KEY", "64 hexadecimal digits", "NAMESPACE", "PARTITIONS", "PUBLIC_URL"} {
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
