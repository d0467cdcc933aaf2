package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	// ClickedAtHeader is in an answer exactly when the click is durable; it is
	// the event time that counts.
	ClickedAtHeader = "Clickledger-Clicked-At"

	clickedAtLayout = "2006-01-02T15:04:05.000Z"
	answerBytesMax  = 1 << 16
)

// Answer is what a person's browser got for a click.
type Answer struct {
	Status    int
	Location  string
	ClickedAt time.Time // zero: not recorded
	Body      string
	Header    http.Header
}

// Recorded reports whether the click was acknowledged as durable.
func (a Answer) Recorded() bool { return !a.ClickedAt.IsZero() }

// Click follows GET /click?t=token at the gateway at base. An error means no
// answer came: whether the click was recorded is not known.
func Click(ctx context.Context, c *http.Client, base, token string) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/click?t="+url.QueryEscape(token), nil)
	if err != nil {
		return Answer{}, fmt.Errorf("make click: %w", err)
	}
	return Do(c, request)
}

// Do sends any request and reads its answer as a click's.
func Do(c *http.Client, request *http.Request) (Answer, error) {
	response, err := c.Do(request)
	if err != nil {
		return Answer{}, fmt.Errorf("send click: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerBytesMax))
	if err != nil {
		return Answer{}, fmt.Errorf("read answer to click: %w", err)
	}
	answer := Answer{
		Status:   response.StatusCode,
		Location: response.Header.Get("Location"),
		Body:     string(body),
		Header:   response.Header,
	}
	if text := response.Header.Get(ClickedAtHeader); text != "" {
		if answer.ClickedAt, err = time.Parse(clickedAtLayout, text); err != nil {
			return answer, fmt.Errorf("read %s: %w", ClickedAtHeader, err)
		}
	}
	return answer, nil
}
