package server

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// Between the contract's messages and the domain. Unknown values become the
// UNSPECIFIED of the other side, never a guess.

func adToProto(ad click.Ad) *v1.Ad {
	return &v1.Ad{
		AdId: ad.ID, AdvertiserId: ad.AdvertiserID, Name: ad.Name,
		LandingUrl: ad.LandingURL, Status: adStatusToProto(ad.Status),
	}
}

func adsToProto(ads []click.Ad) []*v1.Ad {
	out := make([]*v1.Ad, len(ads))
	for i, ad := range ads {
		out[i] = adToProto(ad)
	}
	return out
}

func adStatusToProto(s click.AdStatus) v1.AdStatus {
	switch s {
	case click.AdActive:
		return v1.AdStatus_AD_STATUS_ACTIVE
	case click.AdPaused:
		return v1.AdStatus_AD_STATUS_PAUSED
	default:
		return v1.AdStatus_AD_STATUS_UNSPECIFIED
	}
}

func adStatusFromProto(s v1.AdStatus) (click.AdStatus, error) {
	switch s {
	case v1.AdStatus_AD_STATUS_ACTIVE:
		return click.AdActive, nil
	case v1.AdStatus_AD_STATUS_PAUSED:
		return click.AdPaused, nil
	case v1.AdStatus_AD_STATUS_UNSPECIFIED:
		return "", invalid("status must be ACTIVE or PAUSED")
	default:
		return "", invalid("status must be ACTIVE or PAUSED")
	}
}

func roleToProto(r click.Role) v1.Role {
	switch r {
	case click.RoleAdmin:
		return v1.Role_ROLE_ADMIN
	case click.RolePublisher:
		return v1.Role_ROLE_PUBLISHER
	case click.RoleAdvertiser:
		return v1.Role_ROLE_ADVERTISER
	default:
		return v1.Role_ROLE_UNSPECIFIED
	}
}

func roleFromProto(r v1.Role) (click.Role, error) {
	switch r {
	case v1.Role_ROLE_ADMIN:
		return click.RoleAdmin, nil
	case v1.Role_ROLE_PUBLISHER:
		return click.RolePublisher, nil
	case v1.Role_ROLE_ADVERTISER:
		return click.RoleAdvertiser, nil
	case v1.Role_ROLE_UNSPECIFIED:
		return "", invalid("role must be ADMIN, PUBLISHER or ADVERTISER")
	default:
		return "", invalid("role must be ADMIN, PUBLISHER or ADVERTISER")
	}
}

func keyToProto(k click.APIKey) *v1.ApiKey {
	return &v1.ApiKey{
		KeyId: k.ID, Role: roleToProto(k.Role), AdvertiserId: k.AdvertiserID, Name: k.Name,
		CreateTime: timeToProto(k.CreatedAt), ExpireTime: timeToProto(k.ExpiresAt), RevokeTime: timeToProto(k.RevokedAt),
		CallsPerSecond: k.CallsPerSecond,
	}
}

func verdictToProto(v click.Verdict) v1.Verdict {
	switch v {
	case click.Accepted:
		return v1.Verdict_VERDICT_ACCEPTED
	case click.Duplicate:
		return v1.Verdict_VERDICT_DUPLICATE
	case click.Expired:
		return v1.Verdict_VERDICT_EXPIRED
	case click.Paused:
		return v1.Verdict_VERDICT_PAUSED
	case click.Prefetch:
		return v1.Verdict_VERDICT_PREFETCH
	case click.NotRecorded:
		return v1.Verdict_VERDICT_NOT_RECORDED
	default:
		return v1.Verdict_VERDICT_UNSPECIFIED
	}
}

func stateToProto(s click.State) v1.State {
	switch s {
	case click.Provisional:
		return v1.State_STATE_PROVISIONAL
	case click.Final:
		return v1.State_STATE_FINAL
	case click.Restated:
		return v1.State_STATE_RESTATED
	default:
		return v1.State_STATE_UNSPECIFIED
	}
}

// timeToProto leaves the zero time away: it means "never" or "unknown".
func timeToProto(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
