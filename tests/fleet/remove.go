package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"

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
)

// keysPerScan is how many keys Valkey looks at in one step.
const keysPerScan = 1000

// Remove deletes everything a namespace keeps in the servers. The Temporal
// namespace first: its schedules would go on starting workflows.
func Remove(ctx context.Context, c config.Config) error {
	errs := []error{
		removeTemporal(ctx, c),
		removeKafka(ctx, c),
		clickhouse.DropDatabase(ctx, c),
		removeBucket(ctx, c),
	}
	for _, addr := range append([]string{c.ValkeyCacheAddr}, strings.Split(c.ValkeySeenAddr, ",")...) {
		errs = append(errs, removeKeys(ctx, c, addr))
	}
	return errors.Join(errs...)
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

// removeKeys deletes the keys that one Valkey holds; of a cluster each primary is
// asked by itself. Keys go one by one: they need not be in one slot.
func removeKeys(ctx context.Context, c config.Config, addr string) error {
	server, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true, Password: c.ValkeyPassword, DisableCache: true})
	if err != nil {
		return fmt.Errorf("connect to valkey at %s: %w", addr, err)
	}
	defer server.Close()
	for cursor := uint64(0); ; {
		entry, err := server.Do(ctx, server.B().Scan().Cursor(cursor).Match(c.KeyPrefix()+"*").Count(keysPerScan).Build()).AsScanEntry()
		if err != nil {
			return fmt.Errorf("scan keys at %s: %w", addr, err)
		}
		var unlinks valkey.Commands
		for _, key := range entry.Elements {
			unlinks = append(unlinks, server.B().Unlink().Key(key).Build())
		}
		for _, done := range server.DoMulti(ctx, unlinks...) {
			if err := done.Error(); err != nil {
				return fmt.Errorf("delete keys at %s: %w", addr, err)
			}
		}
		if cursor = entry.Cursor; cursor == 0 {
			return nil
		}
	}
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
