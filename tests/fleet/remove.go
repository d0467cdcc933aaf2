package fleet

import (
	"context"
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/valkey-io/valkey-go"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"clickledger/internal/clickhouse"
	"clickledger/internal/config"
	"clickledger/internal/kafka"
	index "clickledger/internal/valkey"
)

// keysPerScan is how many keys Valkey looks at in one step.
const keysPerScan = 1000

// Remove deletes everything a namespace keeps in the servers. The Temporal
// namespace first: its schedules would go on starting workflows.
func Remove(ctx context.Context, c config.Config) error {
	return errors.Join(
		removeTemporal(ctx, c),
		removeKafka(ctx, c),
		clickhouse.DropDatabase(ctx, c),
		removeKeys(ctx, c, c.ValkeyCacheAddr),
		removeSeen(ctx, c),
		removeBucket(ctx, c))
}

func removeTemporal(ctx context.Context, c config.Config) error {
	conn, err := grpc.NewClient(c.TemporalAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("dial temporal: %w", err)
	}
	defer func() { _ = conn.Close() }()
	_, err = operatorservice.NewOperatorServiceClient(conn).DeleteNamespace(ctx,
		&operatorservice.DeleteNamespaceRequest{Namespace: c.TemporalNamespace()})
	var absent *serviceerror.NamespaceNotFound
	if err = serviceerror.FromStatus(serviceerror.ToStatus(err)); err != nil && !errors.As(err, &absent) {
		return fmt.Errorf("delete temporal namespace: %w", err)
	}
	return nil
}

func removeKafka(ctx context.Context, c config.Config) error {
	admin, err := kafka.NewAdmin(c)
	if err != nil {
		return err
	}
	defer admin.Close()
	return admin.Drop(ctx)
}

func removeKeys(ctx context.Context, c config.Config, addr string) error {
	server, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{addr}, Password: c.ValkeyPassword, DisableCache: true})
	if err != nil {
		return fmt.Errorf("connect to valkey at %s: %w", addr, err)
	}
	defer server.Close()
	for cursor := uint64(0); ; {
		entry, err := server.Do(ctx, server.B().Scan().Cursor(cursor).Match(c.KeyPrefix()+"*").Count(keysPerScan).Build()).AsScanEntry()
		if err != nil {
			return fmt.Errorf("scan keys at %s: %w", addr, err)
		}
		if len(entry.Elements) > 0 {
			if err := server.Do(ctx, server.B().Unlink().Key(entry.Elements...).Build()).Error(); err != nil {
				return fmt.Errorf("delete keys at %s: %w", addr, err)
			}
		}
		if cursor = entry.Cursor; cursor == 0 {
			return nil
		}
	}
}

func removeSeen(ctx context.Context, c config.Config) error {
	seen, err := index.OpenSeenIndex(c)
	if err != nil {
		return err
	}
	defer seen.Close()
	return seen.Drop(ctx)
}

func removeBucket(ctx context.Context, c config.Config) error {
	server, err := minio.New(c.S3Endpoint, &minio.Options{Creds: credentials.NewStaticV4(c.S3AccessKey, c.S3SecretKey, ""), Secure: c.S3TLS})
	if err != nil {
		return fmt.Errorf("connect to s3: %w", err)
	}
	if exists, err := server.BucketExists(ctx, c.Bucket()); err != nil || !exists {
		return err
	}
	if err := server.RemoveBucketWithOptions(ctx, c.Bucket(), minio.RemoveBucketOptions{ForceDelete: true}); err != nil {
		return fmt.Errorf("delete bucket: %w", err)
	}
	return nil
}
