package tercet.client;

import com.google.protobuf.ByteString;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import tercet.v1.ChangeInfo;
import tercet.v1.ChangeKind;
import tercet.v1.Fingerprint;
import tercet.v1.FingerprintAlgorithm;
import tercet.v1.ItemContent;
import tercet.v1.RangeFingerprint;

/** Step 1: reads the server's change info. {@code vectors/pages.json} has examples. */
final class ChangeInfos {
  private static final int SHA256_BYTES = 32;
  private static final FingerprintAlgorithm SHA256 =
      FingerprintAlgorithm.FINGERPRINT_ALGORITHM_SHA256;

  private ChangeInfos() {}

  /**
   * Fills in what changes leave out, and proves every inline content: by its own fingerprint, or,
   * with all others that came without one, by the fingerprint of the page. What is not proved comes
   * without its content, and with the fingerprint UNPROVED.
   */
  static List<State> read(List<ChangeInfo> changes, RangeFingerprint proof) {
    var states = new ArrayList<State>();
    var covered = new HashSet<Integer>();
    var total = RangeSum.NOTHING;
    long revision = 0;
    long timeUs = 0;
    for (var info : changes) {
      checkKnown(info);
      revision = info.getRevision() == 0 ? revision + 1 : info.getRevision();
      timeUs = info.getModifyTimeUs() == 0 ? timeUs : info.getModifyTimeUs();
      var version = versionIn(info);
      var fingerprint = info.hasFingerprint() ? info.getFingerprint().getValue() : null;
      if (version == null) {
        states.add(new State(info.getId(), fingerprint, revision, timeUs, info.getSize(), null));
        continue;
      }
      if (fingerprint == null) {
        covered.add(states.size());
        fingerprint = version.fingerprint();
        total = total.plus(RangeSum.of(fingerprint));
      }
      states.add(State.of(info.getId(), version, revision, timeUs).proved(fingerprint));
    }
    if (!says(proof, total)) {
      covered.forEach(at -> states.set(at, states.get(at).proved(State.UNPROVED)));
    }
    return states;
  }

  /** Change info that has all its fingerprints with it. */
  static List<State> read(List<ChangeInfo> changes) {
    return read(changes, RangeFingerprint.getDefaultInstance());
  }

  static State read(ItemContent item) {
    var version = versionIn(item);
    var state = State.of(item.getId(), version, item.getRevision(), item.getModifyTimeUs());
    return state.proved(item.getFingerprint().getValue());
  }

  /** The message for a fingerprint. */
  static Fingerprint toMessage(ByteString fingerprint) {
    return Fingerprint.newBuilder().setAlgorithm(SHA256).setValue(fingerprint).build();
  }

  /** Whether a message says the same as a sum. One that is not set says: no items. */
  static boolean says(RangeFingerprint told, RangeSum own) {
    if (told.getCount() == 0) {
      return own.count() == 0;
    }
    return told.getAlgorithm() == SHA256
        && told.getCount() == own.count()
        && told.getSum().equals(own.toBytes());
  }

  /** A change that is not understood can't be taken, and so no checkpoint that covers it. */
  private static void checkKnown(ChangeInfo info) {
    if (info.getKind() == ChangeKind.CHANGE_KIND_DELETED) {
      return;
    }
    var fingerprint = info.getFingerprint();
    boolean isUpsert = info.getKind() == ChangeKind.CHANGE_KIND_UPSERTED;
    boolean isTold = hasContent(info) || info.hasFingerprint();
    boolean isKnown =
        fingerprint.getAlgorithm() == SHA256 && fingerprint.getValue().size() == SHA256_BYTES;
    if (!isUpsert || !isTold || info.hasFingerprint() && !isKnown) {
      throw new ClientException("UNSUPPORTED", "the server told what this client does not know");
    }
  }

  static boolean hasContent(ChangeInfo info) {
    return info.getContentCase() != ChangeInfo.ContentCase.CONTENT_NOT_SET;
  }

  private static Version versionIn(ChangeInfo info) {
    return switch (info.getContentCase()) {
      case DATA -> Version.of(info.getId(), info.getData(), false);
      case TEXT -> Version.of(info.getId(), info.getTextBytes(), true);
      case CONTENT_NOT_SET -> null;
    };
  }

  private static Version versionIn(ItemContent item) {
    return switch (item.getContentCase()) {
      case DATA -> Version.of(item.getId(), item.getData(), false);
      case TEXT -> Version.of(item.getId(), item.getTextBytes(), true);
      case CONTENT_NOT_SET -> null;
    };
  }
}
