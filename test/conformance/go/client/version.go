package client

import (
	"slices"

	pb "tercet-conformance/gen/tercet/v1"
)

// Version is a content of an item. It does not change. What came as text goes as text; the fingerprint is the same
// for both.
type Version struct {
	Fingerprint Fingerprint
	Data        []byte
	IsText      bool
}

// NewVersion makes a version of an item.
func NewVersion(id string, data []byte, isText bool) *Version {
	return &Version{FingerprintOf(id, data), data, isText}
}

// fingerprint is NoItem where there is no version.
func (v *Version) fingerprint() Fingerprint {
	if v == nil {
		return NoItem
	}
	return v.Fingerprint
}

// size is what a change into this version counts in the window, and in an atomic group.
func (v *Version) size(id string) int64 {
	size := len(id) + 64
	if v != nil {
		size += len(v.Data)
	}
	return int64(size)
}

// State is a state that an item has, or had, at the server. It does not change.
type State struct {
	ID          string
	Fingerprint Fingerprint // NoItem: deleted, or there is no such item
	Revision    int64
	TimeUs      int64
	Size        int64
	Version     *Version // nil where the content is not at hand
}

func (s *State) fingerprint() Fingerprint {
	if s == nil {
		return NoItem
	}
	return s.Fingerprint
}

// Pending is a change of this side that the server does not have yet. What the item is now, its entry says.
type Pending struct {
	// Grows with every local change. A verdict on another number speaks of an earlier change.
	Sequence int64
	// What was sent and has no verdict (NoItem: a deletion): it may arrive yet, or have arrived.
	Sendings []Fingerprint
	// Set where it prevails over a change of the server, the base: by which standard.
	Overrides pb.ChangeStandard
	// In conflict with the base until somebody resolves it. Not sent.
	Held bool
	// Changes with the same number go together, or not at all; 0 for none.
	Group int64
	// Why the server did not accept it.
	Rejected pb.ErrorReason
	// Under which id the chunks of a large content were begun to be sent; empty: they were not.
	Upload []byte
}

// Entry is all that is known of an item.
type Entry struct {
	ID      string
	Mine    *Version // what the application sees; nil: no item
	TimeUs  int64
	Base    *State   // what was last agreed on; of a held item, theirs. Nil: nothing is known of it at the server
	Pending *Pending // nil: the item is clean
}

func (e *Entry) fingerprint() Fingerprint { return e.Mine.fingerprint() }

func (e *Entry) size() int64 { return e.Mine.size(e.ID) }

func (e *Entry) copy() *Entry {
	copied := *e
	if e.Pending != nil {
		pending := *e.Pending
		pending.Sendings = slices.Clone(pending.Sendings)
		copied.Pending = &pending
	}
	return &copied
}

// ConflictRecord is a version of this side that gave way to another, by a standard.
type ConflictRecord struct {
	ID        string
	Version   *Version // nil: a deletion
	TimeUs    int64
	Prevailed Fingerprint
	Standard  pb.ChangeStandard
}

// download is a large content of which some chunks have come.
type download struct {
	revision, size, timeUs int64
	isText                 bool
	data                   []byte
}
