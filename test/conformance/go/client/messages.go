package client

// What the server says of its own accord: pages of change info, and verdicts on pushes.

import (
	"slices"

	pb "tercet-conformance/gen/tercet/v1"
)

// After so many lost races a change stays pending for another time.
const mostRaces = 5

// takeMessage takes a message in full, with whatever has to be fetched for it.
func (s *session) takeMessage(response *pb.ExchangeResponse) error {
	switch message := response.Message.(type) {
	case *pb.ExchangeResponse_Page:
		return s.takePage(message.Page)
	case *pb.ExchangeResponse_Verdicts:
		return s.takeVerdicts(message.Verdicts)
	case *pb.ExchangeResponse_Upload, *pb.ExchangeResponse_GoingAway, *pb.ExchangeResponse_EpochBegun:
		// Of an upload whose push has been sent; and what matters only to an exchange that stays open.
		return nil
	default:
		return outOfOrder("a %T was not asked for", message)
	}
}

func (s *session) takePage(page *pb.ChangePage) error {
	if page.Checkpoint == nil {
		return outOfOrder("a page came without a checkpoint")
	}
	states, err := readChanges(page.Changes, page.Fingerprint)
	if err != nil {
		return err
	}
	if err := s.takeChanges(states, taking{checkpoint: page.Checkpoint}); err != nil {
		return err
	}
	for _, info := range page.Changes {
		if info.Fingerprint != nil && info.Content == nil {
			// The server waits for this before it goes on with contents that have to be fetched.
			taken := &pb.Taken{Revision: page.Checkpoint.Revision}
			s.send(&pb.ExchangeRequest{Message: &pb.ExchangeRequest_Taken{Taken: taken}})
			break
		}
	}
	return nil
}

func (s *session) takeVerdicts(verdicts *pb.Verdicts) error {
	s.hearOf(verdicts.Witness)
	var told []State
	for _, verdict := range verdicts.Verdicts {
		states, err := s.takeVerdict(verdict)
		if err != nil {
			return err
		}
		told = append(told, states...)
	}
	// What is settled is stored already, even if the contents to be fetched for the rest never come.
	s.replica.hear(s.heard)
	return s.takeChanges(told, taking{checkpoint: verdicts.Checkpoint})
}

// takeVerdict settles what a verdict speaks of; it answers what is to be compared because of it.
func (s *session) takeVerdict(verdict *pb.Verdict) ([]State, error) {
	count := verdict.Count
	if verdict.Ordinal != s.firstOrdinal || count < 1 || count > int64(len(s.onTheWay)) {
		return nil, outOfOrder("a verdict on push %d came out of order", verdict.Ordinal)
	}
	pushes := s.onTheWay[:count]
	s.onTheWay = s.onTheWay[count:]
	s.firstOrdinal += count
	isApplied := verdict.Outcome == pb.PushOutcome_PUSH_OUTCOME_APPLIED
	if !isApplied && verdict.Outcome != pb.PushOutcome_PUSH_OUTCOME_ALREADY_APPLIED {
		for _, sent := range pushes {
			s.takeBack(sent, verdict)
		}
		return s.tellConflict(verdict)
	}
	var told []State
	revision := verdict.Revision
	for _, sent := range pushes {
		s.reportSettled(sent, isApplied)
		told = append(told, s.settle(sent, revision)...)
		if isApplied && !verdict.OneRevision {
			revision++
		}
	}
	return told, nil
}

func (s *session) reportSettled(sent sentPush, isApplied bool) {
	switch {
	case isApplied && sent.version == nil:
		s.report.SentDeleted++
	case isApplied:
		s.report.Sent++
	case !s.settled[sent.sequence]:
		s.report.Settled++
	}
}

// settle: the server has what was sent. Where it is not pending any more, that is to be compared like anybody's
// change.
func (s *session) settle(sent sentPush, revision int64) []State {
	entry := s.replica.Entry(sent.id)
	if entry.Pending == nil || entry.Pending.Sequence != sent.sequence {
		state := State{ID: sent.id, Revision: revision, TimeUs: sent.timeUs}
		if sent.version != nil {
			state = proved(state, sent.version, sent.version.Fingerprint)
		}
		return []State{state}
	}
	base := entry.Base
	isBase := base != nil && base.Revision == revision && base.Fingerprint == sent.version.fingerprint()
	if base == nil || base.Revision < revision || isBase {
		s.replica.agree(entry, revision)
	}
	return nil
}

// takeBack: what was sent was not made. But where something was sent on an earlier stream, that may still arrive.
func (s *session) takeBack(sent sentPush, verdict *pb.Verdict) {
	entry := s.replica.Entry(sent.id)
	if entry.Pending != nil && !sent.isResent {
		isThis := func(each Fingerprint) bool { return each == sent.version.fingerprint() }
		entry.Pending.Sendings = slices.DeleteFunc(entry.Pending.Sendings, isThis)
	}
	switch verdict.Outcome {
	case pb.PushOutcome_PUSH_OUTCOME_COMPARE_FIRST:
		delete(s.tried, sent.sequence)
	case pb.PushOutcome_PUSH_OUTCOME_REJECTED:
		s.report.Rejected[sent.id] = verdict.Reason
		if entry.Pending != nil && entry.Pending.Sequence == sent.sequence {
			entry.Pending.Rejected = verdict.Reason
		}
	case pb.PushOutcome_PUSH_OUTCOME_CONFLICT:
		if sent.isAgain {
			s.races[sent.id]++
		}
		if s.races[sent.id] >= mostRaces {
			s.report.Contended[sent.id] = true
		}
	}
}

// tellConflict answers the item as it is, of a push that was not made on that.
func (s *session) tellConflict(verdict *pb.Verdict) ([]State, error) {
	current := verdict.Current
	if verdict.Outcome != pb.PushOutcome_PUSH_OUTCOME_CONFLICT || current == nil {
		return nil, nil
	}
	// A content that does not come along is still to come with the change feed.
	isDeleted := current.Kind == pb.ChangeKind_CHANGE_KIND_DELETED
	if !isDeleted && current.Content == nil && current.Revision > s.replica.Checkpoint.GetRevision() {
		return nil, nil
	}
	return readChanges([]*pb.ChangeInfo{current}, nil)
}
