package tercet.client;

import com.google.protobuf.ByteString;
import java.math.BigInteger;

/** A range fingerprint: the number of items, and the sum of their fingerprints modulo 2^256. */
public record RangeSum(long count, BigInteger sum) {
  public static final RangeSum NOTHING = new RangeSum(0, BigInteger.ZERO);
  private static final BigInteger MODULUS = BigInteger.ONE.shiftLeft(256);
  private static final int BYTES = 32;

  /** The sum that one item comes to; no item (null) comes to nothing. */
  public static RangeSum of(ByteString fingerprint) {
    return fingerprint == null
        ? NOTHING
        : new RangeSum(1, new BigInteger(1, reversed(fingerprint.toByteArray())));
  }

  public RangeSum plus(RangeSum other) {
    return new RangeSum(count + other.count, sum.add(other.sum).mod(MODULUS));
  }

  public RangeSum minus(RangeSum other) {
    return new RangeSum(count - other.count, sum.subtract(other.sum).mod(MODULUS));
  }

  /** The 32 bytes of the sum, the lowest first. */
  public ByteString toBytes() {
    var bytes = new byte[BYTES];
    for (int at = 0; at < BYTES; at++) {
      bytes[at] = sum.shiftRight(8 * at).byteValue();
    }
    return ByteString.copyFrom(bytes);
  }

  private static byte[] reversed(byte[] bytes) {
    var result = new byte[bytes.length];
    for (int at = 0; at < bytes.length; at++) {
      result[at] = bytes[bytes.length - 1 - at];
    }
    return result;
  }
}
