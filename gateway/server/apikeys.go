package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

const (
	keysPerAdvertiserMax = 20 // usable ones
	keysPage             = 1_000
)

var errLimitIsAdmins = errors.New("calls_per_second is given by an admin")

// revocationNews is how gateways tell each other of revoked keys.
type revocationNews interface {
	TellRevoked(ctx context.Context, keyID int64) error
}

// CreateApiKey makes a key of any role for an admin, of its own for an
// advertiser. The key is shown in this answer only.
//
//nolint:staticcheck // the contract names it
func (s *catalogService) CreateApiKey(ctx context.Context, in *v1.CreateApiKeyRequest) (*v1.CreateApiKeyResponse, error) {
	role, err := roleFromProto(in.GetRole())
	if err != nil {
		return nil, err
	}
	if err := s.mayCreateKey(ctx, role, in.GetAdvertiserId()); err != nil {
		return nil, err
	}
	if in.GetCallsPerSecond() != 0 && principalOf(ctx).Role != click.RoleAdmin {
		return nil, connect.NewError(connect.CodePermissionDenied, errLimitIsAdmins)
	}
	shown, key, err := newKey(role, in.GetAdvertiserId(), in.GetName(), s.now())
	if err != nil {
		return nil, err
	}
	key.CallsPerSecond = in.GetCallsPerSecond()
	if in.GetExpireTime() != nil {
		if key.ExpiresAt, err = expiry(in.GetExpireTime().AsTime()); err != nil {
			return nil, err
		}
	}
	if key.Version, err = s.store.NextVersion(ctx); err != nil {
		return nil, err
	}
	if err := s.store.InsertAPIKey(ctx, key); err != nil {
		return nil, err
	}
	return &v1.CreateApiKeyResponse{ApiKey: shown, KeyId: key.ID}, nil
}

// expiry is a key's end as the store can hold it.
func expiry(t time.Time) (time.Time, error) {
	if t.Year() > 2200 {
		return time.Time{}, invalid("expire_time is after the year 2200: leave it away for a key without an end")
	}
	return t.UTC().Truncate(time.Millisecond), nil
}

func (s *catalogService) mayCreateKey(ctx context.Context, role click.Role, advertiserID int64) error {
	if role != click.RoleAdvertiser {
		if err := requireAdmin(ctx); err != nil {
			return err
		}
		if advertiserID != 0 {
			return invalid("advertiser_id is only for the role ADVERTISER")
		}
		return nil
	}
	if err := requireAdvertiser(ctx, advertiserID); err != nil {
		return err
	}
	if advertiserID == 0 {
		return invalid("the role ADVERTISER needs an advertiser_id")
	}
	if err := s.requireExists(ctx, advertiserID); err != nil {
		return err
	}
	return s.requireRoom(ctx, advertiserID)
}

// requireRoom bounds how many keys of an advertiser can be used: limits are per
// key, and must not be raised by making more of them. Two made at once may be
// one too many.
func (s *catalogService) requireRoom(ctx context.Context, advertiserID int64) error {
	usable := 0
	for after, more := int64(0), true; more; {
		keys, err := s.store.APIKeys(ctx, advertiserID, after, keysPage)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if key.Usable(s.now()) {
				usable++
			}
			after = key.ID
		}
		more = len(keys) == keysPage
	}
	if usable >= keysPerAdvertiserMax {
		return connect.NewError(connect.CodeFailedPrecondition,
			fmt.Errorf("an advertiser has at most %d keys that can be used: revoke one first", keysPerAdvertiserMax))
	}
	return nil
}

// ListApiKeys reads one page of keys, revoked ones too.
//
//nolint:staticcheck // the contract names it
func (s *catalogService) ListApiKeys(ctx context.Context, in *v1.ListApiKeysRequest) (*v1.ListApiKeysResponse, error) {
	if err := requireAdvertiser(ctx, in.GetAdvertiserId()); err != nil {
		return nil, err
	}
	after, err := parsePageToken(in.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := pageSize(in.GetPageSize())
	keys, err := s.store.APIKeys(ctx, in.GetAdvertiserId(), after, size+1)
	if err != nil {
		return nil, err
	}
	out := &v1.ListApiKeysResponse{}
	if len(keys) > size {
		keys = keys[:size]
		out.NextPageToken = pageToken(keys[size-1].ID)
	}
	for _, key := range keys {
		out.ApiKeys = append(out.ApiKeys, keyToProto(key))
	}
	return out, nil
}

// RevokeApiKey ends a key within five seconds at every gateway: those that hear of
// it ask the store at once, the others after that long. A gateway that reaches
// neither the store nor the others goes on believing the key, for ten minutes at
// most.
//
//nolint:staticcheck // the contract names it
func (s *catalogService) RevokeApiKey(ctx context.Context, in *v1.RevokeApiKeyRequest) (*v1.RevokeApiKeyResponse, error) {
	p := principalOf(ctx)
	if p.Role != click.RoleAdmin && p.Role != click.RoleAdvertiser {
		return nil, forbidden()
	}
	key, err := s.store.APIKey(ctx, in.GetKeyId())
	if errors.Is(err, click.ErrNotFound) {
		return nil, notFound(errNoSuchKey)
	}
	if err != nil {
		return nil, err
	}
	if p.Role == click.RoleAdvertiser && key.AdvertiserID != p.AdvertiserID {
		return nil, notFound(errNoSuchKey)
	}
	if key.RevokedAt.IsZero() {
		version, err := s.store.NextVersion(ctx)
		if err != nil {
			return nil, err
		}
		key.RevokedAt = s.now().UTC().Truncate(time.Millisecond)
		key.Version = max(version, key.Version+1)
		if err := s.store.InsertAPIKey(ctx, key); err != nil {
			return nil, err
		}
	}
	s.keys.Forget(key.ID)
	// Also when it was revoked before: whoever repeats it may be the first to hear
	// that it was stored.
	if err := s.gateways.TellRevoked(ctx, key.ID); err != nil {
		s.log.Debug("other gateways will see by the store that a key is revoked", "key_id", key.ID, "error", err)
	}
	return &v1.RevokeApiKeyResponse{ApiKey: keyToProto(key)}, nil
}
