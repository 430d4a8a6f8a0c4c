package client

import (
	"slices"
	"time"

	pb "tercet-conformance/gen/tercet/v1"
)

// HistoryChange is what is done where the server was restored to an earlier time.
type HistoryChange string

// What can be done.
const (
	Offer  HistoryChange = "offer"  // what the server lost is offered to it again
	Follow HistoryChange = "follow" // what the server lost is given up, and kept in conflict records
	Stop   HistoryChange = "stop"   // nothing: the exchange ends with TOKEN_OTHER_HISTORY
)

// Options say how an exchange is to be.
type Options struct {
	Server          string            // host:port
	Standard        pb.ChangeStandard // UNSPECIFIED: the collection's, else SERVER
	Create          bool
	Recreate        bool
	OnHistoryChange HistoryChange // empty: Offer
	NowUs           func() int64  // the clock; nil: the system's
}

// RecoveryReason is why a recovery was needed.
type RecoveryReason string

// Why a recovery can be needed.
const (
	Compacted  RecoveryReason = "compacted"  // the tombstones since the checkpoint are gone
	History    RecoveryReason = "history"    // the server was restored to an earlier time
	Recreated  RecoveryReason = "recreated"  // the collection was deleted and made anew
	Unverified RecoveryReason = "unverified" // the proof failed
	Asked      RecoveryReason = "asked"      // the replica had no checkpoint
)

// Recovery tells of one.
type Recovery struct {
	Why     RecoveryReason
	Offered []string // ids of what was offered to the server again
}

// EndedConflict is how the conflict of an item ended.
type EndedConflict struct {
	Standard  pb.ChangeStandard
	Prevailed Outcome
}

// Report says what an exchange did.
type Report struct {
	Standard          pb.ChangeStandard // in force
	Received, Deleted int               // contents and deletions taken from the server
	Sent, SentDeleted int               // contents and deletions that the server took
	Settled           int               // pending changes for which nothing moved
	Conflicts         map[string]EndedConflict
	Rejected          map[string]pb.ErrorReason
	Contended         map[string]bool
	Recovery          *Recovery // nil: there was none
	Verified          bool
	RoundTrips        int
	// The checkpoint's revision, and count and sum of all bases, at the end.
	Revision int64
	Total    RangeSum
}

// sentPush is a push without a verdict.
type sentPush struct {
	id       string
	sequence int64
	version  *Version // nil: a deletion
	timeUs   int64
	isResent bool // something was sent of the item on an earlier stream that may arrive yet
	isAgain  bool // the change was sent before on this stream
}

// session is an exchange under way: what its steps need, and what they have to remember until its end.
type session struct {
	*stream
	replica *Replica
	options Options
	report  *Report
	limits  *pb.Limits // in force; before Opened, what was last heard of
	opened  *pb.Opened // the server's first message
	// What to add to this side's clock for the latest modify time that the server takes.
	ceilingAheadUs int64
	// Pushes without a verdict, in order, and the ordinal of the first.
	onTheWay     []sentPush
	firstOrdinal int64
	// Sequence numbers of changes that were sent on this stream; that are not due (again) before a comparison; and
	// that were settled by a comparison while the push was on its way, so that its verdict adds nothing.
	sent, tried, settled map[int64]bool
	// Races that each item lost.
	races map[string]int
	// Epochs that the server began since Opened.
	begun []*pb.Epoch
	// The replica does not stand in the server's history: a recovery is due, or under way.
	isRecovering bool
	// The replica goes on with another collection than its own, which was deleted.
	isRebinding bool
	// The latest revision that the server spoke of on this stream, and that of a content that was fetched.
	heard           *pb.Checkpoint
	fetchedRevision int64
}

func newSession(stream *stream, replica *Replica, options Options) *session {
	if options.NowUs == nil {
		options.NowUs = func() int64 { return time.Now().UnixMicro() }
	}
	s := &session{
		stream:  stream,
		replica: replica,
		options: options,
		limits:  replica.limits,
		report: &Report{
			Conflicts:  map[string]EndedConflict{},
			Rejected:   map[string]pb.ErrorReason{},
			Contended:  map[string]bool{},
			RoundTrips: 1,
		},
		sent:    map[int64]bool{},
		tried:   map[int64]bool{},
		settled: map[int64]bool{},
		races:   map[string]int{},
	}
	stream.lock = replica
	stream.epochBegun = s.beginEpoch
	return s
}

// has tells whether a capability is in force.
func has(opened *pb.Opened, capability pb.Capability) bool {
	return slices.Contains(opened.Capabilities, capability)
}

// hearOf remembers the latest revision that the server spoke of; it is stored with what it spoke of it for.
func (s *session) hearOf(witness *pb.Checkpoint) {
	if witness.GetRevision() > s.heard.GetRevision() {
		s.heard = witness
	}
}

func (s *session) beginEpoch(epoch *pb.Epoch) {
	s.begun = append(s.begun, epoch)
	// In a recovery the lineage stays that of what the replica stands in.
	if !s.isRecovering {
		s.replica.lineage = append(s.replica.lineage, epoch)
	}
}
