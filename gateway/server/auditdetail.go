package server

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	v1 "clickledger/proto/gen/clickledger/v1"
)

// audited reports whether a request is of a call that changes something, what
// that is about and what it is to become. With the answer of one that went well
// it also knows what was made. It names each field that may be written down, so
// that a new one, which may be a secret, is not.
func audited(request, answer any) (subject, detail string, ok bool) {
	switch in := request.(type) {
	case *v1.CreateAdvertiserRequest:
		if out, made := answer.(*v1.CreateAdvertiserResponse); made {
			subject = subjectOf("advertiser", out.GetAdvertiser().GetAdvertiserId())
		}
		return subject, fmt.Sprintf("name %q, with a first key", in.GetName()), true
	case *v1.CreateAdsRequest:
		return subjectOf("advertiser", in.GetAdvertiserId()), adsDetail(in, answer), true
	case *v1.UpdateAdRequest:
		return subjectOf("ad", in.GetAdId()), changeDetail(in), true
	case *v1.CreateApiKeyRequest:
		if out, made := answer.(*v1.CreateApiKeyResponse); made {
			subject = subjectOf("key", out.GetKeyId())
		}
		return subject, keyDetail(in), true
	case *v1.RevokeApiKeyRequest:
		return subjectOf("key", in.GetKeyId()), "", true
	case *v1.ReplayDeadLettersRequest:
		return "dead letters", lettersDetail(in.GetIds()), true
	case *v1.DiscardDeadLettersRequest:
		return "dead letters", lettersDetail(in.GetIds()), true
	default:
		return "", "", false
	}
}

func subjectOf(kind string, id int64) string { return fmt.Sprintf("%s %d", kind, id) }

// auditedIDs is how many ids of what was made at once are written down.
const auditedIDs = 20

func adsDetail(in *v1.CreateAdsRequest, answer any) string {
	detail := fmt.Sprintf("%d ads", len(in.GetAds()))
	out, made := answer.(*v1.CreateAdsResponse)
	if !made {
		return detail
	}
	ids := make([]string, 0, auditedIDs)
	for _, ad := range out.GetAds()[:min(len(out.GetAds()), auditedIDs)] {
		ids = append(ids, fmt.Sprint(ad.GetAdId()))
	}
	detail += ": " + strings.Join(ids, ", ")
	if more := len(out.GetAds()) - len(ids); more > 0 {
		detail += fmt.Sprintf(" and %d more", more)
	}
	return detail
}

func changeDetail(in *v1.UpdateAdRequest) string {
	var changes []string
	if in.Status != nil {
		changes = append(changes, "status "+strings.TrimPrefix(in.GetStatus().String(), "AD_STATUS_"))
	}
	if in.LandingUrl != nil {
		changes = append(changes, "landing_url "+withoutQuery(in.GetLandingUrl()))
	}
	return strings.Join(changes, ", ")
}

// withoutQuery is where a URL leads. What follows a ? may be a secret of the
// advertiser's, as may a user's name.
func withoutQuery(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return "that cannot be read"
	}
	return (&url.URL{Scheme: parsed.Scheme, Host: parsed.Host, Path: parsed.Path}).String()
}

func keyDetail(in *v1.CreateApiKeyRequest) string {
	detail := strings.TrimPrefix(in.GetRole().String(), "ROLE_")
	if in.GetAdvertiserId() != 0 {
		detail += fmt.Sprintf(" of advertiser %d", in.GetAdvertiserId())
	}
	if in.GetName() != "" {
		detail += fmt.Sprintf(", name %q", in.GetName())
	}
	if in.GetExpireTime() != nil {
		detail += ", until " + in.GetExpireTime().AsTime().UTC().Format(time.RFC3339)
	}
	if in.GetCallsPerSecond() != 0 {
		detail += fmt.Sprintf(", %d calls a second", in.GetCallsPerSecond())
	}
	return detail
}

func lettersDetail(ids []string) string { return fmt.Sprintf("%d letters", len(ids)) }
