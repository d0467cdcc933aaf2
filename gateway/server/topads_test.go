package server

import (
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

func TestTopAdsAreAnsweredInTheStoresOrder(t *testing.T) {
	service, store, _ := reports(t)
	var asked FiguresQuery
	store.figures = func(q FiguresQuery) Figures {
		asked = q
		return Figures{Sealed: []Figure{{AdID: 2, Clicks: 9}, {AdID: 1, Clicks: 4}}}
	}
	in := &v1.TopAdsRequest{AdvertiserId: 7, StartTime: timestamppb.New(at(t, "2026-11-23T10:00:00Z")), EndTime: timestamppb.New(at(t, "2026-11-23T12:00:00Z"))}
	got, err := service.TopAds(asAdvertiser(t, 7), in)
	if err != nil || len(got.GetAds()) != 2 || got.GetAds()[0].GetAdId() != 2 || got.GetAds()[0].GetClicks() != 9 || !got.GetSealedThrough().AsTime().Equal(store.sealed) {
		t.Errorf("got %v, %v", got, err)
	}
	if asked.FiguresMax != topAdsDefault || !asked.SealedThrough.Equal(store.sealed) || asked.To.Sub(asked.From) != 2*time.Hour {
		t.Errorf("asked %+v", asked)
	}
	in.Limit = 1
	if got, err := service.TopAds(asAdmin(t), in); err != nil || len(got.GetAds()) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestTopAdsOfAnotherAdvertiserTellNothing(t *testing.T) {
	service, store, now := reports(t)
	store.advertisers[8] = click.Advertiser{ID: 8}
	in := &v1.TopAdsRequest{AdvertiserId: 8, StartTime: timestamppb.New(now.Add(-time.Hour)), EndTime: timestamppb.New(now)}
	if _, err := service.TopAds(asAdvertiser(t, 7), in); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("got %v", err)
	}
	in.AdvertiserId = 99
	if _, err := service.TopAds(asAdmin(t), in); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("got %v", err)
	}
	in.StartTime = in.GetEndTime()
	if _, err := service.TopAds(asAdmin(t), in); connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "before end_time") {
		t.Errorf("got %v", err)
	}
}
