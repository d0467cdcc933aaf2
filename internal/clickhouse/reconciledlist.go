package clickhouse

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"clickledger/internal/click"
)

const microsLayout = "2006-01-02 15:04:05.000000"

// conditions are parts of a WHERE and their parameters.
type conditions struct {
	text       string
	parameters ch.Parameters
}

// and adds a condition over one parameter, written {name:Type} in it.
func (c *conditions) and(text, name, value string) {
	if c.parameters == nil {
		c.text, c.parameters = " WHERE true", ch.Parameters{}
	}
	c.text += " AND " + text
	c.parameters[name] = value
}

// Reconciliations is one page of what was told, the newest first.
func (s *Store) Reconciliations(ctx context.Context, q click.ReconciliationsQuery) ([]click.ToldReconciliation, error) {
	var where conditions
	where.and("{limit:UInt32} > 0", "limit", fmt.Sprint(q.Limit))
	if !q.From.IsZero() {
		where.and("to_minute > {from:DateTime('UTC')}", "from", q.From.UTC().Format(time.DateTime))
	}
	if !q.To.IsZero() {
		where.and("from_minute < {to:DateTime('UTC')}", "to", q.To.UTC().Format(time.DateTime))
	}
	if q.State != "" {
		where.and("state = {state:String}", "state", string(q.State))
	}
	if a := q.After; a != nil {
		where.parameters["run"], where.parameters["after_state"] = a.Run, string(a.State)
		where.and("(at, run, state) < ({at:DateTime64(6, 'UTC')}, {run:String}, {after_state:String})", "at", a.At.UTC().Format(microsLayout))
	}
	rows, err := s.conn.Query(ch.Context(ctx, ch.WithParameters(where.parameters)),
		"SELECT at, report FROM reconciliations FINAL"+where.text+" ORDER BY at DESC, run DESC, state DESC LIMIT {limit:UInt32}")
	if err != nil {
		return nil, readError("list reconciliations", err)
	}
	defer func() { _ = rows.Close() }()
	var found []click.ToldReconciliation
	for rows.Next() {
		var told click.ToldReconciliation
		var report string
		if err := rows.Scan(&told.At, &report); err != nil {
			return nil, fmt.Errorf("list reconciliations: %w", err)
		}
		if err := json.Unmarshal([]byte(report), &told.Reconciliation); err != nil {
			return nil, fmt.Errorf("list reconciliations: %w", err)
		}
		told.At = told.At.UTC()
		found = append(found, told)
	}
	if err := rows.Err(); err != nil {
		return nil, readError("list reconciliations", err)
	}
	return found, nil
}

// Discrepancies is one page of what was found, by minute, advertiser, ad, run
// and pass.
func (s *Store) Discrepancies(ctx context.Context, q click.DiscrepanciesQuery) ([]click.FoundDiscrepancy, error) {
	where := discrepancyConditions(q)
	rows, err := s.conn.Query(ch.Context(ctx, ch.WithParameters(where.parameters)), `SELECT minute, advertiser_id, ad_id, run, pass, lake, store, figure,
		missing, surplus, arrayMap(id -> toString(id), missing_samples), arrayMap(id -> toString(id), surplus_samples), found_at
		FROM discrepancies FINAL`+where.text+` ORDER BY minute, advertiser_id, ad_id, run, pass LIMIT {limit:UInt32}`)
	if err != nil {
		return nil, readError("list discrepancies", err)
	}
	defer func() { _ = rows.Close() }()
	var found []click.FoundDiscrepancy
	for rows.Next() {
		var d click.FoundDiscrepancy
		var minute time.Time
		var pass uint8
		err := rows.Scan(&minute, &d.AdvertiserID, &d.AdID, &d.Run, &pass, &d.Lake, &d.Store, &d.Figure,
			&d.Missing, &d.Surplus, &d.MissingSamples, &d.SurplusSamples, &d.At)
		if err != nil {
			return nil, fmt.Errorf("list discrepancies: %w", err)
		}
		d.Minute, d.Pass, d.At = click.WindowOf(minute), int(pass), d.At.UTC()
		found = append(found, d)
	}
	if err := rows.Err(); err != nil {
		return nil, readError("list discrepancies", err)
	}
	return found, nil
}

func discrepancyConditions(q click.DiscrepanciesQuery) conditions {
	var where conditions
	where.and("{limit:UInt32} > 0", "limit", fmt.Sprint(q.Limit))
	if !q.From.IsZero() {
		where.and("minute >= {from:DateTime('UTC')}", "from", minuteText(click.WindowOf(q.From)))
	}
	if !q.To.IsZero() {
		where.and("minute < {to:DateTime('UTC')}", "to", q.To.UTC().Format(time.DateTime))
	}
	if q.AdvertiserID != 0 {
		where.and("advertiser_id = {advertiser:Int64}", "advertiser", fmt.Sprint(q.AdvertiserID))
	}
	if q.AdID != 0 {
		where.and("ad_id = {ad:Int64}", "ad", fmt.Sprint(q.AdID))
	}
	if q.Run != "" {
		where.and("run = {run:String}", "run", q.Run)
	}
	if a := q.After; a != nil {
		// Alone it lets the primary key skip what the pages before had.
		where.and("minute >= {after_minute:DateTime('UTC')}", "after_minute", minuteText(a.Minute))
		where.parameters["after_advertiser"], where.parameters["after_ad"] = fmt.Sprint(a.AdvertiserID), fmt.Sprint(a.AdID)
		where.parameters["after_run"] = a.Run
		where.and(`(minute, advertiser_id, ad_id, run, pass) >
			({after_minute:DateTime('UTC')}, {after_advertiser:Int64}, {after_ad:Int64}, {after_run:String}, {after_pass:UInt8})`,
			"after_pass", fmt.Sprint(a.Pass))
	}
	return where
}
