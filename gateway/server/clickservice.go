package server

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// clickService answers ClickService: for apps that redirect by themselves. The
// token is the permission.
type clickService struct {
	recorder *Recorder
	metrics  *Metrics
	outages  outages
}

// RecordClick is /click without the redirect.
func (s *clickService) RecordClick(ctx context.Context, in *v1.RecordClickRequest) (*v1.RecordClickResponse, error) {
	began := time.Now()
	done, err := s.recorder.record(ctx, in.GetToken(), false)
	s.outages.saw(done.verdict, err)
	if err != nil && done.verdict != click.NotRecorded {
		answer := refusalOf(err)
		s.metrics.refused(answer.reason)
		return nil, s.refusal(err, answer.sentence)
	}
	s.metrics.clicked(done.verdict, time.Since(began))
	return &v1.RecordClickResponse{
		LandingUrl: done.ad.ad.LandingURL,
		Verdict:    verdictToProto(done.verdict),
		ClickedAt:  timeToProto(done.clickedAt),
	}, nil
}

func (s *clickService) refusal(err error, sentence string) error {
	switch {
	case errors.Is(err, click.ErrTokenShape):
		return invalid(sentence)
	case errors.Is(err, click.ErrTokenSignature), errors.Is(err, click.ErrTokenFuture):
		return connect.NewError(connect.CodePermissionDenied, errors.New(sentence))
	case errors.Is(err, click.ErrNotFound):
		return notFound(errNoSuchAd)
	case errors.Is(err, click.ErrUnavailable):
		return unavailable(sentence)
	default:
		return err
	}
}
