package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// Mechanisms of KAFKA_SASL.
const (
	SASLPlain       = "PLAIN"
	SASLScramSHA256 = "SCRAM-SHA-256"
	SASLScramSHA512 = "SCRAM-SHA-512"
)

var saslMechanisms = []string{SASLScramSHA512, SASLScramSHA256, SASLPlain}

// TLS is how a connection to a server is secured: nil if it is not, else TLS 1.2
// or newer, with the authorities and the certificate of the configuration. It is
// the caller's to change.
func (c Config) TLS(on bool) *tls.Config {
	switch {
	case !on:
		return nil
	case c.tls == nil:
		return &tls.Config{MinVersion: tls.VersionTLS12}
	default:
		return c.tls.Clone()
	}
}

// readTLS reads the files that all TLS connections share.
func (c *Config) readTLS() []error {
	var faults []error
	shared := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLSCAFile != "" {
		pool, err := authorities(c.TLSCAFile)
		if err != nil {
			faults = append(faults, fmt.Errorf(Prefix+"TLS_CA_FILE: %w", err))
		}
		shared.RootCAs = pool
	}
	switch {
	case (c.TLSCertFile == "") != (c.TLSKeyFile == ""):
		faults = append(faults, fmt.Errorf(Prefix+"TLS_CERT_FILE and TLS_KEY_FILE: one is set and the other is not"))
	case c.TLSCertFile != "":
		certificate, err := tls.LoadX509KeyPair(c.TLSCertFile, c.TLSKeyFile)
		if err != nil {
			faults = append(faults, fmt.Errorf(Prefix+"TLS_CERT_FILE, TLS_KEY_FILE: %w", err))
		}
		shared.Certificates = []tls.Certificate{certificate}
	}
	c.tls = shared
	return faults
}

// authorities are the system's and those of a PEM file.
func authorities(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate in PEM form", path)
	}
	return pool, nil
}
