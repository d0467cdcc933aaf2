package clickhouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"clickledger/internal/click"
)

const keyColumns = "key_id, hash, role, advertiser_id, name, created_at, expires_at, revoked_at, version, calls_per_second"

// APIKey is the newest row of one key; click.ErrNotFound when there is none,
// click.ErrUnavailable when the store cannot be asked.
func (s *Store) APIKey(ctx context.Context, keyID int64) (click.APIKey, error) {
	keys, err := s.apiKeys(ctx, "SELECT "+keyColumns+" FROM api_keys WHERE key_id = ? ORDER BY version DESC LIMIT 1", keyID)
	if err != nil {
		return click.APIKey{}, err
	}
	if len(keys) == 0 {
		return click.APIKey{}, fmt.Errorf("read API key: %w", click.ErrNotFound)
	}
	return keys[0], nil
}

// APIKeys is up to limit keys with ids above after, by id: those of an
// advertiser, or with advertiserID 0 all.
func (s *Store) APIKeys(ctx context.Context, advertiserID, after int64, limit int) ([]click.APIKey, error) {
	return s.apiKeys(ctx, "SELECT "+keyColumns+` FROM api_keys WHERE (advertiser_id = ? OR ? = 0) AND key_id > ?
		ORDER BY key_id, version DESC LIMIT 1 BY key_id LIMIT ?`, advertiserID, advertiserID, after, limit)
}

// InsertAPIKey writes one version of a key.
func (s *Store) InsertAPIKey(ctx context.Context, k click.APIKey) error {
	return s.InsertAPIKeys(ctx, []click.APIKey{k})
}

func (s *Store) apiKeys(ctx context.Context, query string, args ...any) ([]click.APIKey, error) {
	rows, err := s.conn.Query(ctx, query, args...)
	if err != nil {
		return nil, readError("read API keys", err)
	}
	defer func() { _ = rows.Close() }()
	var keys []click.APIKey
	for rows.Next() {
		k, err := scanKey(rows)
		if err != nil {
			return nil, fmt.Errorf("read API keys: %w", err)
		}
		keys = append(keys, k)
	}
	if err := rows.Err(); err != nil {
		return nil, readError("read API keys", err)
	}
	return keys, nil
}

// scanKey and keyRow are keyColumns, to and fro.

func scanKey(rows driver.Rows) (k click.APIKey, err error) {
	var hash, role string
	err = rows.Scan(&k.ID, &hash, &role, &k.AdvertiserID, &k.Name, &k.CreatedAt, &k.ExpiresAt, &k.RevokedAt, &k.Version, &k.CallsPerSecond)
	copy(k.Hash[:], hash)
	k.Role = click.Role(role)
	k.ExpiresAt, k.RevokedAt = orZero(k.ExpiresAt), orZero(k.RevokedAt)
	return k, err
}

func keyRow(k *click.APIKey) []any {
	return []any{
		k.ID, string(k.Hash[:]), string(k.Role), k.AdvertiserID, k.Name,
		k.CreatedAt, orEpoch(k.ExpiresAt), orEpoch(k.RevokedAt), k.Version, k.CallsPerSecond,
	}
}

// The columns know no NULL: the epoch stands for "never".

func orEpoch(t time.Time) time.Time {
	if t.IsZero() {
		return time.UnixMilli(0).UTC()
	}
	return t
}

func orZero(t time.Time) time.Time {
	if t.UnixMilli() == 0 {
		return time.Time{}
	}
	return t.UTC()
}
