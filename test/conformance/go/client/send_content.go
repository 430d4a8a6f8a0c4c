package client

// Step 3, towards the server: sends pending changes, each with its content, its fingerprint and what it was made on.
// What is sent is remembered before it is sent.

import (
	"bytes"
	"crypto/rand"
	"slices"

	"google.golang.org/protobuf/proto"

	pb "tercet-conformance/gen/tercet/v1"
)

const (
	wholeBytes        = 1 << 20 // larger contents travel in chunks
	mostEagerChanges  = 4096
	uploadIDBytes     = 16
	eagerShareOfItems = 4 // of the window
)

// unit is a pending change by itself, or all changes of an atomic group.
type unit []*Entry

func (u unit) size() int64 {
	var size int64
	for _, entry := range u {
		size += entry.size()
	}
	return size
}

func (u unit) hasLarge() bool { return slices.ContainsFunc(u, (*Entry).isLarge) }

func (e *Entry) isLarge() bool { return e.Mine != nil && len(e.Mine.Data) > wholeBytes }

// dueUnits are pending changes in their order, those of a group together: without those that had their turn, or are
// held.
func (s *session) dueUnits() []unit {
	var units []unit
	places := map[int64]int{} // of groups
	for _, entry := range s.replica.Pending() {
		group := entry.Pending.Group
		place, isBegun := places[group]
		if group != 0 && isBegun {
			units[place] = append(units[place], entry)
			continue
		}
		places[group] = len(units)
		units = append(units, unit{entry})
	}
	return slices.DeleteFunc(units, func(unit unit) bool { return !s.isDue(unit) })
}

func (s *session) isDue(unit unit) bool {
	isHeld := func(entry *Entry) bool { return entry.Pending != nil && entry.Pending.Held }
	isNext := func(entry *Entry) bool { return entry.Pending != nil && !s.tried[entry.Pending.Sequence] }
	return !slices.ContainsFunc(unit, isHeld) && slices.ContainsFunc(unit, isNext)
}

// sendEagerly sends what is small and was never sent, right behind Open, if all of that is little enough.
func (s *session) sendEagerly() {
	wasSent := func(entry *Entry) bool { return len(entry.Pending.Sendings) > 0 }
	units := slices.DeleteFunc(s.dueUnits(), func(unit unit) bool { return slices.ContainsFunc(unit, wasSent) })
	all := slices.Concat(units...)
	mostChanges := min(mostEagerChanges, s.limits.WindowItems/eagerShareOfItems)
	isMuch := all.size() > s.limits.EagerBytes || int64(len(all)) > mostChanges
	// Without a token there is nothing that the server could hold a change against.
	if isMuch || all.hasLarge() || len(s.replica.Checkpoint.GetToken()) == 0 {
		return
	}
	for _, batch := range batches(units, s.limits.MessageBytes) {
		s.push(batch, nil)
	}
}

// sendPending sends what is due, as far as it fits into the window: small changes first, for while a large one is
// uploaded the application may change others. It answers whether that was all.
func (s *session) sendPending() (bool, error) {
	units := s.dueUnits()
	small := slices.DeleteFunc(slices.Clone(units), unit.hasLarge)
	large := slices.DeleteFunc(units, func(unit unit) bool { return !unit.hasLarge() })
	var size, count int64
	for i, batch := range slices.Concat(batches(small, s.limits.MessageBytes), large) {
		size += batch.size()
		count += int64(len(batch))
		if i > 0 && (size > s.limits.WindowBytes || count > s.limits.WindowItems) {
			return false, nil
		}
		if !batch.hasLarge() {
			s.push(batch, s.revisionSeen())
		} else if err := s.sendLarge(batch); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (s *session) revisionSeen() *int64 { return proto.Int64(s.replica.Checkpoint.GetRevision()) }

// batches cuts units where a message would be too long; a larger one is by itself.
func batches(units []unit, messageBytes int64) []unit {
	var cut []unit
	var size int64
	for _, unit := range units {
		size += unit.size()
		if len(cut) == 0 || size > messageBytes {
			cut = append(cut, nil)
			size = unit.size()
		}
		last := len(cut) - 1
		cut[last] = append(cut[last], unit...)
	}
	return cut
}

// sendLarge sends a large content, which is in no group.
func (s *session) sendLarge(unit unit) error {
	entry := unit[0]
	// While another one was uploaded, the application may have changed this one.
	if !entry.isLarge() || !s.isDue(unit) {
		return nil
	}
	if s.isTooLarge(entry) {
		// What the server would not take is not sent.
		reason := pb.ErrorReason_ERROR_REASON_ITEM_TOO_LARGE
		s.report.Rejected[entry.ID], entry.Pending.Rejected = reason, reason
		s.tried[entry.Pending.Sequence] = true
		return nil
	}
	sequence := entry.Pending.Sequence
	if err := s.upload(entry); err != nil {
		return err
	}
	// What it was changed into meanwhile has its turn later.
	if entry.Pending != nil && entry.Pending.Sequence == sequence {
		s.push(unit, s.revisionSeen())
	}
	return nil
}

func (s *session) isTooLarge(entry *Entry) bool {
	most := s.limits.ItemBytes
	if !has(s.opened, pb.Capability_CAPABILITY_CHUNKS) {
		most = min(most, wholeBytes)
	}
	return int64(len(entry.Mine.Data)) > most
}

// push sends one batch. Seen is the revision of the checkpoint that its changes have seen; nil: the token's in Open.
func (s *session) push(batch unit, seen *int64) {
	message := &pb.PushBatch{RevisionSeen: seen}
	for _, entry := range batch {
		message.Pushes = append(message.Pushes, s.toPush(entry))
		s.remember(entry)
	}
	s.send(&pb.ExchangeRequest{Message: &pb.ExchangeRequest_Push{Push: message}})
}

// remember that an entry's change is sent.
func (s *session) remember(entry *Entry) {
	pending := entry.Pending
	s.onTheWay = append(s.onTheWay, sentPush{
		id:       entry.ID,
		sequence: pending.Sequence,
		version:  entry.Mine,
		timeUs:   entry.TimeUs,
		isResent: len(pending.Sendings) > 0,
		isAgain:  s.sent[pending.Sequence],
	})
	s.sent[pending.Sequence], s.tried[pending.Sequence] = true, true
	if !slices.Contains(pending.Sendings, entry.fingerprint()) {
		pending.Sendings = append(pending.Sendings, entry.fingerprint())
	}
}

func (s *session) toPush(entry *Entry) *pb.Push {
	pending, mine := entry.Pending, entry.Mine
	push := &pb.Push{
		Id:           entry.ID,
		Kind:         pb.ChangeKind_CHANGE_KIND_UPSERTED,
		Fingerprint:  toFingerprint(mine.fingerprint()),
		Expected:     toFingerprint(entry.Base.fingerprint()),
		Overrides:    pending.Overrides,
		ModifyTimeUs: entry.TimeUs,
		Group:        pending.Group,
		Fence:        len(pending.Sendings) > 0,
	}
	// What was sent before may have been made and undone since, which a recovery does not tell: it has seen its base only.
	if entry.Base != nil && (push.Fence || entry.Base.Revision > s.replica.Checkpoint.GetRevision()) {
		push.RevisionSeen = proto.Int64(entry.Base.Revision)
	}
	switch {
	case mine == nil:
		push.Kind = pb.ChangeKind_CHANGE_KIND_DELETED
	case entry.isLarge():
		push.UploadId = pending.Upload
	case mine.IsText:
		push.Content = &pb.Push_Text{Text: string(mine.Data)}
	default:
		push.Content = &pb.Push_Data{Data: mine.Data}
	}
	return push
}

// upload sends a large content in chunks, before its push. What was begun before goes on where the server has it.
func (s *session) upload(entry *Entry) error {
	mine, uploadID := entry.Mine, entry.Pending.Upload
	size, chunkBytes := int64(len(mine.Data)), s.limits.MessageBytes
	sendChunk := func(from, to int64) {
		s.send(&pb.ExchangeRequest{Message: &pb.ExchangeRequest_Chunk{Chunk: &pb.ContentChunk{
			UploadId: uploadID,
			Id:       entry.ID,
			Offset:   from,
			Data:     mine.Data[from:to],
			Size:     size,
			Text:     mine.IsText,
		}}})
	}
	var held int64
	var err error
	if len(uploadID) == 0 {
		uploadID = make([]byte, uploadIDBytes)
		_, _ = rand.Read(uploadID) // never fails
		entry.Pending.Upload = uploadID
	} else {
		// A chunk without data asks how much there is.
		sendChunk(0, 0)
		if held, err = s.heldByServer(uploadID, 0, size); err != nil {
			return err
		}
	}
	for sent := held; sent < size; {
		if sent == held || sent-held+chunkBytes <= s.limits.WindowBytes {
			to := min(sent+chunkBytes, size)
			sendChunk(sent, to)
			sent = to
			continue
		}
		if held, err = s.heldByServer(uploadID, held+1, size); err != nil {
			return err
		}
		sent = max(sent, held)
	}
	return nil
}

// heldByServer waits until the server says how much of an upload it holds.
func (s *session) heldByServer(uploadID []byte, least, most int64) (int64, error) {
	response, err := s.receiveOnly(func(response *pb.ExchangeResponse) bool {
		state := response.GetUpload()
		return state != nil && bytes.Equal(state.UploadId, uploadID)
	})
	if err != nil {
		return 0, err
	}
	offset := response.GetUpload().Offset
	if offset < least || offset > most {
		return 0, outOfOrder("the server says of an upload that it holds %d bytes", offset)
	}
	return offset, nil
}
