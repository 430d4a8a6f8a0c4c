package client

// Recovery: finds what differs between the bases of the replica and the server's items. Sums of ranges of ids are compared,
// and those that differ are cut. Everything that was found is taken in one transaction at the end: an exchange that is cut
// before has changed nothing.

import (
	"bytes"
	"errors"
	"slices"

	pb "tercet-conformance/gen/tercet/v1"
)

const (
	leafItems        = 12   // a range with so few bases is compared item by item
	mostRangesAtOnce = 2000 // with the ranges between them that are not asked about, a query may have 4,096
	shortBytes       = 8    // of sums and fingerprints that travel in a recovery
)

// idRange is a range of ids, [start, end), with the bases in it: [first, last) in the list of all.
type idRange struct {
	start, end  string // no end: to the last id
	first, last int
}

func (r idRange) count() int { return r.last - r.first }

func (r idRange) isLeaf() bool { return r.count() <= leafItems }

// bases are all bases in the order of their ids, and the sums of the first n of them.
type bases struct {
	ids          []string
	fingerprints []Fingerprint
	sums         []RangeSum
}

func newBases(replica *Replica) *bases {
	b := &bases{sums: []RangeSum{{}}}
	for _, entry := range replica.Sorted() {
		if fingerprint := entry.Base.fingerprint(); fingerprint != NoItem {
			b.ids = append(b.ids, entry.ID)
			b.fingerprints = append(b.fingerprints, fingerprint)
			b.sums = append(b.sums, b.sums[len(b.sums)-1].Plus(SumOf(fingerprint)))
		}
	}
	return b
}

func (b *bases) shortSum(part idRange) []byte {
	return b.sums[part.last].Minus(b.sums[part.first]).Bytes()[:shortBytes]
}

// narrow is a part of a range, with the bases in it.
func (b *bases) narrow(within idRange, start, end string) idRange {
	ids := b.ids[within.first:within.last]
	first, _ := slices.BinarySearch(ids, start)
	last := len(ids)
	if end != "" {
		last, _ = slices.BinarySearch(ids, end)
	}
	return idRange{start, end, within.first + first, within.first + max(first, last)}
}

// cut makes parts of about the same size. Few parts cost fewer bytes, many parts fewer round trips.
func (b *bases) cut(whole idRange) []idRange {
	if whole.isLeaf() {
		return []idRange{whole}
	}
	count := 4
	switch {
	case whole.count() >= 16_384:
		count = 16
	case whole.count() >= 1024:
		count = 8
	}
	var parts []idRange
	rest := whole
	for i := 1; i < count; i++ {
		at := whole.first + whole.count()*i/count
		parts = append(parts, idRange{rest.start, b.ids[at], rest.first, at})
		rest.start, rest.first = b.ids[at], at
	}
	return append(parts, rest)
}

// search is what is being searched, and what has been found.
type search struct {
	bases *bases
	// Ranges without an answer, in the order in which they were asked; and finer ones, to be asked next.
	asked, waiting []idRange
	// The server's states of what differs; a later one of the same item counts.
	found []State
	// The first answer: it says the head, the fork, and more that holds for all.
	preamble *pb.RangeAnswers
}

// recover compares all items with the server's, and takes what differs.
func (s *session) recover(why RecoveryReason) error {
	s.isRecovering, s.heard, s.report.Recovery = true, nil, &Recovery{Why: why}
	message := &pb.Recover{}
	if !s.isRebinding {
		message.Lineage = s.replica.lineage
	}
	s.send(&pb.ExchangeRequest{Message: &pb.ExchangeRequest_Recover{Recover: message}})
	bases := newBases(s.replica)
	search := &search{bases: bases, waiting: bases.cut(idRange{last: len(bases.ids)})}
	mostAtOnce := int(max(1, s.limits.WindowItems/2))
	for len(search.waiting) > 0 {
		count := min(len(search.waiting), mostAtOnce)
		search.asked, search.waiting = search.waiting[:count], slices.Clone(search.waiting[count:])
		for part := range slices.Chunk(search.asked, mostRangesAtOnce) {
			query := bases.toQuery(part)
			s.send(&pb.ExchangeRequest{Message: &pb.ExchangeRequest_Ranges{Ranges: query}})
		}
		s.report.RoundTrips++
		if err := s.takeAnswers(search); err != nil {
			return err
		}
	}
	return s.completeRecovery(search)
}

func (s *session) takeAnswers(search *search) error {
	isWanted := func(response *pb.ExchangeResponse) bool {
		return response.GetRanges() != nil || response.GetVerdicts() != nil
	}
	for len(search.asked) > 0 {
		response, err := s.receiveOnly(isWanted)
		if err != nil {
			return err
		}
		answers := response.GetRanges()
		if answers == nil {
			if err := s.takeVerdicts(response.GetVerdicts()); err != nil {
				return err
			}
			continue
		}
		if search.preamble == nil {
			search.preamble = answers
		}
		s.hearOf(answers.Witness)
		switch err := search.read(answers); {
		case errors.Is(err, errMisfit), errors.Is(err, errBounds):
			return outOfOrder("%v", err)
		case err != nil:
			return err
		}
	}
	return nil
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
			// Revisions beyond the fork may be of another history. The server has had all of these states at its head.
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

// unsettledCreations were sent, and may have been made, and deleted by others, where the server tells nothing of them.
func unsettledCreations(replica *Replica, revision int64) []State {
	var states []State
	for _, entry := range replica.Pending() {
		if entry.Base.fingerprint() == NoItem && len(entry.Pending.Sendings) > 0 {
			states = append(states, State{ID: entry.ID, Revision: revision})
		}
	}
	return states
}

// toQuery makes a query of ranges, which are in order; with nothing asked of what is between them.
func (b *bases) toQuery(ranges []idRange) *pb.RangeQuery {
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
		query.Counts = append(query.Counts, int64(part.count()))
		if !part.isLeaf() {
			query.Kinds = append(query.Kinds, pb.RangeKind_RANGE_KIND_SUM)
			query.Sums = append(query.Sums, b.shortSum(part)...)
			continue
		}
		query.Kinds = append(query.Kinds, pb.RangeKind_RANGE_KIND_ITEMS)
		for _, fingerprint := range b.fingerprints[part.first:part.last] {
			query.Items = append(query.Items, fingerprint[:shortBytes]...)
		}
	}
	if at != "" {
		query.Kinds = append(query.Kinds, pb.RangeKind_RANGE_KIND_UNSPECIFIED)
	}
	query.Ends = encodeBounds(ends)
	return query
}

var errMisfit = errors.New("the server's answer to a recovery does not fit what was asked")

// take cuts the first few off a list.
func take[T any](list *[]T, count int) ([]T, error) {
	if count < 0 || count > len(*list) {
		return nil, errMisfit
	}
	taken := (*list)[:count]
	*list = (*list)[count:]
	return taken, nil
}

// read takes what is listed, and the parts that differ, which are to be asked next.
func (s *search) read(answers *pb.RangeAnswers) error {
	ends, err := decodeBounds(answers.Ends)
	if err != nil {
		return err
	}
	rest := &pb.RangeAnswers{Parts: answers.Parts, Counts: answers.Counts, Sums: answers.Sums, Lists: answers.Lists}
	for _, outcome := range answers.Outcomes {
		asked, err := take(&s.asked, 1)
		if err != nil {
			return err
		}
		switch outcome {
		case pb.RangeOutcome_RANGE_OUTCOME_EQUAL:
		case pb.RangeOutcome_RANGE_OUTCOME_LIST:
			err = s.readList(asked[0], rest)
		case pb.RangeOutcome_RANGE_OUTCOME_SPLIT:
			err = s.readParts(asked[0], rest, &ends)
		default:
			err = errMisfit
		}
		if err != nil {
			return err
		}
	}
	if len(rest.Parts)+len(rest.Counts)+len(rest.Sums)+len(rest.Lists)+len(ends) > 0 {
		return errMisfit // more was answered than was asked
	}
	return nil
}

func (s *search) readParts(whole idRange, rest *pb.RangeAnswers, ends *[]string) error {
	size, err := take(&rest.Parts, 1)
	if err != nil || size[0] < 2 {
		return errMisfit
	}
	count := int(size[0])
	inner, errEnds := take(ends, count-1)
	counts, errCounts := take(&rest.Counts, count)
	sums, errSums := take(&rest.Sums, count*shortBytes)
	if err := errors.Join(errEnds, errCounts, errSums); err != nil {
		return err
	}
	start := whole.start
	for i, end := range append(slices.Clip(inner), whole.end) {
		part := s.bases.narrow(whole, start, end)
		start = end
		sum := sums[i*shortBytes : (i+1)*shortBytes]
		if int64(part.count()) != counts[i] || !bytes.Equal(s.bases.shortSum(part), sum) {
			s.waiting = append(s.waiting, s.bases.cut(part)...)
		}
	}
	return nil
}

// readList takes what the server has in a range that differs; and what it does not have, and nothing is known of its
// deletion.
func (s *search) readList(asked idRange, rest *pb.RangeAnswers) error {
	lists, err := take(&rest.Lists, 1)
	if err != nil {
		return err
	}
	list := lists[0]
	own := s.bases.ids[asked.first:asked.last]
	if asked.isLeaf() {
		if own, err = pick(own, list.Differing); err != nil {
			return err
		}
	}
	// Deletions beyond the fork would be told, but for those up to the horizon.
	var revision int64
	if s.preamble.CompactedRevision > s.preamble.ForkRevision {
		revision = s.preamble.CompactedRevision
	}
	for _, id := range own {
		s.found = append(s.found, State{ID: id, Revision: revision})
	}
	states, err := readChanges(slices.Concat(list.Items, list.Deleted), nil)
	s.found = append(s.found, states...)
	return err
}

func pick(ids []string, indexes []uint32) ([]string, error) {
	var picked []string
	for _, index := range indexes {
		if uint64(index) >= uint64(len(ids)) {
			return nil, errMisfit
		}
		picked = append(picked, ids[index])
	}
	return picked, nil
}
