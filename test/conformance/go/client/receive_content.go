package client

// Step 3, towards the client: asks for contents that were not inline, and proves each by its fingerprint.

import (
	pb "tercet-conformance/gen/tercet/v1"
)

const mostIDsAtOnce = 1000

// fetchContents fetches the contents of these items, within the window. What comes may be of a later revision than
// was told, or a deletion. A content that is not what its fingerprint says is fetched once more, then the exchange
// fails.
func (s *session) fetchContents(wanted []State) ([]State, error) {
	var fetched []State
	for len(wanted) > 0 {
		count := s.fitting(wanted)
		states, err := s.fetch(wanted[:count])
		if err != nil {
			return nil, err
		}
		fetched = append(fetched, states...)
		wanted = wanted[count:]
	}
	return fetched, nil
}

// fitting is how many of the first items fit into the window; a larger one by itself.
func (s *session) fitting(wanted []State) int {
	var size int64
	most := min(mostIDsAtOnce, s.limits.WindowItems)
	for i, state := range wanted {
		size += state.Size + 64
		if i > 0 && (size > s.limits.WindowBytes || int64(i) >= most) {
			return i
		}
	}
	return len(wanted)
}

func (s *session) fetch(wanted []State) ([]State, error) {
	waiting, wrongOnce := map[string]bool{}, map[string]bool{}
	message := &pb.Fetch{}
	for _, state := range wanted {
		waiting[state.ID] = true
		wrongOnce[state.ID] = state.Fingerprint == unproved
		message.Items = append(message.Items, s.toWanted(state.ID))
	}
	s.sendFetch(message)
	var fetched []State
	var chunked string
	for len(waiting) > 0 {
		states, err := s.readFetched(&chunked)
		if err != nil {
			return nil, err
		}
		for _, state := range states {
			switch {
			case !waiting[state.ID]:
				return nil, outOfOrder("the content of %q was not asked for", state.ID)
			case state.Fingerprint != unproved:
				delete(waiting, state.ID)
				fetched = append(fetched, state)
				s.fetchedRevision = max(s.fetchedRevision, state.Revision)
			case wrongOnce[state.ID]:
				return nil, unverified("the content of %q does not agree with its fingerprint, twice", state.ID)
			default:
				wrongOnce[state.ID] = true
				s.sendFetch(&pb.Fetch{Items: []*pb.ContentWanted{{Id: state.ID}}})
			}
		}
	}
	return fetched, nil
}

func (s *session) sendFetch(fetch *pb.Fetch) {
	s.send(&pb.ExchangeRequest{Message: &pb.ExchangeRequest_Fetch{Fetch: fetch}})
}

// toWanted: what was cut in mid-content goes on from there.
func (s *session) toWanted(id string) *pb.ContentWanted {
	if begun := s.replica.downloads[id]; begun != nil {
		return &pb.ContentWanted{Id: id, Offset: int64(len(begun.data)), Revision: begun.revision}
	}
	return &pb.ContentWanted{Id: id}
}

// readFetched reads the next contents, or the next chunk of one: the id comes with the first.
func (s *session) readFetched(chunked *string) ([]State, error) {
	response, err := s.receiveOnly(func(response *pb.ExchangeResponse) bool {
		return response.GetContents() != nil || response.GetChunk() != nil
	})
	if err != nil {
		return nil, err
	}
	chunk := response.GetChunk()
	if chunk == nil {
		return s.readContents(response.GetContents())
	}
	if chunk.Id != "" {
		*chunked = chunk.Id
	}
	return s.readChunk(*chunked, chunk)
}

func (s *session) readContents(contents *pb.Contents) ([]State, error) {
	s.hearOf(contents.Witness)
	for _, refused := range contents.Refused {
		return nil, refuse(refused.Reason, "the server can't send %q: %s", refused.Id, refused.Message)
	}
	var states []State
	for _, gone := range contents.Deleted {
		states = append(states, State{ID: gone.Id, Revision: gone.Revision, TimeUs: gone.ModifyTimeUs})
	}
	for _, item := range contents.Items {
		state := State{ID: item.Id, Revision: item.Revision, TimeUs: item.ModifyTimeUs}
		states = append(states, proved(state, versionIn(item.Id, item.Content), fingerprintIn(item.Fingerprint)))
	}
	return states, nil
}

// readChunk takes a piece of a large content. It is kept beyond the exchange, should that be cut, until the content
// is whole.
func (s *session) readChunk(id string, chunk *pb.ContentChunk) ([]State, error) {
	begun := s.replica.downloads[id]
	if chunk.Offset == 0 {
		begun = &download{revision: chunk.Revision, size: chunk.Size, timeUs: chunk.ModifyTimeUs, isText: chunk.Text}
	}
	end := chunk.Offset + int64(len(chunk.Data))
	goesOn := begun != nil && int64(len(begun.data)) == chunk.Offset &&
		begun.revision == chunk.Revision && begun.size == chunk.Size
	if !goesOn || end > chunk.Size || len(chunk.Data) == 0 && end < chunk.Size {
		return nil, outOfOrder("a piece of %q does not go on from the one before it", id)
	}
	begun.data = append(begun.data, chunk.Data...)
	if end < chunk.Size {
		s.replica.downloads[id] = begun
		return nil, nil
	}
	delete(s.replica.downloads, id)
	state := State{ID: id, Revision: begun.revision, TimeUs: begun.timeUs}
	return []State{proved(state, NewVersion(id, begun.data, begun.isText), fingerprintIn(chunk.Fingerprint))}, nil
}
