// Package s3 is the lake's store. It alone imports the S3 client.
package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"clickledger/internal/click"
	"clickledger/internal/config"
)

// Lake is the bucket of one deployment. It is safe for concurrent use.
type Lake struct {
	client    *minio.Client
	bucket    string
	manifests manifestCache
}

// Open makes the client; it does not wait for the server, the first call does.
func Open(c config.Config) (*Lake, error) {
	transport, err := minio.DefaultTransport(c.S3TLS)
	if err != nil {
		return nil, fmt.Errorf("open s3 at %s: %w", c.S3Endpoint, err)
	}
	if secure := c.TLS(c.S3TLS); secure != nil {
		transport.TLSClientConfig = secure
	}
	client, err := minio.New(c.S3Endpoint, &minio.Options{
		Transport:  transport,
		Creds:      credentials.NewStaticV4(c.S3AccessKey, c.S3SecretKey, ""),
		Secure:     c.S3TLS,
		MaxRetries: 1, // the caller decides how long it is worth trying
		// The server checks the SHA-256 of what it is sent, and keeps it.
		TrailingHeaders: true,
	})
	if err != nil {
		return nil, fmt.Errorf("open s3 at %s: %w", c.S3Endpoint, err)
	}
	return &Lake{client: client, bucket: c.Bucket()}, nil
}

// Ensure creates the bucket if it is absent, and reports whether it was.
func (l *Lake) Ensure(ctx context.Context) (created bool, err error) {
	exists, err := l.client.BucketExists(ctx, l.bucket)
	if err != nil || exists {
		return false, l.fault("look for bucket", err)
	}
	err = l.client.MakeBucket(ctx, l.bucket, minio.MakeBucketOptions{})
	if minio.ToErrorResponse(err).Code == "BucketAlreadyOwnedByYou" { // two setups at once
		return false, nil
	}
	return err == nil, l.fault("create bucket", err)
}

// Ping reports whether the server answers and the bucket is there.
func (l *Lake) Ping(ctx context.Context) error {
	exists, err := l.client.BucketExists(ctx, l.bucket)
	if err == nil && !exists {
		return fmt.Errorf("bucket %s: %w", l.bucket, click.ErrNotFound)
	}
	return l.fault("ping s3", err)
}

// Drop removes the bucket and what is in it: for the end of a test.
func (l *Lake) Drop(ctx context.Context) error {
	err := l.client.RemoveBucketWithOptions(ctx, l.bucket, minio.RemoveBucketOptions{ForceDelete: true})
	return l.fault("drop bucket", err)
}

// fault says what failed; a server that gave no answer of its own is
// click.ErrUnavailable.
func (l *Lake) fault(what string, err error) error {
	if err == nil {
		return nil
	}
	var answer minio.ErrorResponse
	switch answered := errors.As(err, &answer); {
	case !answered || answer.StatusCode == 0 || answer.StatusCode >= http.StatusInternalServerError:
		return fmt.Errorf("%s %s: %w: %w", what, l.bucket, click.ErrUnavailable, err)
	case answer.Code == minio.NoSuchKey || answer.Code == minio.NoSuchBucket:
		return fmt.Errorf("%s %s: %w: %w", what, l.bucket, click.ErrNotFound, err)
	}
	return fmt.Errorf("%s %s: %w", what, l.bucket, err)
}
