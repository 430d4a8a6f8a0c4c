// Package client is a reference client of Tercet: a replica in memory, and the exchange that makes it equal with its
// collection. Begin reading here.
package client

import (
	"bytes"
	"context"

	pb "tercet-conformance/gen/tercet/v1"
)

// Proofs that are asked for before the exchange gives up on one: others change the collection faster than it is read.
const mostPasses = 8

const uidBytes = 16

// Sync makes a replica equal with its collection: one exchange, from Open to the end of the stream.
//
// The application may change the replica, under its lock, while the exchange waits for the server. An exchange that
// fails has lost nothing: the replica keeps what it has taken, and the next one goes on from there. Errors are an
// *Error where this side found something, else the server's status. One that begins while another one runs waits for
// its end.
func Sync(ctx context.Context, replica *Replica, options Options) (*Report, error) {
	replica.exchange.Lock()
	defer replica.exchange.Unlock()
	stream, err := openStream(ctx, options.Server)
	if err != nil {
		return nil, err
	}
	defer stream.close()
	replica.Lock()
	defer replica.Unlock()
	s := newSession(stream, replica, options)
	if err := s.exchange(); err != nil {
		return nil, err
	}
	if err := s.finish(); err != nil {
		return nil, err
	}
	// A conflict whose change lost its races has not ended.
	for id := range s.report.Contended {
		delete(s.report.Conflicts, id)
	}
	s.report.Revision, s.report.Total = replica.Checkpoint.GetRevision(), replica.Total
	return s.report, nil
}

func (s *session) exchange() error {
	isLost := len(s.replica.Checkpoint.GetToken()) == 0 && s.replica.Total.Count > 0
	s.sendOpen(isLost)
	if !isLost {
		s.sendEagerly()
		s.sendDone()
	}
	why, err := s.takeOpened(isLost)
	if err != nil {
		return err
	}
	if why != "" {
		if err := s.recover(why); err != nil {
			return err
		}
	}
	if err := s.judgeHeld(); err != nil {
		return err
	}
	return s.goOn(why == "")
}

// goOn makes rounds until a proof decides: it sends what is due, then Done, and takes what comes up to the proof. By
// then every push has its verdict. In the first round all that may have been done already.
func (s *session) goOn(isAsked bool) error {
	for passes := 0; passes < mostPasses; isAsked = false {
		if isAsked {
			passes++
		} else {
			isAll, err := s.sendPending()
			if err != nil {
				return err
			}
			if isAll {
				passes++
			}
			s.sendDone()
			s.report.RoundTrips++
		}
		proof, err := s.takeToProof()
		if err != nil {
			return err
		}
		// A content that was fetched may be later than the proof: then it takes another one.
		if len(s.dueUnits()) > 0 || s.fetchedRevision > s.replica.Checkpoint.GetRevision() {
			continue
		}
		if s.report.Verified = says(proof, s.replica.Total); s.report.Verified {
			return nil
		}
		if s.report.Recovery != nil || !has(s.opened, pb.Capability_CAPABILITY_RECONCILE) {
			return unverified("the replica does not hold what the server holds")
		}
		if err := s.recover(Unverified); err != nil {
			return err
		}
	}
	return nil
}

// takeToProof takes what the server says up to the proof that was asked for.
func (s *session) takeToProof() (*pb.RangeFingerprint, error) {
	for {
		response, err := s.receive()
		if err != nil {
			return nil, err
		}
		if err := s.takeMessage(response); err != nil {
			return nil, err
		}
		proof := response.GetPage().GetProof()
		switch {
		case proof == nil:
		case len(s.onTheWay) > 0:
			return nil, outOfOrder("a proof came before the verdicts on what was sent before it")
		default:
			return proof, nil
		}
	}
}

func (s *session) sendOpen(recovers bool) {
	s.send(&pb.ExchangeRequest{Message: &pb.ExchangeRequest_Open{Open: &pb.Open{
		Collection:    s.replica.Collection,
		CollectionUid: s.replica.uid,
		Token:         s.replica.Checkpoint.GetToken(),
		Witness:       s.replica.witness.GetToken(),
		Standard:      s.options.Standard,
		Capabilities: []pb.Capability{
			pb.Capability_CAPABILITY_RECONCILE,
			pb.Capability_CAPABILITY_CHUNKS,
			pb.Capability_CAPABILITY_GROUPS,
		},
		Create:   s.options.Create,
		Recreate: s.options.Recreate,
		Client:   "tercet reference client, Go",
		Recover:  recovers,
	}}})
}

func (s *session) sendDone() {
	s.send(&pb.ExchangeRequest{Message: &pb.ExchangeRequest_Done{Done: &pb.Done{}}})
}

// takeOpened takes the server's first message. It answers why a recovery has to come first; empty: it has not.
func (s *session) takeOpened(isLost bool) (RecoveryReason, error) {
	response, err := s.receive()
	if err != nil {
		return "", err
	}
	opened := response.GetOpened()
	if opened == nil {
		return "", outOfOrder("the first message was a %T, not Opened", response.Message)
	}
	why, err := s.whyRecover(opened, isLost)
	if err != nil {
		return "", err
	}
	standard := opened.Standard
	if standard < pb.ChangeStandard_CHANGE_STANDARD_SERVER || standard > pb.ChangeStandard_CHANGE_STANDARD_MANUAL {
		return "", unsupported("this client does not know the standard in force, %d", standard)
	}
	if opened.Limits.GetMessageBytes() <= 0 {
		return "", outOfOrder("the server did not say which limits are in force")
	}
	s.opened, s.limits, s.replica.limits = opened, opened.Limits, opened.Limits
	s.ceilingAheadUs = opened.ServerTimeUs - s.options.NowUs() + opened.SkewUs
	s.report.Standard = standard
	s.isRecovering = why != ""
	// In a recovery the lineage stays that of what the replica stands in, until it stands in the server's.
	if !s.isRecovering {
		s.replica.uid = opened.CollectionUid
		s.replica.lineage = joinLineage(s.replica.lineage, opened.Lineage)
	}
	return why, nil
}

// joinLineage: the epochs that are told begin with the token's, and take the place of those from there on.
func joinLineage(own, told []*pb.Epoch) []*pb.Epoch {
	var joined []*pb.Epoch
	for _, epoch := range own {
		if len(told) > 0 && epoch.FirstRevision < told[0].FirstRevision {
			joined = append(joined, epoch)
		}
	}
	return append(joined, told...)
}

func (s *session) whyRecover(opened *pb.Opened, isLost bool) (RecoveryReason, error) {
	refused := opened.TokenRefused
	isRefused := refused != pb.ErrorReason_ERROR_REASON_UNSPECIFIED
	isOther := refused == pb.ErrorReason_ERROR_REASON_TOKEN_OTHER_HISTORY
	canRecover := has(opened, pb.Capability_CAPABILITY_RECONCILE)
	if isRefused && !canRecover || isOther && s.options.OnHistoryChange == Stop {
		return "", refuse(refused, "the server can't serve the replica's token; nothing was changed")
	}
	if len(opened.CollectionUid) != uidBytes {
		return "", outOfOrder("the server did not say which collection this is")
	}
	s.isRebinding = len(s.replica.uid) > 0 && !bytes.Equal(s.replica.uid, opened.CollectionUid)
	switch {
	case s.isRebinding && !s.options.Recreate:
		return "", outOfOrder("the server opened another collection than the replica's")
	case isLost:
		return Asked, nil
	case s.isRebinding:
		return Recreated, nil
	case isOther:
		return History, nil
	case isRefused:
		return Compacted, nil
	default:
		return "", nil
	}
}

// judgeHeld judges held items anew where a standard was named for that: not where SERVER is in force for want of any.
func (s *session) judgeHeld() error {
	inForce, asked := s.opened.Standard, s.options.Standard
	isUnnamed := asked == pb.ChangeStandard_CHANGE_STANDARD_UNSPECIFIED
	if inForce == pb.ChangeStandard_CHANGE_STANDARD_MANUAL ||
		isUnnamed && inForce == pb.ChangeStandard_CHANGE_STANDARD_SERVER {
		return nil
	}
	var theirs []State
	for _, entry := range s.replica.Pending() {
		if entry.Pending.Held {
			theirs = append(theirs, entry.theirs())
		}
	}
	return s.takeChanges(theirs, taking{rejudges: true})
}
