package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

const (
	yes     = "ok"
	denied  = "permission_denied"
	missing = "not_found"
)

// rule is what a call is answered to each role. Whoever has no valid key is
// answered unauthenticated, but for calls that need none.
type rule struct {
	request                          func(*scene) proto.Message
	admin, publisher, owner, foreign string // an advertiser that owns what is asked for, and another
	open                             bool   // needs no key
}

// rules has every call there is.
func rules() map[string][]rule {
	now := time.Now().UTC().Truncate(time.Minute)
	hour := func() (start, end *timestamppb.Timestamp) {
		return timestamppb.New(now.Add(-time.Hour)), timestamppb.New(now)
	}
	paused := v1.AdStatus_AD_STATUS_PAUSED
	own := func(request func(*scene) proto.Message, foreign string) rule {
		return rule{request: request, admin: yes, publisher: denied, owner: yes, foreign: foreign}
	}
	admins := func(request func(*scene) proto.Message) rule {
		return rule{request: request, admin: yes, publisher: denied, owner: denied, foreign: denied}
	}
	return map[string][]rule{
		"CatalogService/CreateAdvertiser": {admins(func(*scene) proto.Message { return &v1.CreateAdvertiserRequest{Name: "new"} })},
		"CatalogService/CreateAds": {own(func(s *scene) proto.Message {
			return &v1.CreateAdsRequest{AdvertiserId: s.own, Ads: []*v1.NewAd{{Name: "new", LandingUrl: "https://shop.example.com/"}}}
		}, denied)},
		"CatalogService/UpdateAd": {own(func(s *scene) proto.Message { return &v1.UpdateAdRequest{AdId: s.ad, Status: &paused} }, missing)},
		"CatalogService/GetAd":    {own(func(s *scene) proto.Message { return &v1.GetAdRequest{AdId: s.ad} }, missing)},
		"CatalogService/ListAds":  {own(func(s *scene) proto.Message { return &v1.ListAdsRequest{AdvertiserId: s.own} }, denied)},
		"CatalogService/CreateApiKey": {
			own(func(s *scene) proto.Message {
				return &v1.CreateApiKeyRequest{Role: v1.Role_ROLE_ADVERTISER, AdvertiserId: s.own}
			}, denied),
			admins(func(*scene) proto.Message { return &v1.CreateApiKeyRequest{Role: v1.Role_ROLE_ADMIN} }),
			admins(func(*scene) proto.Message { return &v1.CreateApiKeyRequest{Role: v1.Role_ROLE_PUBLISHER} }),
			admins(func(s *scene) proto.Message {
				return &v1.CreateApiKeyRequest{Role: v1.Role_ROLE_ADVERTISER, AdvertiserId: s.own, CallsPerSecond: 1_000}
			}),
		},
		"CatalogService/ListApiKeys": {
			own(func(s *scene) proto.Message { return &v1.ListApiKeysRequest{AdvertiserId: s.own} }, denied),
			admins(func(*scene) proto.Message { return &v1.ListApiKeysRequest{} }),
		},
		"CatalogService/RevokeApiKey": {own(func(s *scene) proto.Message { return &v1.RevokeApiKeyRequest{KeyId: s.secondKey} }, missing)},
		"ImpressionService/IssueImpressions": {{
			request: func(s *scene) proto.Message { return &v1.IssueImpressionsRequest{AdId: s.ad} },
			admin:   yes, publisher: yes, owner: denied, foreign: denied,
		}},
		"ClickService/RecordClick": {{
			request: func(s *scene) proto.Message { return &v1.RecordClickRequest{Token: s.token} },
			admin:   yes, publisher: yes, owner: yes, foreign: yes, open: true,
		}},
		"ReportService/QueryClicks": {own(func(s *scene) proto.Message {
			start, end := hour()
			return &v1.QueryClicksRequest{AdvertiserId: s.own, StartTime: start, EndTime: end}
		}, denied)},
		"ReportService/TopAds": {own(func(s *scene) proto.Message {
			start, end := hour()
			return &v1.TopAdsRequest{AdvertiserId: s.own, StartTime: start, EndTime: end}
		}, denied)},
		"ReportService/ListRestatements": {own(func(s *scene) proto.Message {
			start, end := hour()
			return &v1.ListRestatementsRequest{AdvertiserId: s.own, StartTime: start, EndTime: end}
		}, denied)},
		"ReportService/WatchClicks":         {own(func(s *scene) proto.Message { return &v1.WatchClicksRequest{AdvertiserId: s.own} }, denied)},
		"OperationsService/GetStatus":       {admins(func(*scene) proto.Message { return &v1.GetStatusRequest{} })},
		"OperationsService/ListDeadLetters": {admins(func(*scene) proto.Message { return &v1.ListDeadLettersRequest{} })},
		"OperationsService/GetDeadLetter":   {admins(func(s *scene) proto.Message { return &v1.GetDeadLetterRequest{Id: s.letter} })},
		"OperationsService/ReplayDeadLetters": {admins(func(s *scene) proto.Message {
			return &v1.ReplayDeadLettersRequest{Ids: []string{s.letter}, Note: "mended"}
		})},
		"OperationsService/DiscardDeadLetters": {admins(func(s *scene) proto.Message {
			return &v1.DiscardDeadLettersRequest{Ids: []string{s.letter}, Note: "no click"}
		})},
		"OperationsService/ListReconciliations": {admins(func(*scene) proto.Message { return &v1.ListReconciliationsRequest{} })},
		"OperationsService/ListDiscrepancies":   {admins(func(*scene) proto.Message { return &v1.ListDiscrepanciesRequest{} })},
		"OperationsService/ListAuditEvents":     {admins(func(*scene) proto.Message { return &v1.ListAuditEventsRequest{} })},
	}
}

// methods are the methods of all services of the contract.
func methods() map[string]protoreflect.MethodDescriptor {
	all := map[string]protoreflect.MethodDescriptor{}
	protoregistry.GlobalFiles.RangeFilesByPackage("clickledger.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				all[string(service.Name())+"/"+string(method.Name())] = method
			}
		}
		return true
	})
	return all
}

// A call that was added without a rule fails here.
func TestEveryCallIsAnsweredToEachRoleAsItsRuleSays(t *testing.T) {
	all, known := methods(), rules()
	for name := range known {
		if all[name] == nil {
			t.Errorf("there is a rule for %s, which is no call", name)
		}
	}
	for name, method := range all {
		if len(known[name]) == 0 {
			t.Errorf("there is no rule for %s", name)
		}
		for i, r := range known[name] {
			if want := (&scene{}); r.request(want).ProtoReflect().Descriptor() != method.Input() {
				t.Fatalf("%s: the rule's request is a %s", name, r.request(want).ProtoReflect().Descriptor().Name())
			}
			t.Run(fmt.Sprintf("%s %d", name, i+1), func(t *testing.T) { r.hold(t, name, method.IsStreamingServer()) })
		}
	}
}

func (r rule) hold(t *testing.T, name string, stream bool) {
	for who, want := range map[string]string{
		"the operator": r.admin, "an admin": r.admin, "a publisher": r.publisher, "the owner": r.owner, "a foreign advertiser": r.foreign,
		"an expired key": "unauthenticated", "a revoked key": "unauthenticated", "an unknown key": "unauthenticated",
		"another secret": "unauthenticated", "nonsense": "unauthenticated", "no key": "unauthenticated",
	} {
		if r.open {
			want = yes
		}
		s := newScene(t)
		before := s.state()
		if got := s.call(t, name, s.keys[who], r.request(s), stream); got != want {
			t.Errorf("%s: answered %s, want %s", who, got, want)
		}
		if want != yes && s.state() != before {
			t.Errorf("%s was answered %s, and something has changed", who, want)
		}
		_, _, changes := audited(r.request(s), nil)
		if written := len(s.store.trail.begun) - s.begun; (written == 1) != (changes && want != "unauthenticated") {
			t.Errorf("%s: %d events in the audit", who, written)
		}
		if want == yes && !changes && !r.open && s.state() != before {
			t.Errorf("%s changes something, and is not audited", name)
		}
	}
}

// scene is a gateway with two advertisers and a key for each who may call.
type scene struct {
	*gateway
	own, ad, secondKey int64
	token, letter      string
	keys               map[string]string // shown by each
	begun              int               // events in the audit before the call
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{gateway: newGateway(t)}
	var owner string
	var ad *v1.Ad
	s.own, owner, ad = s.advertiser(t)
	_, foreign, _ := s.advertiser(t)
	s.ad = ad.GetAdId()
	s.letter = s.bury(4)
	s.token = s.gateway.token(t, s.ad, 0)

	now := time.Now()
	_, s.secondKey = s.key(t, click.RoleAdvertiser, s.own, nil)
	admin, _ := s.key(t, click.RoleAdmin, 0, nil)
	publisher, _ := s.key(t, click.RolePublisher, 0, nil)
	expired, _ := s.key(t, click.RoleAdmin, 0, func(k *click.APIKey) { k.ExpiresAt = now.Add(-time.Second) })
	revoked, _ := s.key(t, click.RoleAdmin, 0, func(k *click.APIKey) { k.RevokedAt = now.Add(-time.Second) })
	unknown, _, err := newKey(click.RoleAdmin, 0, "", now)
	if err != nil {
		t.Fatal(err)
	}
	s.keys = map[string]string{
		"the operator": testAdminKey, "an admin": admin, "a publisher": publisher, "the owner": owner, "a foreign advertiser": foreign,
		"an expired key": expired, "a revoked key": revoked, "an unknown key": unknown, "another secret": admin[:len(admin)-4] + "AAAA",
		"nonsense": "nonsense", "no key": "",
	}
	s.begun = len(s.store.trail.begun)
	return s
}

// key puts a key into the store.
func (s *scene) key(t *testing.T, role click.Role, advertiserID int64, change func(*click.APIKey)) (string, int64) {
	t.Helper()
	shown, key, err := newKey(role, advertiserID, "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&key)
	}
	if err := s.store.InsertAPIKey(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	return shown, key.ID
}

// state is all that a call could change.
func (s *scene) state() string {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return fmt.Sprint(s.store.ads, s.store.advertisers, s.store.keys, s.store.actions, s.letters.replayed, len(s.stream.produced()))
}

// call posts JSON as curl would and returns the code of the answer, of a stream
// the first thing that comes.
func (s *scene) call(t *testing.T, name, key string, in proto.Message, stream bool) string {
	t.Helper()
	body, err := protojson.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	kind := "application/json"
	if stream {
		kind = "application/connect+json"
		body = slices.Concat(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/clickledger.v1."+name, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", kind)
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if stream && answer.StatusCode == http.StatusOK {
		return firstOf(t, answer.Body)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode == http.StatusOK {
		return yes
	}
	return codeIn(t, text)
}

// firstOf is what the first message of a stream says: an end with an error, or
// that it goes well.
func firstOf(t *testing.T, stream io.Reader) string {
	t.Helper()
	const endOfStream = 2
	var head [5]byte
	if _, err := io.ReadFull(stream, head[:]); err != nil {
		t.Fatal(err)
	}
	if head[0]&endOfStream == 0 {
		return yes
	}
	text := make([]byte, binary.BigEndian.Uint32(head[1:]))
	if _, err := io.ReadFull(stream, text); err != nil {
		t.Fatal(err)
	}
	var end struct{ Error json.RawMessage }
	if err := json.Unmarshal(text, &end); err != nil {
		t.Fatal(err)
	}
	if len(end.Error) == 0 {
		return yes
	}
	return codeIn(t, end.Error)
}

func codeIn(t *testing.T, text []byte) string {
	t.Helper()
	var fault struct{ Code, Message string }
	if err := json.Unmarshal(text, &fault); err != nil || fault.Code == "" || strings.TrimSpace(fault.Message) == "" {
		t.Fatalf("answered %.200q, %v", text, err)
	}
	return fault.Code
}
