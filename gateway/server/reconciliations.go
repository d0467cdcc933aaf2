package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// reconciliationRecord is what reconciliations found and did.
type reconciliationRecord interface {
	Reconciled(ctx context.Context) (click.Reconciled, error)
	Reconciliations(ctx context.Context, q click.ReconciliationsQuery) ([]click.ToldReconciliation, error)
	Discrepancies(ctx context.Context, q click.DiscrepanciesQuery) ([]click.FoundDiscrepancy, error)
}

var errNoSuchPage = errors.New("page_token is not one that was given out here")

// keyToken and parseKeyToken are a page token that names the last thing of a
// page by its key.

func keyToken[Key any](last Key) (string, error) {
	text, err := json.Marshal(last)
	if err != nil {
		return "", internalError{err}
	}
	return base64.RawURLEncoding.EncodeToString(text), nil
}

func parseKeyToken[Key any](token string, valid func(*Key) bool) (*Key, error) {
	if token == "" {
		return nil, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return nil, invalid(errNoSuchPage.Error())
	}
	var key Key
	if err := json.Unmarshal(text, &key); err != nil || !valid(&key) {
		return nil, invalid(errNoSuchPage.Error())
	}
	return &key, nil
}

// timeRange is what a list is restricted to; zero times do not restrict it.
func timeRange(start, end *timestamppb.Timestamp) (from, to time.Time, err error) {
	if from, err = bound("start_time", start); err != nil {
		return from, to, err
	}
	if to, err = bound("end_time", end); err != nil {
		return from, to, err
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return from, to, invalid("end_time must be after start_time")
	}
	return from, to, nil
}

// The store's times are from 1970 on and end in 2106.

func bound(name string, at *timestamppb.Timestamp) (time.Time, error) {
	if at == nil {
		return time.Time{}, nil
	}
	t := at.AsTime()
	if !at.IsValid() || t.Before(time.Unix(0, 0)) || t.Year() > 2105 {
		return time.Time{}, invalidf("%s must be from 1970 to 2105", name)
	}
	return t, nil
}

// ListReconciliations reads one page, the newest first.
func (s *operationsService) ListReconciliations(ctx context.Context, in *v1.ListReconciliationsRequest) (*v1.ListReconciliationsResponse, error) {
	if err := requireAdmin(ctx); err != nil {
		return nil, err
	}
	query := click.ReconciliationsQuery{State: reconciliationStateFromProto(in.GetState())}
	var err error
	if query.From, query.To, err = timeRange(in.GetStartTime(), in.GetEndTime()); err != nil {
		return nil, err
	}
	query.After, err = parseKeyToken(in.GetPageToken(), func(k *click.ReconciliationKey) bool {
		return k.Run != "" && k.State != "" && k.At.Year() >= 1970 && k.At.Year() <= 2105
	})
	if err != nil {
		return nil, err
	}
	size := pageSize(in.GetPageSize())
	query.Limit = size + 1
	list, err := s.record.Reconciliations(ctx, query)
	if err != nil {
		return nil, err
	}
	out := &v1.ListReconciliationsResponse{}
	if len(list) > size {
		list = list[:size]
		last := &list[size-1]
		if out.NextPageToken, err = keyToken(click.ReconciliationKey{At: last.At, Run: last.Run, State: last.State}); err != nil {
			return nil, err
		}
	}
	for i := range list {
		out.Reconciliations = append(out.Reconciliations, reconciliationToProto(&list[i]))
	}
	return out, nil
}

// ListDiscrepancies reads one page, by minute, advertiser and ad.
func (s *operationsService) ListDiscrepancies(ctx context.Context, in *v1.ListDiscrepanciesRequest) (*v1.ListDiscrepanciesResponse, error) {
	if err := requireAdmin(ctx); err != nil {
		return nil, err
	}
	query := click.DiscrepanciesQuery{AdvertiserID: in.GetAdvertiserId(), AdID: in.GetAdId(), Run: in.GetRunId()}
	var err error
	if query.From, query.To, err = timeRange(in.GetStartTime(), in.GetEndTime()); err != nil {
		return nil, err
	}
	query.After, err = parseKeyToken(in.GetPageToken(), func(k *click.DiscrepancyKey) bool {
		return k.Run != "" && k.Pass > 0 && k.Pass <= 255 && k.Minute.Start().Year() >= 1970 && k.Minute.Start().Year() <= 2105
	})
	if err != nil {
		return nil, err
	}
	size := pageSize(in.GetPageSize())
	query.Limit = size + 1
	list, err := s.record.Discrepancies(ctx, query)
	if err != nil {
		return nil, err
	}
	out := &v1.ListDiscrepanciesResponse{}
	if len(list) > size {
		list = list[:size]
		if out.NextPageToken, err = keyToken(list[size-1].Key()); err != nil {
			return nil, err
		}
	}
	for i := range list {
		out.Discrepancies = append(out.Discrepancies, discrepancyToProto(&list[i]))
	}
	return out, nil
}

// reconciled tells up to where lake and store agree, and what is to be seen to.
// Without ClickHouse its ping tells of it; without the lake the archive's part.
func (s *operationsService) reconciled(ctx context.Context, out *v1.GetStatusResponse, lake func() (click.ArchiveState, error), report func(part, sentence string)) {
	reconciled, err := s.record.Reconciled(ctx)
	if err != nil || reconciled.Start() == (click.Window{}) {
		return
	}
	out.ReconciledThrough = timeToProto(reconciled.Through())
	state, _ := lake() // what is not known is no lake
	if alarm := reconciled.Alarm(s.now(), !state.Through.IsZero()); alarm != "" {
		report("reconcile", alarm)
	}
}

func reconciliationToProto(r *click.ToldReconciliation) *v1.Reconciliation {
	out := &v1.Reconciliation{
		RunId: r.Run, StartTime: timeToProto(r.From.Start()), EndTime: timeToProto(r.To.Start()),
		State: reconciliationStateToProto(r.State), Reason: r.Reason, DryRun: r.DryRun, Before: comparisonToProto(&r.Before),
		Inserted: int64(r.Inserted), Deleted: int64(r.Deleted), Restated: int64(r.Restated), Lost: int64(r.Snapshot.Lost),
		TellTime: timeToProto(r.At), Report: click.ReconciliationPath(r.From, r.Run),
	}
	if r.After != nil {
		out.After = comparisonToProto(r.After)
	}
	return out
}

func comparisonToProto(c *click.Comparison) *v1.Comparison {
	out := &v1.Comparison{
		Lake: int64(c.Lake), Store: int64(c.Store), Figures: int64(c.Figures), Missing: int64(c.Missing), Surplus: int64(c.Surplus),
		Places: int64(c.Places), WrongFigures: int64(c.WrongFigures),
	}
	for _, m := range c.Minutes {
		out.Minutes = append(out.Minutes, &v1.MinuteDelta{
			Minute: timeToProto(m.Minute.Start()), Lake: int64(m.Lake), Store: int64(m.Store), Figures: int64(m.Figures),
			Missing: int64(m.Missing), Surplus: int64(m.Surplus),
		})
	}
	return out
}

func discrepancyToProto(d *click.FoundDiscrepancy) *v1.Discrepancy {
	return &v1.Discrepancy{
		AdvertiserId: d.AdvertiserID, AdId: d.AdID, Minute: timeToProto(d.Minute.Start()),
		Lake: int64(d.Lake), Store: int64(d.Store), Figure: int64(d.Figure), Missing: int64(d.Missing), Surplus: int64(d.Surplus),
		MissingSamples: d.MissingSamples, SurplusSamples: d.SurplusSamples, RunId: d.Run, Pass: int32(d.Pass), FindTime: timeToProto(d.At),
	}
}

func reconciliationStateToProto(s click.ReconciliationState) v1.ReconciliationState {
	switch s {
	case click.ReconciledClean:
		return v1.ReconciliationState_RECONCILIATION_STATE_CLEAN
	case click.ReconciledRepaired:
		return v1.ReconciliationState_RECONCILIATION_STATE_REPAIRED
	case click.ReconciledDiffers:
		return v1.ReconciliationState_RECONCILIATION_STATE_DIFFERS
	case click.ReconciledRefused:
		return v1.ReconciliationState_RECONCILIATION_STATE_REFUSED
	default:
		return v1.ReconciliationState_RECONCILIATION_STATE_UNSPECIFIED
	}
}

// reconciliationStateFromProto is "" for UNSPECIFIED, which restricts nothing.
func reconciliationStateFromProto(s v1.ReconciliationState) click.ReconciliationState {
	switch s {
	case v1.ReconciliationState_RECONCILIATION_STATE_CLEAN:
		return click.ReconciledClean
	case v1.ReconciliationState_RECONCILIATION_STATE_REPAIRED:
		return click.ReconciledRepaired
	case v1.ReconciliationState_RECONCILIATION_STATE_DIFFERS:
		return click.ReconciledDiffers
	case v1.ReconciliationState_RECONCILIATION_STATE_REFUSED:
		return click.ReconciledRefused
	case v1.ReconciliationState_RECONCILIATION_STATE_UNSPECIFIED:
		return ""
	default:
		return ""
	}
}
