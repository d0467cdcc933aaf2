package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/config"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// watchFor is long enough for whatever is to come on a busy machine.
const watchFor = 30 * time.Second

// watch begins to watch an advertiser's sum, and reads the snapshot.
func watch(t *testing.T, api client, advertiserID int64) *connect.ServerStreamForClient[v1.WatchClicksResponse] {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), watchFor)
	t.Cleanup(cancel)
	stream, err := api.WatchClicks(ctx, &v1.WatchClicksRequest{AdvertiserId: advertiserID})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stream.Close() })
	if !stream.Receive() {
		t.Fatalf("no snapshot: %v", stream.Err())
	}
	if got := stream.Msg(); !got.GetSnapshot() || len(got.GetPoints()) < 15 || got.GetResumeToken() == "" {
		t.Fatalf("began with %v", got)
	}
	return stream
}

// clicked makes the store have clicks of this minute.
func (g *gateway) clicked(advertiserID int64, clicks uint64) {
	g.store.change(func(m *memoryLive) {
		m.fresh = []LiveFigure{{advertiserID, 0, time.Now().Truncate(time.Minute), clicks}, {advertiserID, 0, time.Now().Truncate(time.Minute).Add(-time.Minute), clicks}}
	})
}

func wantClicks(t *testing.T, stream *connect.ServerStreamForClient[v1.WatchClicksResponse], want int64) {
	t.Helper()
	for stream.Receive() {
		for _, p := range stream.Msg().GetPoints() {
			if p.GetClicks() == want {
				return
			}
		}
	}
	t.Errorf("never told of %d clicks: %v", want, stream.Err())
}

func TestWatchingSpeaksEveryProtocol(t *testing.T) {
	g := newGateway(t)
	id, key, _ := g.advertiser(t)
	for name, api := range map[string]client{
		"Connect":             g.as(key),
		"Connect in JSON":     g.over(http.DefaultClient, key, connect.WithProtoJSON()),
		"Connect over HTTP/2": g.over(http2(t), key),
		"gRPC":                g.over(http2(t), key, connect.WithGRPC()),
		"gRPC-Web":            g.over(http.DefaultClient, key, connect.WithGRPCWeb()),
	} {
		t.Run(name, func(t *testing.T) {
			g.clicked(id, 0)
			stream := watch(t, api, id)
			g.clicked(id, 3)
			wantClicks(t, stream, 3)
		})
	}
}

func TestOnlyWhoMayAskMayWatch(t *testing.T) {
	g := newGateway(t)
	id, key, ad := g.advertiser(t)
	foreign, foreignKey, _ := g.advertiser(t)
	publisher, err := g.as(testAdminKey).CreateApiKey(t.Context(), &v1.CreateApiKeyRequest{Role: v1.Role_ROLE_PUBLISHER})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, key string
		in        *v1.WatchClicksRequest
		want      connect.Code
	}{
		{"without a key", "", &v1.WatchClicksRequest{AdvertiserId: id}, connect.CodeUnauthenticated},
		{"with a wrong key", "clk_1_" + strings.Repeat("a", 43), &v1.WatchClicksRequest{AdvertiserId: id}, connect.CodeUnauthenticated},
		{"another advertiser", key, &v1.WatchClicksRequest{AdvertiserId: foreign}, connect.CodePermissionDenied},
		{"another's ad", foreignKey, &v1.WatchClicksRequest{AdvertiserId: foreign, AdIds: []int64{ad.GetAdId()}}, connect.CodeNotFound},
		{"as a publisher", publisher.GetApiKey(), &v1.WatchClicksRequest{AdvertiserId: id}, connect.CodePermissionDenied},
		{"nobody", testAdminKey, &v1.WatchClicksRequest{AdvertiserId: 99}, connect.CodeNotFound},
		{"no advertiser", testAdminKey, &v1.WatchClicksRequest{}, connect.CodeInvalidArgument},
		{"an ad twice", key, &v1.WatchClicksRequest{AdvertiserId: id, AdIds: []int64{ad.GetAdId(), ad.GetAdId()}}, connect.CodeInvalidArgument},
	} {
		stream, err := g.as(test.key).WatchClicks(t.Context(), test.in)
		if err == nil {
			if stream.Receive() {
				t.Errorf("%s: told %v", test.name, stream.Msg())
			}
			err = stream.Err()
			_ = stream.Close()
		}
		wantCode(t, test.name, err, test.want)
	}
	if strings.Contains(g.logs.String(), key) {
		t.Error("a key is in the log")
	}
}

func TestWatchingEndsWithTheKey(t *testing.T) {
	g := newGateway(t)
	id, key, _ := g.advertiser(t)
	stream := watch(t, g.as(key), id)
	keys, err := g.as(key).ListApiKeys(t.Context(), &v1.ListApiKeysRequest{AdvertiserId: id})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.as(testAdminKey).RevokeApiKey(t.Context(), &v1.RevokeApiKeyRequest{KeyId: keys.GetApiKeys()[0].GetKeyId()}); err != nil {
		t.Fatal(err)
	}
	for stream.Receive() {
	}
	wantCode(t, "a revoked key", stream.Err(), connect.CodeUnauthenticated)
}

// The server's own deadlines are for calls that end soon.
func TestAStreamOutlivesTheTimeoutsOfTheServer(t *testing.T) {
	g := newGatewayWith(t, func(*config.Config) {}, func(s *http.Server) {
		s.ReadTimeout, s.WriteTimeout, s.IdleTimeout = 500*time.Millisecond, 500*time.Millisecond, 500*time.Millisecond
	})
	g.server.watches.sendTimeout = 500 * time.Millisecond // which is for an answer, not for the silence behind it
	id, key, _ := g.advertiser(t)
	for name, over := range map[string]*http.Client{"HTTP/1.1": http.DefaultClient, "HTTP/2": http2(t)} {
		t.Run(name, func(t *testing.T) {
			g.clicked(id, 0)
			stream := watch(t, g.over(over, key), id)
			timer := time.NewTimer(3 * time.Second) // it is time itself that is tested
			defer timer.Stop()
			<-timer.C
			g.clicked(id, 4)
			wantClicks(t, stream, 4)
		})
	}
}

func TestAStoppingServerEndsStreamsWithAWord(t *testing.T) {
	g := newGateway(t)
	id, key, _ := g.advertiser(t)
	for _, api := range []client{g.as(key), g.over(http2(t), key, connect.WithGRPC())} {
		stream := watch(t, api, id)
		defer func() {
			for stream.Receive() {
			}
			wantCode(t, "at the end", stream.Err(), connect.CodeUnavailable)
			if !strings.Contains(stream.Err().Error(), "this gateway stops") {
				t.Errorf("ended with %v", stream.Err())
			}
		}()
	}
	ctx, cancel := context.WithTimeout(t.Context(), watchFor)
	defer cancel()
	if err := g.server.Shutdown(ctx); err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func TestSilentStreamsGiveSignsOfLifeAndLookAtTheirKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watcher{out: make(chan *v1.WatchClicksResponse, 1), ended: make(chan struct{})}
		w.out <- &v1.WatchClicksResponse{Points: []*v1.Point{{Clicks: 1}}, ResumeToken: "token", Snapshot: true}
		expired, began := errors.New("expired"), time.Now()
		ctx := context.WithValue(t.Context(), callKey{}, &call{again: func() error {
			if time.Since(began) > time.Minute {
				return expired
			}
			return nil
		}})
		var sent []*v1.WatchClicksResponse
		err := deliver(ctx, w, func(message *v1.WatchClicksResponse) error {
			sent = append(sent, message)
			return nil
		})
		if !errors.Is(err, expired) || time.Since(began) > time.Minute+2*watchKeyInterval {
			t.Errorf("ended after %v with %v", time.Since(began), err)
		}
		if len(sent) < 6 || len(sent) > 7 {
			t.Fatalf("sent %d times in a minute", len(sent))
		}
		if last := sent[5]; len(last.GetPoints()) > 0 || last.GetSnapshot() || last.GetResumeToken() != "token" {
			t.Errorf("a sign of life is %v", last)
		}
	})
}

// Whoever does not even take bytes is cut off, and the hub has nothing to wait for.
func TestALineThatTakesNothingEndsTheStream(t *testing.T) {
	w := &watcher{out: make(chan *v1.WatchClicksResponse, 1), ended: make(chan struct{})}
	w.out <- &v1.WatchClicksResponse{}
	err := deliver(t.Context(), w, func(*v1.WatchClicksResponse) error { return errors.New("i/o timeout") })
	wantCode(t, "a line that takes nothing", err, connect.CodeResourceExhausted)
}

func TestWhatCannotBeWatchedIsRefusedInWords(t *testing.T) {
	now := at(t, "2026-11-23T12:00:30Z")
	start := func(ago time.Duration) *timestamppb.Timestamp {
		return timestamppb.New(now.Truncate(time.Minute).Add(-ago))
	}
	many := make([]int64, 1000)
	for _, test := range []struct {
		in   *v1.WatchClicksRequest
		want string
	}{
		{&v1.WatchClicksRequest{Granularity: v1.Granularity_GRANULARITY_WEEK}, "MINUTE, HOUR or DAY"},
		{&v1.WatchClicksRequest{TimeZone: "Mars/Base"}, "IANA name"},
		{&v1.WatchClicksRequest{StartTime: timestamppb.New(now)}, "whole minute"},
		{&v1.WatchClicksRequest{StartTime: start(-time.Hour)}, "ahead"},
		{&v1.WatchClicksRequest{StartTime: start(49 * time.Hour)}, "more than 48 hours ago"},
		{&v1.WatchClicksRequest{StartTime: start(0), ResumeToken: "a-b"}, "exclude each other"},
		{&v1.WatchClicksRequest{ResumeToken: "!"}, "not one that was given out here"},
		{&v1.WatchClicksRequest{ResumeToken: "1-f"}, "too old"},
		{&v1.WatchClicksRequest{AdIds: many, StartTime: start(time.Hour)}, "name fewer ads"},
	} {
		if _, err := readWatch(test.in, now); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v", test.in, err)
		}
	}
}

func TestWatchingBeginsAtThePointOfAQuarterOfAnHourAgo(t *testing.T) {
	for _, test := range []struct {
		now, zone   string
		granularity v1.Granularity
		want        string
	}{
		{"2026-11-23T12:00:30Z", "", v1.Granularity_GRANULARITY_UNSPECIFIED, "2026-11-23T11:45:00Z"},
		{"2026-11-23T12:00:30Z", "", v1.Granularity_GRANULARITY_HOUR, "2026-11-23T11:00:00Z"},
		{"2026-11-23T12:00:30Z", "Asia/Kathmandu", v1.Granularity_GRANULARITY_HOUR, "2026-11-23T11:15:00Z"},
		{"2026-11-23T12:00:30Z", "Europe/Berlin", v1.Granularity_GRANULARITY_DAY, "2026-11-22T23:00:00Z"},
		{"2026-10-25T22:59:00Z", "Europe/Berlin", v1.Granularity_GRANULARITY_DAY, "2026-10-24T22:00:00Z"}, // 25 hours long
		{"2026-11-22T23:10:00Z", "Europe/Berlin", v1.Granularity_GRANULARITY_DAY, "2026-11-21T23:00:00Z"},
	} {
		asked, err := readWatch(&v1.WatchClicksRequest{Granularity: test.granularity, TimeZone: test.zone}, at(t, test.now))
		if err != nil || !asked.from.Equal(at(t, test.want)) {
			t.Errorf("%+v: from %v, %v", test, asked.from, err)
		}
	}
}
