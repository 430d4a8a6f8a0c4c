package tercet.client;

import com.google.protobuf.ByteString;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import tercet.v1.IdBounds;

/** Ids, their order, and bounds between them: {@code vectors/ids.json} has examples. */
public final class Ids {
  /** By the bytes of UTF-8. String.compareTo goes by UTF-16, where U+FFFF comes after U+10000. */
  public static final Comparator<String> ORDER = Ids::compare;

  private static final int MOST_ID_BYTES = 512;
  private static final int MOST_BOUND_BYTES = 516;

  private Ids() {}

  /** Whether an id is a good one: 1 to 512 bytes of UTF-8 without control characters. */
  public static boolean isId(String id) {
    return StandardCharsets.UTF_8.newEncoder().canEncode(id)
        && !id.isEmpty()
        && sizeOf(id) <= MOST_ID_BYTES
        && id.chars().noneMatch(Character::isISOControl);
  }

  /** Bytes of UTF-8. */
  static int sizeOf(String id) {
    return id.getBytes(StandardCharsets.UTF_8).length;
  }

  /** Codes ascending bounds: each as the bytes that it shares with the one before, and the rest. */
  static IdBounds encodeBounds(List<String> bounds) {
    var coded = IdBounds.newBuilder();
    var before = "";
    for (var bound : bounds) {
      int shared = commonPrefix(before, bound);
      coded.addShared(sizeOf(bound.substring(0, shared))).addRest(bound.substring(shared));
      before = bound;
    }
    return coded.build();
  }

  /**
   * The bounds again. IllegalArgumentException where they do not ascend, or are too long or cut.
   */
  static List<String> decodeBounds(IdBounds coded) {
    check(coded.getSharedCount() == coded.getRestCount());
    var bounds = new ArrayList<String>();
    var before = ByteString.EMPTY;
    for (int at = 0; at < coded.getRestCount(); at++) {
      int shared = coded.getShared(at);
      check(shared >= 0 && shared <= before.size());
      var bound = before.substring(0, shared).concat(coded.getRestBytes(at));
      check(bound.size() <= MOST_BOUND_BYTES && bound.isValidUtf8());
      check(ByteString.unsignedLexicographicalComparator().compare(before, bound) < 0);
      bounds.add(bound.toStringUtf8());
      before = bound;
    }
    return bounds;
  }

  private static void check(boolean good) {
    if (!good) {
      throw new IllegalArgumentException("bounds of ids do not ascend, or are too long");
    }
  }

  /** Characters that two strings share, without the first half of a surrogate pair. */
  private static int commonPrefix(String one, String other) {
    int most = Math.min(one.length(), other.length());
    int at = 0;
    while (at < most && one.charAt(at) == other.charAt(at)) {
      at++;
    }
    return at > 0 && Character.isHighSurrogate(one.charAt(at - 1)) ? at - 1 : at;
  }

  private static int compare(String one, String other) {
    int most = Math.min(one.length(), other.length());
    for (int at = 0; at < most; at++) {
      char left = one.charAt(at);
      char right = other.charAt(at);
      if (left != right) {
        // Surrogates stand for characters beyond all others.
        int bySurrogate =
            Boolean.compare(Character.isSurrogate(left), Character.isSurrogate(right));
        return bySurrogate != 0 ? bySurrogate : Character.compare(left, right);
      }
    }
    return Integer.compare(one.length(), other.length());
  }
}
