package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"clickledger/internal/click"
	v1 "clickledger/proto/gen/clickledger/v1"
)

// lettersScanMax is how many letters one call looks at for those of a state.
const lettersScanMax = 1_000

// letterShelf is where dead letters are kept. Reading changes nothing.
type letterShelf interface {
	DeadLetters(ctx context.Context, from int64, limit int) (letters []click.Buried, next, end int64, err error)
	DeadRange(ctx context.Context) (start, end int64, err error)
	// Decode is what a letter's value says, if it can be read.
	Decode(letter click.Buried) (click.Click, error)
	// Replay wraps click.ErrRejected when this letter can never be replayed.
	Replay(ctx context.Context, letter click.Buried) (click.Position, error)
}

// letterAudit is what was done with dead letters.
type letterAudit interface {
	AddLetterActions(ctx context.Context, actions []click.LetterAction) error
	LetterActions(ctx context.Context, origins []click.Origin) (map[click.Origin][]click.LetterAction, error)
}

var errNoSuchLetter = errors.New("there is no such dead letter; they are kept for 30 days")

// The id of a letter names its origin, and behind the @ its place, so that it
// is found at once however many there are.

func letterID(l *click.Buried) string {
	return fmt.Sprintf("%s/%d/%d/%d@%d", l.Topic, l.Partition, l.Offset, l.AppendedAt.UnixMilli(), l.Place)
}

func placeOf(id string) (int64, error) {
	_, text, _ := strings.Cut(id, "@")
	place, err := strconv.ParseInt(text, 10, 64)
	if err != nil || place < 0 {
		return 0, invalid("a dead letter's id is not one that was given out here")
	}
	return place, nil
}

func (s *operationsService) letter(ctx context.Context, id string) (click.Buried, error) {
	place, err := placeOf(id)
	if err != nil {
		return click.Buried{}, err
	}
	letters, _, _, err := s.letters.DeadLetters(ctx, place, 1)
	if err != nil {
		return click.Buried{}, err
	}
	if len(letters) == 0 || letterID(&letters[0]) != id {
		return click.Buried{}, notFound(errNoSuchLetter)
	}
	return letters[0], nil
}

// ListDeadLetters reads one page, oldest first.
func (s *operationsService) ListDeadLetters(ctx context.Context, in *v1.ListDeadLettersRequest) (*v1.ListDeadLettersResponse, error) {
	if err := requireAdmin(ctx); err != nil {
		return nil, err
	}
	from, err := parsePageToken(in.GetPageToken())
	if err != nil {
		return nil, err
	}
	size, limit := pageSize(in.GetPageSize()), lettersScanMax
	if in.GetState() == v1.DeadLetterState_DEAD_LETTER_STATE_UNSPECIFIED {
		limit = size
	}
	letters, next, end, err := s.letters.DeadLetters(ctx, from, limit)
	if err != nil {
		return nil, err
	}
	origins, met := make([]click.Origin, 0, len(letters)), map[click.Origin]bool{}
	for _, l := range letters {
		if !met[l.Origin] {
			origins = append(origins, l.Origin)
		}
		met[l.Origin] = true
	}
	actions, err := s.audit.LetterActions(ctx, origins)
	if err != nil {
		return nil, err
	}
	out := &v1.ListDeadLettersResponse{}
	for i := range letters {
		if !met[letters[i].Origin] {
			continue // a copy
		}
		if len(out.DeadLetters) == size {
			next = letters[i].Place
			break
		}
		met[letters[i].Origin] = false
		shown := letterToProto(&letters[i], actions[letters[i].Origin])
		if in.GetState() == v1.DeadLetterState_DEAD_LETTER_STATE_UNSPECIFIED || shown.GetState() == in.GetState() {
			out.DeadLetters = append(out.DeadLetters, shown)
		}
	}
	if next < end {
		out.NextPageToken = pageToken(next)
	}
	return out, nil
}

// GetDeadLetter shows one letter, whatever became of it.
func (s *operationsService) GetDeadLetter(ctx context.Context, in *v1.GetDeadLetterRequest) (*v1.GetDeadLetterResponse, error) {
	if err := requireAdmin(ctx); err != nil {
		return nil, err
	}
	letter, err := s.letter(ctx, in.GetId())
	if err != nil {
		return nil, err
	}
	actions, err := s.audit.LetterActions(ctx, []click.Origin{letter.Origin})
	if err != nil {
		return nil, err
	}
	out := &v1.GetDeadLetterResponse{
		DeadLetter: letterToProto(&letter, actions[letter.Origin]), Key: letter.Key, Value: letter.Value,
	}
	if c, err := s.letters.Decode(letter); err == nil {
		out.Click = &v1.DecodedClick{
			AdId: c.AdID, AdvertiserId: c.AdvertiserID, ImpressionId: c.Impression.String(), ClickedAt: timeToProto(c.ClickedAt),
		}
	}
	for _, a := range actions[letter.Origin] {
		out.Actions = append(out.Actions, &v1.DeadLetterAction{
			ActionId: a.ActionID, Action: letterStateToProto(a.Action), Stage: letterStageToProto(a.Stage),
			Time: timeToProto(a.At), KeyId: a.KeyID, Note: a.Note, Result: a.Result,
		})
	}
	return out, nil
}

// ReplayDeadLetters notes that a replay begins before anything is appended, and
// what came of it after: a crash between leaves a letter that is open, with a
// replay that began, and replaying it again counts nothing twice.
func (s *operationsService) ReplayDeadLetters(ctx context.Context, in *v1.ReplayDeadLettersRequest) (*v1.ReplayDeadLettersResponse, error) {
	// All ids are looked at before anything is done.
	letters, actions, err := s.actionsOn(ctx, in.GetIds(), click.LetterReplayed, in.GetNote())
	if err != nil {
		return nil, err
	}
	if err := s.audit.AddLetterActions(ctx, actions); err != nil {
		return nil, err
	}
	out := &v1.ReplayDeadLettersResponse{}
	for i, id := range in.GetIds() {
		at, err := s.letters.Replay(ctx, letters[i])
		if err != nil && !errors.Is(err, click.ErrRejected) {
			return nil, s.ended(ctx, actions[:i], err)
		}
		actions[i].Stage, actions[i].Result = click.LetterDone, fmt.Sprintf("partition %d, offset %d", at.Partition, at.Offset)
		if err != nil {
			actions[i].Stage, actions[i].Result = click.LetterFailed, err.Error()
		}
		out.Results = append(out.Results, &v1.DeadLetterResult{Id: id, Done: err == nil, Result: actions[i].Result})
	}
	return out, s.ended(ctx, actions, nil)
}

// endedTimeout is for noting what was done after the caller's time is over.
const endedTimeout = 5 * time.Second

// ended notes what was done, also when the call was cut short by err.
func (s *operationsService) ended(ctx context.Context, actions []click.LetterAction, err error) error {
	if len(actions) == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endedTimeout)
	defer cancel()
	return errors.Join(err, s.audit.AddLetterActions(ctx, actions))
}

// DiscardDeadLetters notes that nothing is to be done with letters.
func (s *operationsService) DiscardDeadLetters(ctx context.Context, in *v1.DiscardDeadLettersRequest) (*v1.DiscardDeadLettersResponse, error) {
	_, actions, err := s.actionsOn(ctx, in.GetIds(), click.LetterDiscarded, in.GetNote())
	if err != nil {
		return nil, err
	}
	for i := range actions {
		actions[i].Stage = click.LetterDone
	}
	if err := s.audit.AddLetterActions(ctx, actions); err != nil {
		return nil, err
	}
	return &v1.DiscardDeadLettersResponse{}, nil
}

// actionsOn are letters that are all there, and begun actions on letters that are all there.
func (s *operationsService) actionsOn(ctx context.Context, ids []string, action click.LetterState, note string) ([]click.Buried, []click.LetterAction, error) {
	if err := requireAdmin(ctx); err != nil {
		return nil, nil, err
	}
	letters, actions := make([]click.Buried, len(ids)), make([]click.LetterAction, len(ids))
	for i, id := range ids {
		letter, err := s.letter(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		letters[i] = letter
		actions[i] = click.LetterAction{
			Origin: letter.Origin, ActionID: eventOf(ctx), Action: action, Stage: click.LetterBegun,
			KeyID: principalOf(ctx).KeyID, Note: note,
		}
	}
	return letters, actions, nil
}

// dead tells how many letters there are, and whether of the newest some are
// open; Kafka's and ClickHouse's pings tell when one is away.
func (s *operationsService) dead(ctx context.Context, out *v1.GetStatusResponse, report func(part, sentence string)) {
	start, end, err := s.letters.DeadRange(ctx)
	if err != nil {
		return
	}
	out.DeadLetters = end - start
	if start == end {
		return
	}
	letters, _, _, err := s.letters.DeadLetters(ctx, max(start, end-lettersScanMax), lettersScanMax)
	if err != nil {
		return
	}
	open, err := s.open(ctx, letters)
	if err != nil || open == 0 {
		return
	}
	report("dead", fmt.Sprintf("Of the newest %d records that could not be counted %d are open: list them with ListDeadLetters, and replay or discard them.",
		len(letters), open))
}

// open is how many of some letters nothing was done with, copies once.
func (s *operationsService) open(ctx context.Context, letters []click.Buried) (int, error) {
	origins := make(map[click.Origin]bool, len(letters))
	for _, l := range letters {
		origins[l.Origin] = true
	}
	actions, err := s.audit.LetterActions(ctx, slices.Collect(maps.Keys(origins)))
	if err != nil {
		return 0, err
	}
	open := 0
	for origin := range origins {
		if click.StateOfLetter(actions[origin]) == click.LetterOpen {
			open++
		}
	}
	return open, nil
}

func letterToProto(l *click.Buried, actions []click.LetterAction) *v1.DeadLetter {
	return &v1.DeadLetter{
		Id: letterID(l), State: letterStateToProto(click.StateOfLetter(actions)), Reason: l.Reason,
		Topic: l.Topic, Partition: l.Partition, Offset: l.Offset,
		AppendTime: timeToProto(l.AppendedAt), BuryTime: timeToProto(l.BuriedAt),
		Bytes: int64(l.WholeBytes), CutOff: l.CutOff(),
	}
}

func letterStateToProto(s click.LetterState) v1.DeadLetterState {
	switch s {
	case click.LetterOpen:
		return v1.DeadLetterState_DEAD_LETTER_STATE_OPEN
	case click.LetterReplayed:
		return v1.DeadLetterState_DEAD_LETTER_STATE_REPLAYED
	case click.LetterDiscarded:
		return v1.DeadLetterState_DEAD_LETTER_STATE_DISCARDED
	default:
		return v1.DeadLetterState_DEAD_LETTER_STATE_UNSPECIFIED
	}
}

func letterStageToProto(s click.LetterStage) v1.DeadLetterAction_Stage {
	switch s {
	case click.LetterBegun:
		return v1.DeadLetterAction_STAGE_BEGUN
	case click.LetterDone:
		return v1.DeadLetterAction_STAGE_DONE
	case click.LetterFailed:
		return v1.DeadLetterAction_STAGE_FAILED
	default:
		return v1.DeadLetterAction_STAGE_UNSPECIFIED
	}
}
