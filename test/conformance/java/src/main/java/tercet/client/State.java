package tercet.client;

import com.google.protobuf.ByteString;
import java.util.Objects;

/**
 * A state of an item at the server.
 *
 * @param fingerprint null: there is no such item, or it is deleted
 * @param version the content, where it is at hand; else null
 */
public record State(
    String id, ByteString fingerprint, long revision, long timeUs, long size, Version version) {
  /** Fingerprint of a state whose content was not what it was told with: it is to be fetched. */
  static final ByteString UNPROVED = ByteString.EMPTY;

  static State of(String id, Version version, long revision, long timeUs) {
    long size = version == null ? 0 : version.data().size();
    return new State(id, Version.fingerprintOf(version), revision, timeUs, size, version);
  }

  /** No item, as of a revision; 0: nothing is known of one. */
  static State gone(String id, long revision) {
    return new State(id, null, revision, 0, 0, null);
  }

  boolean isUnproved() {
    return UNPROVED.equals(fingerprint);
  }

  State withVersion(Version version) {
    return new State(id, fingerprint, revision, timeUs, size, version);
  }

  /** This state, if its content has this fingerprint; else without it, and UNPROVED. */
  State proved(ByteString fingerprint) {
    boolean good = version != null && Objects.equals(version.fingerprint(), fingerprint);
    return new State(
        id, good ? fingerprint : UNPROVED, revision, timeUs, size, good ? version : null);
  }
}
