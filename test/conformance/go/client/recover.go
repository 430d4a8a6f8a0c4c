package client

// Recovery: finds what differs between the bases of the replica and the server's items. Sums of ranges of ids are
// compared, and those that differ are cut. Everything that was found is taken in one transaction at the end: an
// exchange that is cut before has changed nothing.

import (
	"bytes"
	"slices"

	pb "tercet-conformance/gen/tercet/v1"
)

const (
	mostRangesAtOnce = 2000 // with the ranges between them that are not asked about, a query may have 4,096
	smallRange       = 16   // a range with more bases than this is asked about in parts
	partsOfRange     = 4    // so many: few cost fewer bytes, many fewer round trips
	shortBytes       = 8    // of a sum that travels in a recovery
)

// idRange is a range of ids, [start, end), with the bases in it: [first, last) in the list of all.
type idRange struct {
	start, end  string // no end: to the last id
	first, last int
}

// search looks for what differs from the bases of a replica, and collects what it has found.
type search struct {
	// All bases in the order of their ids, and the sums of the first n of them.
	ids  []string
	sums []RangeSum
	// The server's states of what differs; of the same item the last one counts.
	found []State
	// The first answer: it says the head, the fork, and more that holds for all.
	preamble *pb.RangeAnswers
}

func newSearch(replica *Replica) *search {
	s := &search{sums: []RangeSum{{}}}
	var total RangeSum
	for _, entry := range replica.Sorted() {
		if fingerprint := entry.Base.fingerprint(); fingerprint != NoItem {
			total = total.Plus(SumOf(fingerprint))
			s.ids, s.sums = append(s.ids, entry.ID), append(s.sums, total)
		}
	}
	return s
}

// total is the count and the sum of the bases in a range, as they travel.
func (s *search) total(part idRange) (int64, []byte) {
	total := s.sums[part.last].Minus(s.sums[part.first])
	return total.Count, total.Bytes()[:shortBytes]
}

// cut makes parts of about the same size, unless it is small.
func (s *search) cut(whole idRange) []idRange {
	count := whole.last - whole.first
	if count <= smallRange {
		return []idRange{whole}
	}
	var inner []string
	for i := 1; i < partsOfRange; i++ {
		inner = append(inner, s.ids[whole.first+count*i/partsOfRange])
	}
	return s.split(whole, inner)
}

// split makes the parts of a range between these bounds.
func (s *search) split(whole idRange, inner []string) []idRange {
	var parts []idRange
	rest := whole
	for _, bound := range inner {
		at, _ := slices.BinarySearch(s.ids[rest.first:rest.last], bound)
		parts = append(parts, idRange{rest.start, bound, rest.first, rest.first + at})
		rest.start, rest.first = bound, rest.first+at
	}
	return append(parts, rest)
}

// recover compares all items with the server's, and takes what differs.
func (s *session) recover(why RecoveryReason) error {
	s.isRecovering, s.heard, s.report.Recovery = true, nil, &Recovery{Why: why}
	message := &pb.Recover{}
	if !s.isRebinding {
		message.Lineage = s.replica.lineage
	}
	s.send(&pb.ExchangeRequest{Message: &pb.ExchangeRequest_Recover{Recover: message}})
	search := newSearch(s.replica)
	mostAtOnce := int(max(1, min(mostRangesAtOnce, s.limits.WindowItems)))
	ranges := search.cut(idRange{last: len(search.ids)})
	for len(ranges) > 0 {
		var finer []idRange
		for part := range slices.Chunk(ranges, mostAtOnce) {
			differing, err := s.compareRanges(search, part)
			if err != nil {
				return err
			}
			finer = append(finer, differing...)
		}
		ranges = finer
	}
	return s.completeRecovery(search)
}

// compareRanges lets the server compare ranges, and takes what it lists; it answers those parts of the others that
// differ.
func (s *session) compareRanges(search *search, asked []idRange) ([]idRange, error) {
	query := &pb.ExchangeRequest_Ranges{Ranges: search.toQuery(asked)}
	s.send(&pb.ExchangeRequest{Message: query})
	s.report.RoundTrips++
	isWanted := func(response *pb.ExchangeResponse) bool {
		return response.GetRanges() != nil || response.GetVerdicts() != nil
	}
	var differing []idRange
	for len(asked) > 0 {
		response, err := s.receiveOnly(isWanted)
		if err != nil {
			return nil, err
		}
		answers := response.GetRanges()
		if answers == nil {
			if err := s.takeVerdicts(response.GetVerdicts()); err != nil {
				return nil, err
			}
			continue
		}
		if search.preamble == nil {
			search.preamble = answers
		}
		s.hearOf(answers.Witness)
		finer, err := search.read(&asked, answers)
		if err != nil {
			return nil, err
		}
		differing = append(differing, finer...)
	}
	return differing, nil
}

// completeRecovery takes what was found, and stands where the server stood when the recovery began.
func (s *session) completeRecovery(search *search) error {
	preamble := search.preamble
	if preamble.GetHead() == nil {
		return outOfOrder("the server's first answer to a recovery did not say its head")
	}
	head, fork := preamble.Head, preamble.ForkRevision
	if !s.isRebinding {
		// What was found counts for more: it comes behind.
		search.found = append(unsettledCreations(s.replica, head.Revision), search.found...)
	}
	store := func() {
		for _, entry := range s.replica.Entries {
			// Revisions beyond the fork may be of another history. The server has had all of these states at its
			// head.
			if entry.Base != nil && entry.Base.Revision > min(fork, head.Revision) {
				base := *entry.Base
				base.Revision = head.Revision
				entry.Base = &base
			}
		}
		s.replica.lineage = slices.Clone(preamble.Lineage)
		for _, epoch := range s.begun {
			if lineage := s.replica.lineage; len(lineage) == 0 ||
				epoch.FirstRevision > lineage[len(lineage)-1].FirstRevision {
				s.replica.lineage = append(lineage, epoch)
			}
		}
		s.replica.uid = s.opened.CollectionUid
		s.replica.LoseCheckpoint() // it speaks of the history that was left
	}
	err := s.takeChanges(search.found, taking{checkpoint: head, fork: &fork, store: store})
	s.isRecovering = err != nil
	return err
}

// unsettledCreations were sent, and may have been made, and deleted by others, where the server tells nothing of
// them. One that was deleted here since is still to be deleted there: what was sent may be under way yet.
func unsettledCreations(replica *Replica, revision int64) []State {
	var states []State
	for _, entry := range replica.Pending() {
		if entry.Mine != nil && entry.Base.fingerprint() == NoItem && len(entry.Pending.Sendings) > 0 {
			states = append(states, State{ID: entry.ID, Revision: revision})
		}
	}
	return states
}

// toQuery makes a query of ranges, which are in order, by their sums; with nothing asked of what is between them.
func (s *search) toQuery(ranges []idRange) *pb.RangeQuery {
	query := &pb.RangeQuery{}
	var ends []string
	at := ""
	for _, part := range ranges {
		if part.start != at {
			ends = append(ends, part.start)
			query.Kinds = append(query.Kinds, pb.RangeKind_RANGE_KIND_UNSPECIFIED)
		}
		if at = part.end; at != "" {
			ends = append(ends, at)
		}
		count, sum := s.total(part)
		query.Kinds = append(query.Kinds, pb.RangeKind_RANGE_KIND_SUM)
		query.Counts, query.Sums = append(query.Counts, count), append(query.Sums, sum...)
	}
	if at != "" {
		query.Kinds = append(query.Kinds, pb.RangeKind_RANGE_KIND_UNSPECIFIED)
	}
	query.Ends = encodeBounds(ends)
	return query
}

// cursor goes through the lists of an answer, of which each outcome takes what is its own.
type cursor struct {
	parts  []uint32
	ends   []string
	counts []int64
	sums   []byte
	lists  []*pb.RangeList
}

var errMisfit = outOfOrder("the server's answer to a recovery does not fit what was asked")

// take cuts the first few off a list.
func take[T any](list *[]T, count int) ([]T, error) {
	if count < 0 || count > len(*list) {
		return nil, errMisfit
	}
	taken := (*list)[:count]
	*list = (*list)[count:]
	return taken, nil
}

// read takes the ranges that are answered off those asked, and what is listed; it answers the parts that differ.
func (s *search) read(asked *[]idRange, answers *pb.RangeAnswers) ([]idRange, error) {
	ends, err := decodeBounds(answers.Ends)
	if err != nil {
		return nil, errMisfit
	}
	rest := &cursor{answers.Parts, ends, answers.Counts, answers.Sums, answers.Lists}
	var differing []idRange
	for _, outcome := range answers.Outcomes {
		ranges, err := take(asked, 1)
		if err != nil {
			return nil, err
		}
		var finer []idRange
		switch outcome {
		case pb.RangeOutcome_RANGE_OUTCOME_EQUAL:
		case pb.RangeOutcome_RANGE_OUTCOME_LIST:
			err = s.readList(ranges[0], rest)
		case pb.RangeOutcome_RANGE_OUTCOME_SPLIT:
			finer, err = s.readParts(ranges[0], rest)
		default:
			err = errMisfit
		}
		if err != nil {
			return nil, err
		}
		differing = append(differing, finer...)
	}
	if len(rest.parts)+len(rest.ends)+len(rest.counts)+len(rest.sums)+len(rest.lists) > 0 {
		return nil, errMisfit // more was answered than was asked
	}
	return differing, nil
}

// readParts answers those of the server's parts of a range in which this side has something else.
func (s *search) readParts(whole idRange, rest *cursor) ([]idRange, error) {
	size, err := take(&rest.parts, 1)
	if err != nil || size[0] < 2 {
		return nil, errMisfit
	}
	count := int(size[0])
	inner, errEnds := take(&rest.ends, count-1)
	counts, errCounts := take(&rest.counts, count)
	sums, errSums := take(&rest.sums, count*shortBytes)
	if errEnds != nil || errCounts != nil || errSums != nil {
		return nil, errMisfit
	}
	var differing []idRange
	for i, part := range s.split(whole, inner) {
		ownCount, ownSum := s.total(part)
		if ownCount != counts[i] || !bytes.Equal(ownSum, sums[i*shortBytes:(i+1)*shortBytes]) {
			differing = append(differing, s.cut(part)...)
		}
	}
	return differing, nil
}

// readList takes what the server has in a range that differs, and what it has deleted after the fork. Of the rest
// nothing is known there: it was deleted up to the fork, or up to the horizon of tombstones.
func (s *search) readList(whole idRange, rest *cursor) error {
	lists, err := take(&rest.lists, 1)
	if err != nil {
		return err
	}
	var revision int64
	if s.preamble.CompactedRevision > s.preamble.ForkRevision {
		revision = s.preamble.CompactedRevision
	}
	for _, id := range s.ids[whole.first:whole.last] {
		s.found = append(s.found, State{ID: id, Revision: revision})
	}
	told, err := readChanges(slices.Concat(lists[0].Items, lists[0].Deleted), nil)
	s.found = append(s.found, told...)
	return err
}
