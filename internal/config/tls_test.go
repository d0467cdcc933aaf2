package config

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTLSIsOffUnlessAskedFor(t *testing.T) {
	c, err := LoadFrom(valid())
	if err != nil {
		t.Fatal(err)
	}
	if c.TLS(c.KafkaTLS) != nil || c.TLS(c.ClickHouseTLS) != nil || c.TLS(c.ValkeyTLS) != nil || c.TLS(c.TemporalTLS) != nil {
		t.Error("a connection is secured that was not to be")
	}
	if secure := c.TLS(true); secure == nil || secure.MinVersion != tls.VersionTLS12 || secure.InsecureSkipVerify {
		t.Errorf("%+v, want TLS 1.2 at least, verified", secure)
	}
}

func TestFaultsOfSecureConnectionsAreSaidTogetherAndWithoutSecrets(t *testing.T) {
	folder := t.TempDir()
	noPEM := filepath.Join(folder, "no.pem")
	if err := os.WriteFile(noPEM, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	variables := valid()
	for name, value := range map[string]string{
		"TLS_CA_FILE": noPEM, "TLS_CERT_FILE": filepath.Join(folder, "absent.pem"),
		"KAFKA_SASL": "GSSAPI", "KAFKA_PASSWORD": "secret-of-kafka", "VALKEY_USER": "clicker", "TEMPORAL_API_KEY": "secret-of-temporal",
	} {
		variables[Prefix+name] = value
	}
	_, err := LoadFrom(variables)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"TLS_CA_FILE: " + noPEM + " has no certificate", "TLS_CERT_FILE and TLS_KEY_FILE: one is set", `KAFKA_SASL "GSSAPI" must be one of SCRAM-SHA-512`,
		"KAFKA_USER and KAFKA_PASSWORD: one is set", "VALKEY_USER is set", "TEMPORAL_API_KEY would be sent in the clear",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "secret-of") {
		t.Errorf("it tells a secret: %v", err)
	}
	variables = valid()
	variables[Prefix+"TLS_CERT_FILE"], variables[Prefix+"TLS_KEY_FILE"] = filepath.Join(folder, "absent.pem"), noPEM
	if _, err := LoadFrom(variables); err == nil || !strings.Contains(err.Error(), "absent.pem") {
		t.Errorf("an absent certificate: %v", err)
	}
}
