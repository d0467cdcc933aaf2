package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	v1 "clickledger/proto/gen/clickledger/v1"
	api "clickledger/tests/client"
)

// A question arrives as any client's does, its answer is not looked into, and a
// refusal is told.
func TestReceiveOnlyLeavesAnswersUnread(t *testing.T) {
	refuse, answer := false, "neither gzip nor protobuf"
	asked := new(v1.QueryClicksRequest)
	mux := http.NewServeMux()
	mux.HandleFunc("/clickledger.v1.ReportService/QueryClicks", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err := errors.Join(err, proto.Unmarshal(body, asked)); err != nil {
			t.Error(err)
		}
		if refuse {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"code":"resource_exhausted","message":"too many"}`))
			return
		}
		w.Header().Set("Content-Type", "application/proto")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write([]byte(answer))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	receiver := api.New(server.URL, "key", receiveOnly()...)
	if _, err := receiver.Reports.QueryClicks(t.Context(), &v1.QueryClicksRequest{AdvertiserId: 7}); err != nil {
		t.Error(err)
	}
	if asked.GetAdvertiserId() != 7 {
		t.Errorf("asked %v", asked)
	}
	answer = ""
	if _, err := receiver.Reports.QueryClicks(t.Context(), &v1.QueryClicksRequest{}); err == nil {
		t.Error("no answer passes for one")
	}
	refuse = true
	if _, err := receiver.Reports.QueryClicks(t.Context(), &v1.QueryClicksRequest{}); connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("a refusal is told as %v", err)
	}
}
