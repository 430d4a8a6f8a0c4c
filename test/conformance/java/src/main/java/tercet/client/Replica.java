package tercet.client;

import com.google.protobuf.ByteString;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.locks.ReentrantLock;
import java.util.regex.Pattern;
import tercet.v1.ChangeStandard;
import tercet.v1.Checkpoint;
import tercet.v1.Epoch;
import tercet.v1.Limits;

/**
 * A copy of a collection in memory, which the application may change while it is apart from the
 * server. In a database each method is one transaction: so is what it writes together.
 */
public final class Replica {
  private static final Pattern COLLECTION_NAME =
      Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,127}");

  /** Before a server has said its limits, nothing is sent that the others would be about. */
  private static final Limits DEFAULT_LIMITS =
      Limits.newBuilder().setItemBytes(64 << 20).setGroupItems(1000).setGroupBytes(1 << 20).build();

  /** A clock that is further ahead than this must not carry ours away. */
  private static final long MOST_AHEAD_US = 60_000_000;

  /** A large content of which some chunks have come. */
  record Download(long revision, long size, long timeUs, boolean isText, ByteString data) {}

  /** Held by an exchange, but for the time that it waits; whoever else uses it takes it, too. */
  public final ReentrantLock lock = new ReentrantLock();

  /** Held by an exchange from its beginning to its end: there is one at a time. */
  final ReentrantLock exchange = new ReentrantLock();

  final String collection;

  /** Empty before the first exchange. */
  ByteString uid = ByteString.EMPTY;

  /** How far the server's changes were taken; an empty token before the first page. */
  Checkpoint checkpoint = Checkpoint.getDefaultInstance();

  /** The latest revision that was heard of beyond the checkpoint. */
  Checkpoint witness = Checkpoint.getDefaultInstance();

  List<Epoch> lineage = new ArrayList<>();
  Limits limits = DEFAULT_LIMITS;

  /** Count and sum over the fingerprints of all bases. */
  private RangeSum total = RangeSum.NOTHING;

  private final Map<String, Entry> entries = new TreeMap<>(Ids.ORDER);
  private final List<ConflictRecord> conflicts = new ArrayList<>();
  final Map<String, Download> downloads = new HashMap<>();
  private long lastSequence;

  /** The latest modify time that was given out or heard of: a hybrid logical clock. */
  private long lastTimeUs;

  public Replica(String collection) {
    if (!COLLECTION_NAME.matcher(collection).matches()) {
      throw new ClientException("INVALID_COLLECTION_NAME", "no name of a collection");
    }
    this.collection = collection;
  }

  /** A second replica in the same state, with locks of its own. */
  public Replica copy() {
    var copy = new Replica(collection);
    copy.uid = uid;
    copy.checkpoint = checkpoint;
    copy.witness = witness;
    copy.lineage = new ArrayList<>(lineage);
    copy.limits = limits;
    copy.total = total;
    entries.forEach((id, entry) -> copy.entries.put(id, entry.copy()));
    copy.conflicts.addAll(conflicts);
    copy.downloads.putAll(downloads);
    copy.lastSequence = lastSequence;
    copy.lastTimeUs = lastTimeUs;
    return copy;
  }

  // ---- for the application

  /** Changes one item; no version (null) deletes it. */
  public void write(String id, Version version, long nowUs) {
    // A map of one entry that may be null: a deletion.
    transaction(Collections.singletonMap(id, version), nowUs);
  }

  /** Changes items all or none, here and there, with all that is in a group with one of them. */
  public void transaction(Map<String, Version> versions, long nowUs) {
    versions.forEach(this::check);
    var changed = new ArrayList<Entry>();
    var group = new LinkedHashMap<String, Entry>();
    versions.forEach(
        (id, version) -> {
          var entry = entry(id);
          if (!Objects.equals(entry.fingerprint(), Version.fingerprintOf(version))) {
            changed.add(entry);
            group.put(id, entry);
            groupOf(entry).forEach(member -> group.put(member.id, member));
          }
        });
    checkGroup(group.values(), versions);
    if (changed.isEmpty()) {
      return;
    }
    long timeUs = tick(nowUs);
    for (var entry : changed) {
      write(entry, versions.get(entry.id), timeUs);
    }
    // A number that no other group has, also where the changes undid what was pending. What is
    // left alone is in none.
    lastSequence += 1;
    var left = group.values().stream().filter(member -> member.pending != null).toList();
    for (var member : left) {
      member.pending.group = left.size() > 1 ? lastSequence : 0;
    }
  }

  /** Ends a conflict that is held, with its whole group. */
  public void resolve(String id, Resolution how, long nowUs) {
    var held = entry(id);
    if (!held.isHeld()) {
      throw new ClientException("ITEM_HELD", "the item is not held");
    }
    var version = how instanceof Resolution.Own own ? own.version() : held.mine;
    check(id, version);
    var group = groupOf(held);
    if (how instanceof Resolution.Own) {
      checkGroup(group, Collections.singletonMap(id, version));
    }
    var manual = ChangeStandard.CHANGE_STANDARD_MANUAL;
    for (var entry : group) {
      if (how instanceof Resolution.Theirs) {
        takeTheirs(entry, entry.baseOrNothing(), manual, nowUs);
      } else {
        entry.pending.held = false;
        entry.pending.overrides = manual;
        renew(entry);
      }
    }
    var fingerprint = Version.fingerprintOf(version);
    if (!(how instanceof Resolution.Own) || Objects.equals(fingerprint, held.fingerprint())) {
      return;
    }
    if (held.base != null && Objects.equals(held.base.fingerprint(), fingerprint)) {
      takeTheirs(held, held.base.withVersion(version), manual, nowUs);
    } else {
      keepRecord(held, fingerprint, manual);
      write(held, version, tick(nowUs));
    }
  }

  /** The entry of an item; one that nothing is known of has an empty one. */
  public Entry entry(String id) {
    var entry = entries.get(id);
    return entry == null ? new Entry(id) : entry;
  }

  /** All entries in the order of their ids, deletions that are pending among them. */
  public Collection<Entry> entries() {
    return Collections.unmodifiableCollection(entries.values());
  }

  /** Pending changes in the order in which they were made. */
  public List<Entry> pending() {
    return entries.values().stream()
        .filter(entry -> entry.pending != null)
        .sorted(Comparator.comparingLong(entry -> entry.pending.sequence))
        .toList();
  }

  /** Versions of this side that gave way, the latest last. */
  public List<ConflictRecord> conflicts() {
    return Collections.unmodifiableList(conflicts);
  }

  public RangeSum total() {
    return total;
  }

  /** The revision up to which the server's changes were taken; 0 for none. */
  public long revision() {
    return checkpoint.getRevision();
  }

  public void loseCheckpoint() {
    checkpoint = Checkpoint.getDefaultInstance();
    witness = Checkpoint.getDefaultInstance();
  }

  // ---- for the exchange

  /** All members of a pending change's atomic group; without a group, the change alone. */
  List<Entry> groupOf(Entry entry) {
    if (entry.pending == null || entry.pending.group == 0) {
      return List.of(entry);
    }
    long group = entry.pending.group;
    return pending().stream().filter(each -> each.pending.group == group).toList();
  }

  /** The item becomes what the server has. With a standard, mine gave way by it, and is kept. */
  void takeTheirs(Entry entry, State theirs, ChangeStandard standard, long nowUs) {
    if (standard != null && !Objects.equals(entry.fingerprint(), theirs.fingerprint())) {
      keepRecord(entry, theirs.fingerprint(), standard);
    }
    entry.mine = theirs.version();
    entry.timeUs = theirs.timeUs();
    entry.pending = null;
    lastTimeUs = Math.max(lastTimeUs, Math.min(theirs.timeUs(), nowUs + MOST_AHEAD_US));
    moveBase(entry, theirs);
  }

  /** The pending change stays, on what the server has now: what was sent before is settled. */
  void standOn(Entry entry, State theirs, ChangeStandard overrides, boolean held) {
    entry.pending.sendings.clear();
    entry.pending.overrides = overrides;
    entry.pending.held = held;
    moveBase(entry, theirs);
  }

  /** The server has what mine is, as of this revision: nothing is left to send. */
  void agree(Entry entry, long revision) {
    entry.pending = null;
    moveBase(entry, State.of(entry.id, entry.mine, revision, entry.timeUs));
  }

  /** A clean item is pending again: the server, restored to an earlier time, lost it. */
  void offer(Entry entry, State theirs, ChangeStandard overrides, boolean held) {
    entry.pending = new Entry.Pending();
    entry.pending.overrides = overrides;
    entry.pending.held = held;
    renew(entry);
    // Where nothing is known of it at the server, not even of a deletion, it is a creation.
    moveBase(entry, theirs.revision() == 0 ? null : theirs);
  }

  /** The only place where a base changes: the sum over all bases changes with it. */
  void moveBase(Entry entry, State base) {
    total = total.minus(RangeSum.of(entry.baseFingerprint()));
    entry.base = base;
    total = total.plus(RangeSum.of(entry.baseFingerprint()));
    keep(entry);
  }

  /** Bases beyond the fork are as of the head that a recovery stands at: see Recovery. */
  void raiseBases(long fork, long head) {
    for (var entry : entries.values()) {
      var base = entry.base;
      if (base != null && base.revision() > Math.min(fork, head)) {
        entry.base =
            new State(
                base.id(), base.fingerprint(), head, base.timeUs(), base.size(), base.version());
      }
    }
  }

  /** The server spoke of a revision: one that does not know it was restored to before it. */
  void hear(Checkpoint heard) {
    if (heard.getRevision() > Math.max(checkpoint.getRevision(), witness.getRevision())) {
      witness = heard;
    }
  }

  /** All changes up to a checkpoint have been taken. Stored together with the last of them. */
  void stand(Checkpoint reached) {
    checkpoint = reached;
    if (witness.getRevision() <= reached.getRevision()) {
      witness = Checkpoint.getDefaultInstance();
    }
  }

  // ---- inside

  private void check(String id, Version version) {
    if (!Ids.isId(id)) {
      throw new ClientException("INVALID_ID", "\"" + id + "\" is no id");
    }
    if (version != null && version.data().size() > limits.getItemBytes()) {
      throw new ClientException("ITEM_TOO_LARGE", "the content is too large");
    }
  }

  private void checkGroup(Collection<Entry> group, Map<String, Version> versions) {
    long size =
        group.stream()
            .mapToLong(each -> Entry.sizeOf(each.id, versions.getOrDefault(each.id, each.mine)))
            .sum();
    // Whatever the server says: a content in chunks is no member of a group.
    long mostBytes = Math.min(limits.getGroupBytes(), SendContent.WHOLE_BYTES);
    boolean isLarge = group.size() > limits.getGroupItems() || size > mostBytes;
    if (group.size() > 1 && isLarge) {
      throw new ClientException("GROUP_INVALID", "the atomic group is too large");
    }
  }

  private long tick(long nowUs) {
    lastTimeUs = Math.max(nowUs, lastTimeUs + 1);
    return lastTimeUs;
  }

  private void write(Entry entry, Version mine, long timeUs) {
    entry.mine = mine;
    entry.timeUs = timeUs;
    var pending = entry.pending;
    // Back to what the server has: nothing is left to send. But what was sent, or overrides
    // another change, goes on.
    if (pending != null
        && Objects.equals(entry.fingerprint(), entry.baseFingerprint())
        && pending.sendings.isEmpty()
        && pending.overrides == ChangeStandard.CHANGE_STANDARD_UNSPECIFIED) {
      entry.pending = null;
      entry.timeUs = entry.base == null ? timeUs : entry.base.timeUs();
    } else {
      entry.pending = pending == null ? new Entry.Pending() : pending;
      renew(entry);
    }
    keep(entry);
  }

  /** The pending change gets a number of its own, and goes on from the one before it. */
  private void renew(Entry entry) {
    entry.pending.sequence = ++lastSequence;
    entry.pending.rejected = 0;
    entry.pending.upload = ByteString.EMPTY;
  }

  /** Stores an entry; of an item that is gone on both sides nothing is kept. */
  private void keep(Entry entry) {
    if (entry.mine == null && entry.pending == null) {
      entries.remove(entry.id);
    } else {
      entries.put(entry.id, entry);
    }
  }

  private void keepRecord(Entry entry, ByteString prevailed, ChangeStandard standard) {
    conflicts.add(new ConflictRecord(entry.id, entry.mine, entry.timeUs, prevailed, standard));
  }
}
