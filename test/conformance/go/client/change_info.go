package client

// Step 1: reads the server's change info. vectors/pages.json has examples.

import (
	"bytes"
	"cmp"
	"crypto/sha256"

	pb "tercet-conformance/gen/tercet/v1"
)

// readChanges fills in what changes leave out, and proves every inline content: by its own fingerprint or, with all
// others that came without one, by the fingerprint of the page. What is not proved comes without its content, and
// unproved.
func readChanges(changes []*pb.ChangeInfo, proof *pb.RangeFingerprint) ([]State, error) {
	states := make([]State, len(changes))
	var covered []int
	var total RangeSum
	var revision, timeUs int64
	for i, info := range changes {
		if err := checkKnown(info); err != nil {
			return nil, err
		}
		revision = cmp.Or(info.Revision, revision+1)
		timeUs = cmp.Or(info.ModifyTimeUs, timeUs)
		state := State{ID: info.Id, Revision: revision, TimeUs: timeUs, Size: info.Size}
		version := versionIn(info.Id, info.Content)
		switch {
		case info.Kind == pb.ChangeKind_CHANGE_KIND_DELETED:
			states[i] = state
		case version == nil:
			state.Fingerprint = fingerprintIn(info.Fingerprint)
			states[i] = state
		case info.Fingerprint != nil:
			states[i] = proved(state, version, fingerprintIn(info.Fingerprint))
		default:
			covered = append(covered, i)
			total = total.Plus(SumOf(version.Fingerprint))
			states[i] = proved(state, version, version.Fingerprint)
		}
	}
	if !says(proof, total) {
		for _, i := range covered {
			states[i].Fingerprint, states[i].Version = unproved, nil
		}
	}
	return states, nil
}

// checkKnown: a change that this client does not understand can't be taken, and so no checkpoint that covers it.
func checkKnown(info *pb.ChangeInfo) error {
	fingerprint := info.Fingerprint
	isSHA256 := fingerprint.GetAlgorithm() == pb.FingerprintAlgorithm_FINGERPRINT_ALGORITHM_SHA256 &&
		len(fingerprint.GetValue()) == sha256.Size
	isInline := fingerprint == nil && info.Content != nil
	switch {
	case info.Kind == pb.ChangeKind_CHANGE_KIND_DELETED:
		return nil
	case info.Kind == pb.ChangeKind_CHANGE_KIND_UPSERTED && (isSHA256 || isInline):
		return nil
	default:
		return unsupported("the server told of %q what this client does not know", info.Id)
	}
}

// proved is the state with a content, if that has this fingerprint; else without it, and unproved.
func proved(state State, version *Version, fingerprint Fingerprint) State {
	if version == nil || version.Fingerprint != fingerprint {
		state.Fingerprint = unproved
		return state
	}
	state.Fingerprint, state.Version, state.Size = fingerprint, version, int64(len(version.Data))
	return state
}

// versionIn is the content of a message: the oneof of a ChangeInfo or an ItemContent. Nil where it is not set, which
// is not the same as empty.
func versionIn(id string, content any) *Version {
	switch content := content.(type) {
	case *pb.ChangeInfo_Data:
		return NewVersion(id, content.Data, false)
	case *pb.ChangeInfo_Text:
		return NewVersion(id, []byte(content.Text), true)
	case *pb.ItemContent_Data:
		return NewVersion(id, content.Data, false)
	case *pb.ItemContent_Text:
		return NewVersion(id, []byte(content.Text), true)
	}
	return nil
}

func fingerprintIn(message *pb.Fingerprint) Fingerprint {
	return Fingerprint(message.GetValue())
}

// toFingerprint makes the message for a fingerprint; unset for no item.
func toFingerprint(fingerprint Fingerprint) *pb.Fingerprint {
	if fingerprint == NoItem {
		return nil
	}
	return &pb.Fingerprint{
		Algorithm: pb.FingerprintAlgorithm_FINGERPRINT_ALGORITHM_SHA256,
		Value:     []byte(fingerprint),
	}
}

// says tells whether a message says the same as a sum. One that is not set says: no items.
func says(told *pb.RangeFingerprint, own RangeSum) bool {
	if told.GetCount() == 0 {
		return own.Count == 0
	}
	return told.Algorithm == pb.FingerprintAlgorithm_FINGERPRINT_ALGORITHM_SHA256 &&
		told.Count == own.Count && bytes.Equal(told.Sum, own.Bytes())
}
