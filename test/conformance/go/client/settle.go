package client

// Step 2: compares what the server told with this side's changes, and does with each item what follows from it.

import (
	"slices"

	pb "tercet-conformance/gen/tercet/v1"
)

// decision is what is to be done with one item.
type decision struct {
	entry      *Entry
	theirs     State
	comparison Comparison
	outcome    Outcome // of a conflict, and of what the server lost, where its history is followed
	// It shares the fate of its group; the server told nothing of it.
	isCompanion bool
}

func (d *decision) takesTheirs() bool {
	return d.comparison == Theirs || d.outcome == TheirsPrevails
}

// needsContent: the server's content is to be kept here, and is not at hand.
func (d *decision) needsContent() bool {
	isKept := d.takesTheirs() || d.outcome == Held
	isMissing := d.theirs.Fingerprint != NoItem && d.theirs.Version == nil
	return d.theirs.Fingerprint == unproved || isKept && isMissing
}

// taking is how changes are taken.
type taking struct {
	// Where the replica stands once they are taken; nil: where it stood.
	checkpoint *pb.Checkpoint
	// In a recovery: the last revision that both histories share.
	fork *int64
	// Held items are judged anew.
	rejudges bool
	// Done together with the changes; nil: nothing.
	store func()
}

// takeChanges compares, fetches what contents are needed, and stores: all at once, with the checkpoint.
//
// While contents are awaited the application may change items: so everything is compared anew then. From the last
// comparison on nothing is awaited; in a database this is one transaction.
func (s *session) takeChanges(told []State, how taking) error {
	var decisions []*decision
	for {
		var err error
		if decisions, err = s.decide(told, how); err != nil {
			return err
		}
		var missing []State
		for _, each := range decisions {
			if each.needsContent() {
				missing = append(missing, each.theirs)
			}
		}
		if len(missing) == 0 {
			break
		}
		fetched, err := s.fetchContents(missing)
		if err != nil {
			return err
		}
		// What was fetched is the server's state as well, and may be a later one.
		told = append(told, fetched...)
		for _, state := range fetched {
			knowBase(s.replica.Entry(state.ID), state)
		}
	}
	for _, each := range decisions {
		s.carryOut(each)
	}
	if how.store != nil {
		how.store()
	}
	s.replica.hear(s.heard)
	if how.checkpoint != nil {
		s.replica.stand(how.checkpoint)
	}
	return nil
}

// knowBase: where what was fetched is the base itself, its content is at hand from now on. A member of a group may
// give way to it.
func knowBase(entry *Entry, fetched State) {
	if entry.Base != nil && entry.Base.Fingerprint == fetched.Fingerprint {
		base := *entry.Base
		base.Version = fetched.Version
		entry.Base = &base
	}
}

// decide compares; of an item that was told of several times the last one counts.
func (s *session) decide(told []State, how taking) ([]*decision, error) {
	// What is told now was there before a push that is on its way for the first time.
	isFirst := map[string]bool{}
	for _, sent := range s.onTheWay {
		isFirst[sent.id] = isFirst[sent.id] || !sent.isResent
	}
	last := map[string]int{}
	for i, theirs := range told {
		last[theirs.ID] = i
	}
	var decisions []*decision
	for i, theirs := range told {
		if last[theirs.ID] != i {
			continue
		}
		each, err := s.decideOne(theirs, how, isFirst[theirs.ID])
		if err != nil {
			return nil, err
		}
		if each.comparison != Known {
			decisions = append(decisions, each)
		}
	}
	return s.joinGroups(decisions), nil
}

func (s *session) decideOne(theirs State, how taking, isFirst bool) (*decision, error) {
	entry := s.replica.Entry(theirs.ID)
	isLost := how.fork != nil && entry.Base != nil && entry.Base.Revision > *how.fork
	if isLost && s.options.OnHistoryChange == Stop {
		return nil, refuse(pb.ErrorReason_ERROR_REASON_TOKEN_OTHER_HISTORY,
			"the server has lost what was agreed on; nothing was changed")
	}
	var sendings []Fingerprint
	if entry.Pending != nil && !isFirst {
		sendings = entry.Pending.Sendings
	}
	each := &decision{entry: entry, theirs: withContent(entry, theirs)}
	switch {
	case how.rejudges && entry.Pending != nil && entry.Pending.Held:
		each.comparison = Conflict
	case how.fork != nil:
		each.comparison = compareRecovered(entry, sendings, theirs, *how.fork)
	default:
		each.comparison = compare(entry, sendings, theirs)
	}
	switch {
	case each.comparison == Lost && s.options.OnHistoryChange == Follow:
		each.outcome = TheirsPrevails
	case each.comparison == Conflict:
		each.outcome = s.judge(entry, entry.TimeUs, theirs)
	}
	return each, nil
}

// withContent is a state with its content, where that is at hand.
func withContent(entry *Entry, state State) State {
	if state.Fingerprint == NoItem || state.Version != nil {
		return state
	}
	if entry.fingerprint() == state.Fingerprint {
		state.Version = entry.Mine
	} else if entry.Base.fingerprint() == state.Fingerprint {
		state.Version = entry.Base.Version
	}
	return state
}

func (s *session) judge(entry *Entry, timeUs int64, theirs State) Outcome {
	ceilingUs := s.options.NowUs() + s.ceilingAheadUs
	return judge(s.opened.Standard, entry.fingerprint(), min(timeUs, ceilingUs), theirs)
}

// joinGroups: an atomic group that is in conflict has one fate, which its other members share.
func (s *session) joinGroups(decisions []*decision) []*decision {
	told := map[string]*decision{}
	conflicts := map[int64][]*decision{}
	var groups []int64
	for _, each := range decisions {
		told[each.theirs.ID] = each
		if pending := each.entry.Pending; each.outcome != "" && pending != nil && pending.Group != 0 {
			if conflicts[pending.Group] == nil {
				groups = append(groups, pending.Group)
			}
			conflicts[pending.Group] = append(conflicts[pending.Group], each)
		}
	}
	for _, group := range groups {
		members := s.replica.groupOf(conflicts[group][0].entry)
		fate := s.fateOf(conflicts[group], members)
		for _, entry := range members {
			each := told[entry.ID]
			switch {
			case each == nil && fate != MinePrevails:
				decisions = append(decisions, &decision{
					entry:       entry,
					theirs:      withContent(entry, entry.theirs()),
					comparison:  Conflict,
					outcome:     fate,
					isCompanion: true,
				})
			case each != nil && each.comparison != Agreed && (fate != MinePrevails || each.outcome != ""):
				each.comparison, each.outcome = Conflict, fate
			}
		}
	}
	return decisions
}

// fateOf a group: held where one of them is; else by the latest times of both sides.
func (s *session) fateOf(conflicts []*decision, members []*Entry) Outcome {
	latest := conflicts[0]
	for _, each := range conflicts {
		if each.theirs.TimeUs > latest.theirs.TimeUs {
			latest = each
		}
	}
	var timeUs int64
	for _, member := range members {
		timeUs = max(timeUs, member.TimeUs)
	}
	switch {
	case slices.ContainsFunc(conflicts, func(each *decision) bool { return each.outcome == Held }):
		return Held
	case slices.ContainsFunc(conflicts, func(each *decision) bool { return each.comparison == Lost }):
		return TheirsPrevails
	default:
		return s.judge(latest.entry, timeUs, latest.theirs)
	}
}

func (s *session) carryOut(each *decision) {
	entry, theirs := each.entry, each.theirs
	var gaveWayBy, overrides pb.ChangeStandard
	switch each.outcome {
	case MinePrevails:
		overrides = s.opened.Standard
	case TheirsPrevails:
		gaveWayBy = s.opened.Standard
	}
	s.reportDecision(each)
	switch {
	case each.takesTheirs():
		s.replica.takeTheirs(entry, theirs, gaveWayBy, s.options.NowUs())
	case each.comparison == Agreed:
		s.settled[entry.Pending.Sequence] = true
		s.sendAgain(entry)
		s.replica.agree(entry, theirs.Revision)
	case each.comparison == Same:
		s.replica.moveBase(entry, &theirs)
	case each.isCompanion:
		entry.Pending.Held = true
	case entry.Pending == nil:
		s.replica.offer(entry, theirs, overrides, each.outcome == Held)
	default:
		s.replica.standOn(entry, theirs, overrides, each.outcome == Held)
		s.sendAgain(entry)
	}
}

func (s *session) reportDecision(each *decision) {
	id := each.entry.ID
	if each.outcome != "" && !each.isCompanion {
		s.report.Conflicts[id] = EndedConflict{s.opened.Standard, each.outcome}
	}
	switch {
	case each.takesTheirs() && each.theirs.Fingerprint == NoItem:
		s.report.Deleted++
	case each.takesTheirs():
		s.report.Received++
	case each.comparison == Agreed:
		s.report.Settled++
	case each.comparison == Lost && s.report.Recovery != nil:
		s.report.Recovery.Offered = append(s.report.Recovery.Offered, id)
	}
}

// sendAgain: a pending change stands on another base. It is to be sent, and with it its whole group.
func (s *session) sendAgain(entry *Entry) {
	if s.report.Contended[entry.ID] {
		return
	}
	for _, member := range s.replica.groupOf(entry) {
		delete(s.tried, member.Pending.Sequence)
	}
}
