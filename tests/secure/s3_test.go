package secure

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"clickledger/internal/s3"
)

func TestS3ByTLS(t *testing.T) {
	t.Parallel()
	ours, other := newAuthority(t, "ours"), newAuthority(t, "other")
	server := ours.issue(t, "server")
	certificates := t.TempDir()
	if err := errors.Join(
		os.Link(server.certificate, filepath.Join(certificates, "public.crt")),
		os.Link(server.key, filepath.Join(certificates, "private.key")),
	); err != nil {
		t.Fatal(err)
	}
	addrs := free(t, 2)
	serve(t, []string{"MINIO_ROOT_USER=clicker", "MINIO_ROOT_PASSWORD=" + password, "MINIO_UPDATE=off"},
		tool(t, "minio-*/minio"), "server", "--quiet", "--certs-dir", certificates, "--address", addrs[0], "--console-address", addrs[1], t.TempDir())
	right := map[string]string{
		"S3_ENDPOINT": addrs[0], "S3_TLS": "true", "S3_ACCESS_KEY": "clicker", "S3_SECRET_KEY": password, "TLS_CA_FILE": ours.path,
	}
	lake, err := s3.Open(settings(t, right))
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the bucket", func(ctx context.Context) error { _, err := lake.Ensure(ctx); return err })
	for range 2 { // the second time it is there, and the same
		if _, err := lake.PutObject(t.Context(), "clicks/secure", []byte("content")); err != nil {
			t.Error(err)
		}
	}
	if err := lake.Ping(t.Context()); err != nil {
		t.Error(err)
	}

	refused(t, "another authority", pingS3(t, with(right, "TLS_CA_FILE", other.path)), "certificate signed by unknown authority")
	refused(t, "a wrong secret", pingS3(t, with(right, "S3_SECRET_KEY", "wrong-secret")), "SignatureDoesNotMatch", "403", "signature", "denied", "Denied")
	refused(t, "without TLS", pingS3(t, with(right, "S3_TLS", "false")), "HTTPS", "400", "Bad Request", "EOF", "malformed")
}

func pingS3(t *testing.T, changes map[string]string) error {
	t.Helper()
	lake, err := s3.Open(settings(t, changes))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return lake.Ping(ctx)
}
