package tercet.client;

import static tercet.v1.ExchangeResponse.MessageCase.CHUNK;
import static tercet.v1.ExchangeResponse.MessageCase.CONTENTS;

import com.google.protobuf.ByteString;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import tercet.client.Replica.Download;
import tercet.v1.ContentChunk;
import tercet.v1.ContentWanted;
import tercet.v1.Contents;
import tercet.v1.Fetch;
import tercet.v1.Limits;

/** Step 3, towards the client: asks for contents that were not inline, and proves each. */
final class ReceiveContent {
  private static final int IDS_AT_ONCE = 1000;
  private static final int OVERHEAD_BYTES = 64;

  private ReceiveContent() {}

  /**
   * Fetches the contents of these items, within the window. What comes may be of a later revision
   * than was told, or a deletion. A content that is not what its fingerprint says is fetched once
   * more, then the exchange fails.
   */
  static List<State> fetch(Session session, List<State> wanted) {
    var states = new ArrayList<State>();
    for (var part : slices(wanted, session.limits)) {
      states.addAll(fetchSlice(session, part));
    }
    return states;
  }

  /** Items cut where the contents would go beyond the window; a larger one by itself. */
  private static List<List<State>> slices(List<State> wanted, Limits limits) {
    long most = Math.min(IDS_AT_ONCE, limits.getWindowItems());
    var slices = new ArrayList<List<State>>();
    long size = 0;
    for (var state : wanted) {
      long own = state.size() + OVERHEAD_BYTES;
      size += own;
      var last = slices.isEmpty() ? null : slices.get(slices.size() - 1);
      if (last == null || size > limits.getWindowBytes() || last.size() >= most) {
        last = new ArrayList<>();
        slices.add(last);
        size = own;
      }
      last.add(state);
    }
    return slices;
  }

  private static List<State> fetchSlice(Session session, List<State> wanted) {
    var waiting = wanted.stream().map(State::id).collect(Collectors.toCollection(HashSet::new));
    var wrongOnce =
        wanted.stream().filter(State::isUnproved).map(State::id).collect(Collectors.toSet());
    var states = new ArrayList<State>();
    var fetch = Fetch.newBuilder();
    wanted.forEach(state -> fetch.addItems(wanted(session.replica, state.id())));
    session.stream.send(message -> message.setFetch(fetch));
    var chunked = "";
    while (!waiting.isEmpty()) {
      var message = session.stream.receiveOnly(CONTENTS, CHUNK);
      List<State> read;
      if (message.hasContents()) {
        read = readContents(session, message.getContents());
      } else {
        var chunk = message.getChunk();
        chunked = chunk.getId().isEmpty() ? chunked : chunk.getId();
        read = readChunk(session.replica, chunked, chunk);
      }
      read.forEach(state -> take(session, state, waiting, wrongOnce, states));
    }
    return states;
  }

  private static void take(
      Session session, State state, Set<String> waiting, Set<String> wrongOnce, List<State> taken) {
    if (!waiting.contains(state.id())) {
      throw ClientException.outOfOrder("a content was not asked for");
    }
    if (!state.isUnproved()) {
      waiting.remove(state.id());
      taken.add(state);
      session.fetchedRevision = Math.max(session.fetchedRevision, state.revision());
    } else if (wrongOnce.add(state.id())) {
      session.stream.send(message -> message.getFetchBuilder().addItemsBuilder().setId(state.id()));
    } else {
      throw ClientException.unverified("a content does not agree with its fingerprint, twice");
    }
  }

  /** What was cut in mid-content goes on from there. */
  private static ContentWanted wanted(Replica replica, String id) {
    var wanted = ContentWanted.newBuilder().setId(id);
    var begun = replica.downloads.get(id);
    if (begun != null) {
      wanted.setOffset(begun.data().size()).setRevision(begun.revision());
    }
    return wanted.build();
  }

  private static List<State> readContents(Session session, Contents contents) {
    session.hear(contents.getWitness());
    for (var refused : contents.getRefusedList()) {
      throw new ClientException(
          Failure.reasonName(refused.getReasonValue()), "not sent: " + refused.getMessage());
    }
    var states = new ArrayList<State>();
    for (var gone : contents.getDeletedList()) {
      states.add(State.of(gone.getId(), null, gone.getRevision(), gone.getModifyTimeUs()));
    }
    contents.getItemsList().forEach(item -> states.add(ChangeInfos.read(item)));
    return states;
  }

  /** A piece of a large content. Until that is whole, it is kept beyond the exchange. */
  private static List<State> readChunk(Replica replica, String id, ContentChunk chunk) {
    var begun =
        chunk.getOffset() == 0
            // What holds for the whole is told with the first piece.
            ? new Download(
                chunk.getRevision(),
                chunk.getSize(),
                chunk.getModifyTimeUs(),
                chunk.getText(),
                ByteString.EMPTY)
            : replica.downloads.get(id);
    long end = chunk.getOffset() + chunk.getData().size();
    if (begun == null
        || begun.data().size() != chunk.getOffset()
        || begun.revision() != chunk.getRevision()
        || begun.size() != chunk.getSize()
        || end > chunk.getSize()
        || chunk.getData().isEmpty() && end < chunk.getSize()) {
      throw ClientException.outOfOrder("a piece of a content does not go on from the one before");
    }
    var data = begun.data().concat(chunk.getData());
    if (end < chunk.getSize()) {
      replica.downloads.put(id, begun.withData(data));
      return List.of();
    }
    replica.downloads.remove(id);
    var version = Version.of(id, data, begun.isText());
    var state = State.of(id, version, begun.revision(), begun.timeUs());
    return List.of(state.proved(chunk.getFingerprint().getValue()));
  }
}
