package client

// Step 2 as values: what is to be done with one item of which the server's state was told, and whose change prevails.
// vectors/comparison.json and standards.json say every case.

import (
	"slices"

	pb "tercet-conformance/gen/tercet/v1"
)

// Comparison is what was found for one item.
type Comparison string

// What can be found.
const (
	Known    Comparison = "known"    // nothing to do
	Same     Comparison = "same"     // only the revision is new
	Theirs   Comparison = "theirs"   // changed only there: take it
	Agreed   Comparison = "agreed"   // changed on both sides into the same: nothing moves
	Arrived  Comparison = "arrived"  // what this client sent earlier, and changed since: send the change on top of it
	New      Comparison = "new"      // created here; what there was of that name is deleted: send the creation
	Lost     Comparison = "lost"     // the server, restored, lost what was agreed on: offer it again (recovery only)
	Conflict Comparison = "conflict" // changed on both sides: the change standard decides
)

// Outcome is how a conflict ends; empty where there is none.
type Outcome string

// How a conflict can end.
const (
	MinePrevails   Outcome = "mine"
	TheirsPrevails Outcome = "theirs"
	Held           Outcome = "held" // not yet
)

// compare is the comparison of an exchange. An item that the server tells nothing of is unchanged there. Of what was
// sent of the item, sendings are those without a verdict that may be what the server tells of.
func compare(entry *Entry, sendings []Fingerprint, theirs State) Comparison {
	base := entry.Base
	switch {
	case base != nil && theirs.Revision <= base.Revision:
		return Known
	case entry.Pending == nil && theirs.Fingerprint != base.fingerprint():
		return Theirs
	case entry.Pending == nil && theirs.Fingerprint == NoItem:
		return Known
	case entry.Pending == nil:
		return Same
	case base == nil && len(sendings) == 0 && theirs.Fingerprint == NoItem && entry.Mine != nil:
		return New
	default:
		return comparePending(entry, sendings, theirs)
	}
}

// compareRecovered is the comparison of a recovery. The fork is the last revision that the histories of both sides
// share. What was agreed on up to it is as real as what the server has; what was agreed on later the server lost, and
// its revisions say nothing then.
func compareRecovered(entry *Entry, sendings []Fingerprint, theirs State, fork int64) Comparison {
	base := entry.Base
	if base == nil || base.Revision <= fork && theirs.Revision > base.Revision {
		return compare(entry, sendings, theirs)
	}
	isShared := base.Revision <= fork
	switch {
	case base.Fingerprint == theirs.Fingerprint && isShared:
		return Known
	case base.Fingerprint == theirs.Fingerprint:
		return Same
	case entry.Pending == nil && isShared:
		return Theirs
	}
	found := Conflict
	if entry.Pending != nil {
		found = comparePending(entry, sendings, theirs)
	}
	if found == Conflict && !isShared && theirs.Revision <= fork {
		return Lost
	}
	return found
}

func comparePending(entry *Entry, sendings []Fingerprint, theirs State) Comparison {
	switch {
	case entry.fingerprint() == theirs.Fingerprint:
		return Agreed
	case slices.Contains(sendings, theirs.Fingerprint):
		return Arrived
	default:
		return Conflict
	}
}

// judge says whose change prevails by a standard that is in force. The time of mine is at most the server's clock
// plus Opened.skew_us, as the server would store it.
func judge(standard pb.ChangeStandard, mine Fingerprint, timeUs int64, theirs State) Outcome {
	// The later time; on a tie the greater fingerprint, and a deletion is less than any.
	isNewer := timeUs > theirs.TimeUs || timeUs == theirs.TimeUs && mine > theirs.Fingerprint
	switch {
	case standard == pb.ChangeStandard_CHANGE_STANDARD_MANUAL:
		return Held
	case standard == pb.ChangeStandard_CHANGE_STANDARD_CLIENT,
		standard == pb.ChangeStandard_CHANGE_STANDARD_NEWEST && isNewer:
		return MinePrevails
	default:
		return TheirsPrevails
	}
}
