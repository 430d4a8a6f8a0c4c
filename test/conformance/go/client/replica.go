package client

import (
	"bytes"
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	pb "tercet-conformance/gen/tercet/v1"
)

// A clock that is further ahead than this must not carry ours away.
const mostAheadUs = 60_000_000

var collectionName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// Replica is a copy of a collection in memory, which the application may change while it is apart from the server. In
// a database each method that changes something would be one transaction. Lock it to use it: an exchange does so,
// too, but for the time that it waits for the server.
type Replica struct {
	sync.Mutex
	Collection string
	Entries    map[string]*Entry
	Conflicts  []ConflictRecord
	// How far the server's changes were taken; nil before the first page.
	Checkpoint *pb.Checkpoint
	// Count and sum over the fingerprints of all bases.
	Total RangeSum

	uid []byte // empty before the first exchange
	// The latest revision that was heard of beyond the checkpoint.
	witness   *pb.Checkpoint
	lineage   []*pb.Epoch
	limits    *pb.Limits // as last heard from the server
	downloads map[string]*download
	// The number of the last local change.
	sequence int64
	// The latest modify time that was given out or heard of: a hybrid logical clock.
	timeUs int64
	// Held by an exchange, from its beginning to its end.
	exchange sync.Mutex
}

// NewReplica makes an empty replica.
func NewReplica(collection string) (*Replica, error) {
	if !collectionName.MatchString(collection) {
		reason := pb.ErrorReason_ERROR_REASON_INVALID_COLLECTION_NAME
		return nil, refuse(reason, "%q is no name of a collection", collection)
	}
	return &Replica{
		Collection: collection,
		Entries:    map[string]*Entry{},
		downloads:  map[string]*download{},
		// Of a server that has not said anything else. Before it has, nothing is sent that its other limits are
		// about.
		limits: &pb.Limits{ItemBytes: 64 << 20, GroupItems: 1000, GroupBytes: 1 << 20},
	}, nil
}

// Copy makes a second replica in the same state. Messages, states and versions never change, so that both may have
// them.
func (r *Replica) Copy() *Replica {
	copied := &Replica{
		Collection: r.Collection,
		Entries:    map[string]*Entry{},
		Conflicts:  slices.Clone(r.Conflicts),
		Checkpoint: r.Checkpoint,
		Total:      r.Total,
		uid:        r.uid,
		witness:    r.witness,
		lineage:    slices.Clone(r.lineage),
		limits:     r.limits,
		downloads:  map[string]*download{},
		sequence:   r.sequence,
		timeUs:     r.timeUs,
	}
	for id, entry := range r.Entries {
		copied.Entries[id] = entry.copy()
	}
	for id, begun := range r.downloads {
		own := *begun
		own.data = bytes.Clone(begun.data)
		copied.downloads[id] = &own
	}
	return copied
}

// ---- For the application.

// Write changes one item; no version deletes it. Where it is pending in an atomic group, it stays in that.
func (r *Replica) Write(id string, version *Version, nowUs int64) error {
	return r.Transaction([]Change{{id, version}}, nowUs)
}

// Change is one of a transaction.
type Change struct {
	ID      string
	Version *Version // nil: deleted
}

// Transaction changes items, each at most once, all or none, here and at the server; with all that is pending in a
// group with one of them.
func (r *Replica) Transaction(changes []Change, nowUs int64) error {
	var changed []Change
	group := map[string]int64{} // sizes of its members
	seen := map[string]bool{}
	for _, change := range changes {
		if err := r.check(change.ID, change.Version); err != nil {
			return err
		}
		if seen[change.ID] {
			return refuse(pb.ErrorReason_ERROR_REASON_DUPLICATE_ID, "%q stands twice in one transaction", change.ID)
		}
		seen[change.ID] = true
		entry := r.Entry(change.ID)
		if entry.fingerprint() == change.Version.fingerprint() {
			continue
		}
		changed = append(changed, change)
		for _, member := range r.groupOf(entry) {
			group[member.ID] = member.size()
		}
	}
	for _, change := range changed {
		group[change.ID] = change.Version.size(change.ID)
	}
	if err := r.checkGroup(group); err != nil {
		return err
	}
	r.writeGroup(changed, group, nowUs)
	return nil
}

// checkGroup refuses a group that would be too large, by the sizes of its members.
func (r *Replica) checkGroup(group map[string]int64) error {
	var size int64
	for _, each := range group {
		size += each
	}
	// Whatever the server says: a content in chunks is no member of a group.
	mostBytes := min(r.limits.GroupBytes, wholeBytes)
	if len(group) > 1 && (int64(len(group)) > r.limits.GroupItems || size > mostBytes) {
		return refuse(pb.ErrorReason_ERROR_REASON_GROUP_INVALID, "the atomic group would be too large")
	}
	return nil
}

func (r *Replica) writeGroup(changed []Change, group map[string]int64, nowUs int64) {
	if len(changed) == 0 {
		return
	}
	timeUs := r.tick(nowUs)
	for _, change := range changed {
		r.write(r.Entry(change.ID), change.Version, timeUs)
	}
	var left []*Pending
	for id := range group {
		if pending := r.Entry(id).Pending; pending != nil {
			left = append(left, pending)
		}
	}
	r.sequence++ // a number that no other group has, also where the changes undid what was pending
	for _, pending := range left {
		pending.Group = r.sequence
		if len(left) == 1 {
			pending.Group = 0 // what is left alone is in none
		}
	}
}

// Resolve ends a conflict that is held, with its group: mine or theirs prevails.
func (r *Replica) Resolve(id string, outcome Outcome, nowUs int64) error {
	held := r.Entry(id)
	if held.Pending == nil || !held.Pending.Held {
		return refuse(pb.ErrorReason_ERROR_REASON_ITEM_HELD, "the item is not held")
	}
	for _, entry := range r.groupOf(held) {
		if outcome == TheirsPrevails {
			r.takeTheirs(entry, entry.theirs(), pb.ChangeStandard_CHANGE_STANDARD_MANUAL, nowUs)
			continue
		}
		entry.Pending.Held, entry.Pending.Overrides = false, pb.ChangeStandard_CHANGE_STANDARD_MANUAL
		r.renew(entry)
	}
	return nil
}

// ResolveWith ends a conflict that is held with another version than both (nil: a deletion); what else is in its
// group prevails.
func (r *Replica) ResolveWith(id string, version *Version, nowUs int64) error {
	if err := r.check(id, version); err != nil {
		return err
	}
	group := map[string]int64{}
	for _, member := range r.groupOf(r.Entry(id)) {
		group[member.ID] = member.size()
	}
	group[id] = version.size(id)
	if err := r.checkGroup(group); err != nil {
		return err
	}
	if err := r.Resolve(id, MinePrevails, nowUs); err != nil {
		return err
	}
	entry := r.Entry(id)
	switch fingerprint := version.fingerprint(); {
	case fingerprint == entry.fingerprint():
	case entry.Base != nil && fingerprint == entry.Base.Fingerprint:
		theirs := entry.theirs()
		theirs.Version = version
		r.takeTheirs(entry, theirs, pb.ChangeStandard_CHANGE_STANDARD_MANUAL, nowUs)
	default:
		r.keepRecord(entry, fingerprint, pb.ChangeStandard_CHANGE_STANDARD_MANUAL)
		r.write(entry, version, r.tick(nowUs))
	}
	return nil
}

// Sorted are all entries by their ids.
func (r *Replica) Sorted() []*Entry {
	byID := func(a, b *Entry) int { return strings.Compare(a.ID, b.ID) }
	return slices.SortedFunc(maps.Values(r.Entries), byID)
}

// Pending are the entries with a pending change, in the order in which those were made.
func (r *Replica) Pending() []*Entry {
	var pending []*Entry
	for _, entry := range r.Entries {
		if entry.Pending != nil {
			pending = append(pending, entry)
		}
	}
	slices.SortFunc(pending, func(a, b *Entry) int { return cmp.Compare(a.Pending.Sequence, b.Pending.Sequence) })
	return pending
}

// LoseCheckpoint forgets where the replica stands; all else stays.
func (r *Replica) LoseCheckpoint() {
	r.Checkpoint, r.witness = nil, nil
}

// Entry is that of an item; one that nothing is known of has an empty one, which is not stored yet.
func (r *Replica) Entry(id string) *Entry {
	if entry, ok := r.Entries[id]; ok {
		return entry
	}
	return &Entry{ID: id}
}

// ---- For the exchange.

// theirs is what the server has of an item, as far as is known.
func (e *Entry) theirs() State {
	if e.Base == nil {
		return State{ID: e.ID}
	}
	return *e.Base
}

// groupOf are all members of a pending change's atomic group; without a group, the change alone.
func (r *Replica) groupOf(entry *Entry) []*Entry {
	if entry.Pending == nil || entry.Pending.Group == 0 {
		return []*Entry{entry}
	}
	isOther := func(other *Entry) bool { return other.Pending.Group != entry.Pending.Group }
	return slices.DeleteFunc(r.Pending(), isOther)
}

// takeTheirs makes the item what the server has. With a standard, mine gave way by it, and is kept in a record.
func (r *Replica) takeTheirs(entry *Entry, theirs State, standard pb.ChangeStandard, nowUs int64) {
	gaveWay := standard != pb.ChangeStandard_CHANGE_STANDARD_UNSPECIFIED
	if gaveWay && entry.fingerprint() != theirs.Fingerprint {
		r.keepRecord(entry, theirs.Fingerprint, standard)
	}
	entry.Mine, entry.TimeUs, entry.Pending = theirs.Version, theirs.TimeUs, nil
	r.timeUs = max(r.timeUs, min(theirs.TimeUs, nowUs+mostAheadUs))
	r.moveBase(entry, &theirs)
}

// standOn: the pending change stays, on what the server has now. Whatever was sent of it before is settled.
func (r *Replica) standOn(entry *Entry, theirs State, overrides pb.ChangeStandard, isHeld bool) {
	pending := entry.Pending
	pending.Sendings, pending.Overrides, pending.Held = nil, overrides, isHeld
	r.moveBase(entry, &theirs)
}

// agree: the server has what mine is, as of this revision. Nothing is left to send.
func (r *Replica) agree(entry *Entry, revision int64) {
	entry.Pending = nil
	base := &State{ID: entry.ID, Revision: revision, TimeUs: entry.TimeUs}
	if entry.Mine != nil {
		base.Fingerprint, base.Version, base.Size = entry.Mine.Fingerprint, entry.Mine, int64(len(entry.Mine.Data))
	}
	r.moveBase(entry, base)
}

// offer makes a clean item pending again: the server, which was restored to an earlier time, lost it.
func (r *Replica) offer(entry *Entry, theirs State, overrides pb.ChangeStandard, isHeld bool) {
	entry.Pending = &Pending{Overrides: overrides, Held: isHeld}
	r.renew(entry)
	if theirs.Revision == 0 {
		// Nothing is known of it at the server, not even a deletion: it is a creation.
		r.moveBase(entry, nil)
	} else {
		r.moveBase(entry, &theirs)
	}
}

// moveBase is the only place where the fingerprint of a base changes: the sum over all bases changes with it.
func (r *Replica) moveBase(entry *Entry, base *State) {
	r.Total = r.Total.Minus(SumOf(entry.Base.fingerprint())).Plus(SumOf(base.fingerprint()))
	entry.Base = base
	delete(r.downloads, entry.ID) // it was begun for an earlier state
	r.keep(entry)
}

// hear: the server spoke of a revision. One that does not know it any more was restored to before it.
func (r *Replica) hear(witness *pb.Checkpoint) {
	if witness.GetRevision() > max(r.Checkpoint.GetRevision(), r.witness.GetRevision()) {
		r.witness = witness
	}
}

// stand: all changes up to a checkpoint have been taken. Stored together with the last of them.
func (r *Replica) stand(checkpoint *pb.Checkpoint) {
	r.Checkpoint = checkpoint
	if r.witness.GetRevision() <= checkpoint.Revision {
		r.witness = nil
	}
}

// ---- Inside.

func (r *Replica) check(id string, version *Version) error {
	if !IsID(id) {
		return refuse(pb.ErrorReason_ERROR_REASON_INVALID_ID, "%q is no id", id)
	}
	if version != nil && int64(len(version.Data)) > r.limits.ItemBytes {
		return refuse(pb.ErrorReason_ERROR_REASON_ITEM_TOO_LARGE, "a content may have %d bytes", r.limits.ItemBytes)
	}
	return nil
}

func (r *Replica) tick(nowUs int64) int64 {
	r.timeUs = max(nowUs, r.timeUs+1)
	return r.timeUs
}

func (r *Replica) write(entry *Entry, mine *Version, timeUs int64) {
	entry.Mine, entry.TimeUs = mine, timeUs
	pending, base := entry.Pending, entry.Base
	isBack := pending != nil && entry.fingerprint() == base.fingerprint()
	switch {
	// Back to what the server has: nothing is left to send. But what was sent, or overrides another change, goes on.
	case isBack && len(pending.Sendings) == 0 && pending.Overrides == pb.ChangeStandard_CHANGE_STANDARD_UNSPECIFIED:
		entry.Pending = nil
		if base != nil {
			entry.TimeUs = base.TimeUs
		}
	case pending == nil:
		entry.Pending = &Pending{}
		r.renew(entry)
	default:
		r.renew(entry)
	}
	r.keep(entry)
}

// renew gives a pending change a number of its own; it goes on from the one before it.
func (r *Replica) renew(entry *Entry) {
	r.sequence++
	entry.Pending.Sequence = r.sequence
	entry.Pending.Rejected = pb.ErrorReason_ERROR_REASON_UNSPECIFIED
	entry.Pending.Upload = nil
}

// keep stores an entry; of an item that is gone on both sides nothing is kept.
func (r *Replica) keep(entry *Entry) {
	if entry.Mine == nil && entry.Pending == nil {
		delete(r.Entries, entry.ID)
	} else {
		r.Entries[entry.ID] = entry
	}
}

func (r *Replica) keepRecord(entry *Entry, prevailed Fingerprint, standard pb.ChangeStandard) {
	record := ConflictRecord{entry.ID, entry.Mine, entry.TimeUs, prevailed, standard}
	r.Conflicts = append(r.Conflicts, record)
}
