package tercet.client;

import static tercet.v1.ExchangeResponse.MessageCase.UPLOAD;

import com.google.protobuf.ByteString;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Objects;
import tercet.v1.Capability;
import tercet.v1.ChangeKind;
import tercet.v1.ContentChunk;
import tercet.v1.ErrorReason;
import tercet.v1.Push;
import tercet.v1.PushBatch;

/**
 * Step 3, towards the server: sends pending changes, each with its content, its fingerprint and
 * what it was made on. What is sent is remembered before it is sent.
 */
final class SendContent {
  /** Larger contents travel in chunks. */
  static final int WHOLE_BYTES = 1 << 20;

  private static final int EAGER_CHANGES = 4096;
  private static final int UPLOAD_ID_BYTES = 16;
  private static final SecureRandom RANDOM = new SecureRandom();

  private SendContent() {}

  /**
   * Pending changes in their order, those of an atomic group together: without those that had their
   * turn, or are held.
   */
  static List<List<Entry>> dueUnits(Session session) {
    var units = new LinkedHashMap<Long, List<Entry>>();
    for (var entry : session.replica.pending()) {
      long key = entry.pending.group == 0 ? -entry.pending.sequence : entry.pending.group;
      units.computeIfAbsent(key, unit -> new ArrayList<>()).add(entry);
    }
    return units.values().stream().filter(unit -> isDue(session, unit)).toList();
  }

  private static boolean isDue(Session session, List<Entry> unit) {
    var pending = unit.stream().map(entry -> entry.pending).filter(Objects::nonNull).toList();
    return pending.stream().noneMatch(each -> each.held)
        && pending.stream().anyMatch(each -> !session.tried.contains(each.sequence));
  }

  /** Sends what is small and was never sent, right behind Open, if all of that is little enough. */
  static void sendEagerly(Session session) {
    var limits = session.limits;
    var units =
        dueUnits(session).stream()
            .filter(unit -> unit.stream().allMatch(entry -> entry.pending.sendings.isEmpty()))
            .toList();
    var entries = units.stream().flatMap(List::stream).toList();
    boolean isMuch = sizeOf(entries) > limits.getEagerBytes();
    boolean areMany = entries.size() > Math.min(EAGER_CHANGES, limits.getWindowItems() / 4);
    // Without a token there is nothing that the server could hold a change against.
    boolean isFirst = session.replica.checkpoint.getToken().isEmpty();
    if (!isMuch && !areMany && !isFirst && !hasLarge(entries)) {
      batches(units, limits.getMessageBytes()).forEach(batch -> push(session, batch, null));
    }
  }

  /**
   * Sends what is due, as far as it fits the window: small first, as the application may change
   * others while a large one is uploaded. Answers whether it was all.
   */
  static boolean sendPending(Session session) {
    var limits = session.limits;
    var units = new ArrayList<>(dueUnits(session));
    // The sort is stable, and false comes first.
    units.sort(Comparator.comparing(SendContent::hasLarge));
    long size = 0;
    long count = 0;
    // A large content is longer than any message, and so is a batch by itself.
    for (var batch : batches(units, limits.getMessageBytes())) {
      size += sizeOf(batch);
      count += batch.size();
      boolean isFull = size > limits.getWindowBytes() || count > limits.getWindowItems();
      if (isFull && count > batch.size()) {
        return false;
      }
      if (!hasLarge(batch) || upload(session, batch.get(0))) {
        push(session, batch, session.replica.revision());
      }
    }
    return true;
  }

  private static boolean isLarge(Entry entry) {
    return entry.mine != null && entry.mine.data().size() > WHOLE_BYTES;
  }

  private static boolean hasLarge(Collection<Entry> entries) {
    return entries.stream().anyMatch(SendContent::isLarge);
  }

  private static long sizeOf(Collection<Entry> entries) {
    return entries.stream().mapToLong(Entry::size).sum();
  }

  /** Units cut where a message would be too long; a larger one by itself. */
  private static List<List<Entry>> batches(List<List<Entry>> units, long messageBytes) {
    var batches = new ArrayList<List<Entry>>();
    long size = 0;
    for (var unit : units) {
      long own = sizeOf(unit);
      size += own;
      if (batches.isEmpty() || size > messageBytes) {
        batches.add(new ArrayList<>());
        size = own;
      }
      batches.get(batches.size() - 1).addAll(unit);
    }
    return batches;
  }

  /** What the server would not take is not sent. */
  private static void reject(Session session, Entry entry) {
    int reason = ErrorReason.ERROR_REASON_ITEM_TOO_LARGE_VALUE;
    session.report.rejected.put(entry.id, reason);
    session.tried.add(entry.pending.sequence);
    entry.pending.rejected = reason;
  }

  private static void push(Session session, List<Entry> entries, Long revisionSeen) {
    var batch = PushBatch.newBuilder();
    entries.forEach(entry -> batch.addPushes(remember(session, entry)));
    if (revisionSeen != null) {
      batch.setRevisionSeen(revisionSeen);
    }
    session.stream.send(message -> message.setPush(batch));
  }

  /** Remembers that an entry's change is sent, and makes the message. */
  private static Push remember(Session session, Entry entry) {
    var pending = entry.pending;
    boolean resent = !pending.sendings.isEmpty();
    boolean again = !session.sent.add(pending.sequence);
    session.tried.add(pending.sequence);
    session.onTheWay.add(
        new Session.Sent(entry.id, pending.sequence, entry.mine, entry.timeUs, resent, again));
    if (!pending.sendings.contains(entry.fingerprint())) {
      pending.sendings.add(entry.fingerprint());
    }
    return toPush(session, entry, resent);
  }

  private static Push toPush(Session session, Entry entry, boolean fence) {
    var push =
        Push.newBuilder()
            .setId(entry.id)
            .setKind(ChangeKind.CHANGE_KIND_DELETED)
            .setOverrides(entry.pending.overrides)
            .setModifyTimeUs(entry.timeUs)
            .setGroup(entry.pending.group)
            .setFence(fence);
    if (entry.baseFingerprint() != null) {
      push.setExpected(ChangeInfos.toMessage(entry.baseFingerprint()));
    }
    // What was sent before may have been made and undone, which a recovery does not tell: it has
    // seen its base only.
    if (entry.base != null && (fence || entry.base.revision() > session.replica.revision())) {
      push.setRevisionSeen(entry.base.revision());
    }
    if (entry.mine == null) {
      return push.build();
    }
    push.setKind(ChangeKind.CHANGE_KIND_UPSERTED)
        .setFingerprint(ChangeInfos.toMessage(entry.fingerprint()));
    if (isLarge(entry)) {
      push.setUploadId(entry.pending.upload);
    } else if (entry.mine.isText()) {
      push.setTextBytes(entry.mine.data());
    } else {
      push.setData(entry.mine.data());
    }
    return push.build();
  }

  /**
   * Sends a large content in chunks, before its push; what was begun before goes on where the
   * server has it. Answers whether it is to be pushed: not if it can't be sent, or is not what is
   * pending any more.
   */
  private static boolean upload(Session session, Entry entry) {
    if (!isLarge(entry) || !isDue(session, List.of(entry))) {
      return false;
    }
    var limits = session.limits;
    boolean canChunk = session.serverCan(Capability.CAPABILITY_CHUNKS);
    if (entry.mine.data().size() > (canChunk ? limits.getItemBytes() : WHOLE_BYTES)) {
      reject(session, entry);
      return false;
    }
    var version = entry.mine;
    long sequence = entry.pending.sequence;
    int size = version.data().size();
    boolean isBegun = !entry.pending.upload.isEmpty();
    var uploadId = isBegun ? entry.pending.upload : newUploadId();
    entry.pending.upload = uploadId;
    long held = 0;
    if (isBegun) {
      // A chunk without data asks how much there is.
      sendChunk(session, uploadId, entry.id, version, 0, 0);
      held = heldByServer(session, uploadId);
    }
    long sent = held;
    while (sent < size) {
      if (sent == held || sent - held + limits.getMessageBytes() <= limits.getWindowBytes()) {
        long end = Math.min(size, sent + limits.getMessageBytes());
        sendChunk(session, uploadId, entry.id, version, (int) sent, (int) end);
        sent = end;
        continue;
      }
      long before = held;
      held = heldByServer(session, uploadId);
      if (held <= before) {
        throw ClientException.outOfOrder("the server loses what it was sent of an upload");
      }
      sent = Math.max(sent, held);
    }
    var now = session.replica.entry(entry.id).pending;
    return now != null && now.sequence == sequence;
  }

  private static void sendChunk(
      Session session, ByteString uploadId, String id, Version version, int start, int end) {
    var chunk =
        ContentChunk.newBuilder()
            .setUploadId(uploadId)
            .setId(id)
            .setOffset(start)
            .setData(version.data().substring(start, end))
            .setSize(version.data().size())
            .setText(version.isText());
    session.stream.send(message -> message.setChunk(chunk));
  }

  /** How much of an upload the server holds, once it says so. */
  private static long heldByServer(Session session, ByteString uploadId) {
    while (true) {
      var state = session.stream.receiveOnly(UPLOAD).getUpload();
      if (state.getUploadId().equals(uploadId)) {
        return state.getOffset();
      }
    }
  }

  private static ByteString newUploadId() {
    var bytes = new byte[UPLOAD_ID_BYTES];
    RANDOM.nextBytes(bytes);
    return ByteString.copyFrom(bytes);
  }
}
