package server

import (
	"strings"
	"testing"

	v1 "clickledger/proto/gen/clickledger/v1"
)

func TestJSONWritesZeros(t *testing.T) {
	text, err := jsonCodec{"json"}.Marshal(&v1.QueryClicksResponse{Points: []*v1.Point{{State: v1.State_STATE_FINAL}}})
	if err != nil {
		t.Fatal(err)
	}
	plain := strings.ReplaceAll(string(text), " ", "")
	for _, want := range []string{`"clicks":"0"`, `"totalClicks":"0"`, `"state":"STATE_FINAL"`} {
		if !strings.Contains(plain, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	for _, absent := range []string{`"filtered"`, "totalFiltered", "adId"} { // not known is not zero
		if strings.Contains(plain, absent) {
			t.Errorf("%s is in %s", absent, text)
		}
	}
}

func TestJSONRefusesWhatItDoesNotKnowAndNonsense(t *testing.T) {
	var in v1.QueryClicksRequest
	if err := (jsonCodec{"json"}).Unmarshal([]byte(`{"advertiserId": "7", "ad_ids": ["1"], "granularity": "GRANULARITY_DAY"}`), &in); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"", "{", `{"advertiserId": "many"}`, "[]",
		`{"advertiserId": "7", "ad_id": "1"}`, `{"advertiserId": "7", "granularity": "DAY"}`,
	} {
		if err := (jsonCodec{"json"}).Unmarshal([]byte(text), &in); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}
