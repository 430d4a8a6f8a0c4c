package tercet.client;

import com.google.protobuf.ByteString;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import tercet.v1.Capability;
import tercet.v1.Checkpoint;
import tercet.v1.Epoch;
import tercet.v1.Limits;
import tercet.v1.Opened;

/** An exchange under way: what its steps share, and have to remember until its end. */
final class Session {
  /**
   * A push without a verdict.
   *
   * @param version what was sent; null: a deletion
   * @param resent something was sent of the item on an earlier stream that may arrive yet
   * @param again it was sent before on this stream
   */
  record Sent(
      String id, long sequence, Version version, long timeUs, boolean resent, boolean again) {
    ByteString fingerprint() {
      return Version.fingerprintOf(version);
    }
  }

  final Replica replica;
  final SyncOptions options;
  final Report report = new Report();
  final ExchangeStream stream;

  /** In force; before Opened, what was last heard of. */
  Limits limits;

  /** The server's first message, once it has come. */
  Opened opened = Opened.getDefaultInstance();

  /** What to add to this side's clock for the latest modify time that the server takes. */
  long ceilingAheadUs;

  /** Pushes without a verdict, in order, and the ordinal of the first. */
  final Deque<Sent> onTheWay = new ArrayDeque<>();

  long firstOrdinal;

  // Sequence numbers of changes that were sent on this stream; that are not due (again) before a
  // comparison; and that a comparison settled while the push was on its way.
  final Set<Long> sent = new HashSet<>();
  final Set<Long> tried = new HashSet<>();
  final Set<Long> settled = new HashSet<>();

  /** Races that each item lost. */
  final Map<String, Integer> races = new HashMap<>();

  /** Epochs that the server began since Opened. */
  final List<Epoch> begun = new ArrayList<>();

  /** The replica does not stand in the server's history: a recovery is due, or under way. */
  boolean recovering;

  /** The replica goes on with another collection than its own, which was deleted. */
  boolean rebinds;

  /** The latest revision that the server spoke of on this stream. */
  Checkpoint heard = Checkpoint.getDefaultInstance();

  /** The latest revision of a content that was fetched. */
  long fetchedRevision;

  Session(Replica replica, SyncOptions options) {
    this.replica = replica;
    this.options = options;
    limits = replica.limits;
    stream =
        new ExchangeStream(options.server(), options.timeout(), replica.lock, this::beginEpoch);
  }

  void hear(Checkpoint witness) {
    if (witness.getRevision() > heard.getRevision()) {
      heard = witness;
    }
  }

  boolean serverCan(Capability capability) {
    return opened.getCapabilitiesList().contains(capability);
  }

  /** A pending change stands on another base: it is to be sent, and with it its whole group. */
  void sendAgain(Entry entry) {
    if (!report.contended.contains(entry.id)) {
      replica.groupOf(entry).forEach(member -> tried.remove(member.pending.sequence));
    }
  }

  private void beginEpoch(Epoch epoch) {
    begun.add(epoch);
    // In a recovery the lineage stays that of what the replica stands in.
    if (!recovering) {
      replica.lineage.add(epoch);
    }
  }
}
