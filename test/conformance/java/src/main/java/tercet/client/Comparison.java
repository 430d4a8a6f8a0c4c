package tercet.client;

import com.google.protobuf.ByteString;
import java.util.List;
import java.util.Objects;
import tercet.v1.ChangeStandard;

/**
 * Step 2: what is to be done with one item of which the server's state was told. {@code
 * vectors/comparison.json} and {@code standards.json} say every case.
 */
enum Comparison {
  /** Nothing to do. */
  KNOWN,
  /** Only the revision is new. */
  SAME,
  /** Changed only there: take it. */
  THEIRS,
  /** Changed on both sides into the same: nothing moves. */
  AGREED,
  /** It is what this client sent earlier, and changed since: send the change on top of it. */
  ARRIVED,
  /** Created here; there was something else of that name, which is deleted: send the creation. */
  NEW,
  /** The server, restored from a backup, lost what was agreed on: offer it (recovery only). */
  LOST,
  /** Changed on both sides: the change standard decides. */
  CONFLICT;

  /** How a conflict ends; held: not yet. */
  public enum Outcome {
    MINE,
    THEIRS,
    HELD
  }

  /**
   * The comparison of an exchange. An item that the server tells nothing of is unchanged there.
   *
   * @param sendings what was sent of the item without a verdict, and may be what the server tells
   */
  static Comparison compare(Entry entry, List<ByteString> sendings, State theirs) {
    var base = entry.base;
    if (base != null && theirs.revision() <= base.revision()) {
      return KNOWN;
    }
    if (entry.pending == null) {
      if (!Objects.equals(theirs.fingerprint(), entry.baseFingerprint())) {
        return THEIRS;
      }
      return theirs.fingerprint() == null ? KNOWN : SAME;
    }
    boolean neverHad = base == null && sendings.isEmpty();
    if (neverHad && theirs.fingerprint() == null && entry.mine != null) {
      return NEW;
    }
    return comparePending(entry, sendings, theirs);
  }

  /**
   * The comparison of a recovery. What was agreed on up to the fork is as real as what the server
   * has; what was agreed on later it lost, and its revisions say nothing then.
   *
   * @param fork the last revision that the histories of both sides share
   */
  static Comparison compareRecovered(
      Entry entry, List<ByteString> sendings, State theirs, long fork) {
    var base = entry.base;
    if (base == null) {
      return compare(entry, sendings, theirs);
    }
    boolean isShared = base.revision() <= fork;
    if (isShared && theirs.revision() > base.revision()) {
      return compare(entry, sendings, theirs);
    }
    if (Objects.equals(base.fingerprint(), theirs.fingerprint())) {
      return isShared ? KNOWN : SAME;
    }
    if (isShared && entry.pending == null) {
      return THEIRS;
    }
    var found = entry.pending == null ? CONFLICT : comparePending(entry, sendings, theirs);
    return found == CONFLICT && !isShared && theirs.revision() <= fork ? LOST : found;
  }

  private static Comparison comparePending(Entry entry, List<ByteString> sendings, State theirs) {
    if (Objects.equals(entry.fingerprint(), theirs.fingerprint())) {
      return AGREED;
    }
    return sendings.contains(theirs.fingerprint()) ? ARRIVED : CONFLICT;
  }

  /**
   * Whose change prevails by a standard that is in force.
   *
   * @param timeUs of mine; at most the server's clock and skew, as the server would store it
   */
  static Outcome judge(ChangeStandard standard, ByteString mine, long timeUs, State theirs) {
    return switch (standard) {
      case CHANGE_STANDARD_MANUAL -> Outcome.HELD;
      case CHANGE_STANDARD_CLIENT -> Outcome.MINE;
      case CHANGE_STANDARD_NEWEST -> isNewer(mine, timeUs, theirs) ? Outcome.MINE : Outcome.THEIRS;
      default -> Outcome.THEIRS;
    };
  }

  /** The later time; on a tie the greater fingerprint, and a deletion is less than any. */
  private static boolean isNewer(ByteString mine, long timeUs, State theirs) {
    if (timeUs != theirs.timeUs()) {
      return timeUs > theirs.timeUs();
    }
    var left = Objects.requireNonNullElse(mine, ByteString.EMPTY);
    var right = Objects.requireNonNullElse(theirs.fingerprint(), ByteString.EMPTY);
    return ByteString.unsignedLexicographicalComparator().compare(left, right) > 0;
  }
}
