package tercet.client;

import com.google.protobuf.ByteString;
import java.util.ArrayList;
import java.util.List;
import tercet.v1.ChangeStandard;

/** All that a replica knows of an item. Only {@link Replica} changes it. */
public final class Entry {
  private static final int OVERHEAD_BYTES = 64;

  /** A change of this side that the server does not have yet. What the item is now is in mine. */
  public static final class Pending {
    /** Grows with every local change. A verdict on another number speaks of an earlier change. */
    long sequence;

    /** What was sent and has no verdict (null: a deletion): it may arrive, or have arrived. */
    List<ByteString> sendings = new ArrayList<>();

    /** The standard by which it prevails over a change of the server, the base. */
    ChangeStandard overrides = ChangeStandard.CHANGE_STANDARD_UNSPECIFIED;

    /** In conflict with the base until somebody resolves it. Not sent. */
    boolean held;

    /** Changes with the same number go together, or not at all; 0 for none. */
    long group;

    /** Number of the ErrorReason why the server did not accept it; 0: it did not say so. */
    int rejected;

    /** Under which id the chunks of a large content were begun to be sent. */
    ByteString upload = ByteString.EMPTY;

    Pending copy() {
      var copy = new Pending();
      copy.sequence = sequence;
      copy.sendings = new ArrayList<>(sendings);
      copy.overrides = overrides;
      copy.held = held;
      copy.group = group;
      copy.rejected = rejected;
      copy.upload = upload;
      return copy;
    }

    public boolean held() {
      return held;
    }

    public long group() {
      return group;
    }

    public int rejected() {
      return rejected;
    }
  }

  final String id;

  /** What the application sees; null: no item. */
  Version mine;

  long timeUs;

  /** Last agreed on with the server; of a held item, theirs. Null: nothing is known of it there. */
  State base;

  /** Null: the item is clean. */
  Pending pending;

  Entry(String id) {
    this.id = id;
  }

  Entry copy() {
    var copy = new Entry(id);
    copy.mine = mine;
    copy.timeUs = timeUs;
    copy.base = base;
    copy.pending = pending == null ? null : pending.copy();
    return copy;
  }

  public String id() {
    return id;
  }

  public Version mine() {
    return mine;
  }

  public long timeUs() {
    return timeUs;
  }

  public State base() {
    return base;
  }

  public Pending pending() {
    return pending;
  }

  public boolean isHeld() {
    return pending != null && pending.held;
  }

  /** Of what the application sees. */
  public ByteString fingerprint() {
    return Version.fingerprintOf(mine);
  }

  public ByteString baseFingerprint() {
    return base == null ? null : base.fingerprint();
  }

  /** The base; of an item without one, that nothing is known of it. */
  State baseOrNothing() {
    return base == null ? State.gone(id, 0) : base;
  }

  /** What its change counts in the window. */
  long size() {
    return sizeOf(id, mine);
  }

  static long sizeOf(String id, Version version) {
    return Ids.sizeOf(id) + (version == null ? 0 : version.data().size()) + OVERHEAD_BYTES;
  }
}
