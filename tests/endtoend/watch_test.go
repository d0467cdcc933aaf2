package endtoend

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	"clickledger/internal/kafka"
	v1 "clickledger/proto/gen/clickledger/v1"
	"clickledger/tests/client"
	"clickledger/tests/fleet"
	"clickledger/tests/oracle"
	"clickledger/tests/traffic"
)

const (
	// toldTimeout is how long a click, or a seal, may take to be told, generously.
	toldTimeout = time.Minute
	sealTimeout = 4 * time.Minute
)

// told is a point that somebody who watches was told of.
type told struct {
	minute time.Time
	adID   int64
	clicks int64
	state  v1.State
}

// watching is what a watcher is told, one after the other; its error is the last.
type watching struct {
	points chan told
	err    chan error
}

// tell hands out what a stream's next answers have, as read does.
func tell(read func() (*v1.WatchClicksResponse, error)) watching {
	w := watching{points: make(chan told, 10_000), err: make(chan error, 1)}
	go func() {
		for {
			answer, err := read()
			if err != nil {
				w.err <- err
				return
			}
			for _, p := range answer.GetPoints() {
				w.points <- told{p.GetStartTime().AsTime(), p.GetAdId(), p.GetClicks(), p.GetState()}
			}
		}
	}()
	return w
}

// wait is until a point like that is told, or a later state of it.
func (w watching) wait(t *testing.T, timeout time.Duration, what string, right func(told) bool) told {
	t.Helper()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		select {
		case p := <-w.points:
			if right(p) {
				return p
			}
		case err := <-w.err:
			w.err <- err
			t.Fatalf("%s was not told: the stream ended: %v", what, err)
		case <-timer.C:
			t.Fatalf("%s was not told within %v", what, timeout)
		}
	}
}

// watchByGRPC watches an advertiser's ads each, as a gRPC client does.
func watchByGRPC(t *testing.T, f *fleet.Fleet, advertiser *client.Advertiser) watching {
	t.Helper()
	streaming := client.NewHTTP2()
	streaming.Timeout = 0
	stream, err := client.NewWith(streaming, f.URL, advertiser.Key, connect.WithGRPC()).Reports.WatchClicks(t.Context(),
		&v1.WatchClicksRequest{AdvertiserId: advertiser.ID, GroupByAd: true})
	if err != nil {
		t.Fatal(err)
	}
	return tell(func() (*v1.WatchClicksResponse, error) {
		if stream.Receive() {
			return stream.Msg(), nil
		}
		return nil, stream.Err()
	})
}

// watchByHand watches an advertiser's sum as curl does: over HTTP/1.1, in JSON,
// each message behind five bytes: flags and length.
func watchByHand(t *testing.T, f *fleet.Fleet, advertiser *client.Advertiser) watching {
	t.Helper()
	body := fmt.Sprintf(`{"advertiser_id":"%d"}`, advertiser.ID)
	envelope := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body)))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.URL+"/clickledger.v1.ReportService/WatchClicks",
		bytes.NewReader(append(envelope, body...)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/connect+json")
	request.Header.Set("Authorization", "Bearer "+advertiser.Key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return tell(func() (*v1.WatchClicksResponse, error) {
		var head [5]byte
		if _, err := io.ReadFull(response.Body, head[:]); err != nil {
			return nil, err
		}
		text := make([]byte, binary.BigEndian.Uint32(head[1:]))
		if _, err := io.ReadFull(response.Body, text); err != nil {
			return nil, err
		}
		if head[0] != 0 {
			return nil, fmt.Errorf("ended with %s", text)
		}
		var answer struct {
			Points []struct {
				StartTime time.Time
				Clicks    string
				State     string
			}
		}
		if err := json.Unmarshal(text, &answer); err != nil {
			return nil, err
		}
		out := &v1.WatchClicksResponse{}
		for _, p := range answer.Points {
			clicks, err := strconv.ParseInt(p.Clicks, 10, 64)
			if err != nil {
				return nil, err
			}
			out.Points = append(out.Points, &v1.Point{StartTime: timestamppb.New(p.StartTime), Clicks: clicks, State: v1.State(v1.State_value[p.State])})
		}
		return out, nil
	})
}

// Whoever watches is told of a click, of its minute's seal, and of the late
// click that restates it; the same is then exported. A gateway that stops says so.
func TestClicksAreToldToWhoWatches(t *testing.T) {
	t.Parallel()
	f := fleet.Start(t, programs, nil)
	var clicked oracle.Oracle
	advertiser, err := f.Admin.NewAdvertiser(t.Context(), "Advertiser", 2)
	if err != nil {
		t.Fatal(err)
	}
	ad := advertiser.Ads[0].GetAdId()
	byAd, sum := watchByGRPC(t, f, advertiser), watchByHand(t, f, advertiser)
	sum.wait(t, toldTimeout, "the snapshot", func(told) bool { return true })

	clicker := traffic.NewClicker(f.URL, &clicked)
	const impressions = 5
	issued, err := traffic.Issue(t.Context(), f.Admin, ad, impressions)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[time.Time]int64{}
	var minute time.Time
	for _, impression := range issued {
		answer, err := clicker.Click(t.Context(), impression)
		if err != nil || !answer.Recorded() {
			t.Fatalf("answered %+v, %v", answer, err)
		}
		clicker.Tell(impression)
		minute = answer.ClickedAt.Truncate(time.Minute)
		counts[minute]++
		grown := func(p told) bool { return p.minute.Equal(minute) && p.clicks == counts[minute] }
		byAd.wait(t, toldTimeout, "a click", func(p told) bool { return grown(p) && p.adID == ad })
		t.Logf("told %v after the click", time.Since(answer.ClickedAt).Round(time.Millisecond))
		sum.wait(t, toldTimeout, "a click", grown)
	}
	final := func(p told) bool {
		return p.minute.Equal(minute) && p.clicks == counts[minute] && p.state == v1.State_STATE_FINAL
	}
	byAd.wait(t, sealTimeout, "the seal", final)
	sum.wait(t, toldTimeout, "the seal", final)

	clickLate(t, f, advertiser, ad, minute)
	clicked.Add(ad, true, minute)
	counts[minute]++
	restated := func(p told) bool {
		return p.minute.Equal(minute) && p.clicks == counts[minute] && p.state == v1.State_STATE_RESTATED
	}
	byAd.wait(t, sealTimeout, "the restatement", restated)
	sum.wait(t, toldTimeout, "the restatement", restated)
	f.Compare(t, &clicked, advertiser)
	expectExported(t, f, advertiser, ad, counts)

	if err := f.Gateway.Stop(); err != nil {
		t.Error(err)
	}
	for {
		select {
		case <-byAd.points:
			continue
		case err := <-byAd.err:
			if connect.CodeOf(err) != connect.CodeUnavailable {
				t.Errorf("a gateway that stops ended the stream with %v", err)
			}
		case <-time.After(toldTimeout):
			t.Error("a gateway stopped and the stream did not end")
		}
		return
	}
}

// clickLate puts a click into the stream that a gateway had kept until now.
func clickLate(t *testing.T, f *fleet.Fleet, advertiser *client.Advertiser, adID int64, minute time.Time) {
	t.Helper()
	producer, err := kafka.NewProducer(f.Config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := producer.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	impression, err := click.NewImpressionID(minute.Add(-time.Minute), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	late := click.Click{AdID: adID, AdvertiserID: advertiser.ID, Impression: impression, ClickedAt: minute, Arrival: click.NewArrivalID(4711, 1)}
	for _, err := range producer.ProduceAll(t.Context(), []click.Routed{{FanOut: 1, Click: late}}) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// expectExported: a CSV file has what was counted.
func expectExported(t *testing.T, f *fleet.Fleet, advertiser *client.Advertiser, adID int64, counts map[time.Time]int64) {
	t.Helper()
	from, to := time.Now(), time.Time{}
	for minute := range counts {
		if minute.Before(from) {
			from = minute
		}
		if minute.After(to) {
			to = minute
		}
	}
	parameters := url.Values{
		"advertiser_id": {strconv.FormatInt(advertiser.ID, 10)}, "group_by_ad": {"true"}, "time_zone": {"Europe/Berlin"},
		"start_time": {from.Format(time.RFC3339)}, "end_time": {to.Add(time.Minute).Format(time.RFC3339)},
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL+"/reports/clicks.csv?"+parameters.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+advertiser.Key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	rows, err := csv.NewReader(response.Body).ReadAll()
	if err != nil || response.StatusCode != http.StatusOK || len(rows) < 2 {
		t.Fatalf("%d, %v: %v", response.StatusCode, err, rows)
	}
	exported := map[time.Time]int64{}
	for _, row := range rows[1:] {
		minute, err := time.Parse(time.RFC3339, row[0])
		clicks, errClicks := strconv.ParseInt(row[2], 10, 64)
		if err != nil || errClicks != nil || row[1] != strconv.FormatInt(adID, 10) {
			t.Fatalf("row %v: %v, %v", row, err, errClicks)
		}
		if clicks > 0 {
			exported[minute.UTC()] = clicks
		}
	}
	if fmt.Sprint(exported) != fmt.Sprint(counts) {
		t.Errorf("exported %v, counted %v", exported, counts)
	}
}
