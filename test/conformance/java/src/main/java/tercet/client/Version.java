package tercet.client;

import com.google.protobuf.ByteString;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** A content of an item. What came as text goes as text; the fingerprint is the same for both. */
public record Version(ByteString fingerprint, ByteString data, boolean isText) {
  public static Version of(String id, ByteString data, boolean isText) {
    return new Version(fingerprintOf(id, data), data, isText);
  }

  /** The fingerprint of a version. Everywhere in this client null is that of a deleted item. */
  static ByteString fingerprintOf(Version version) {
    return version == null ? null : version.fingerprint;
  }

  private static ByteString fingerprintOf(String id, ByteString data) {
    try {
      var digest = MessageDigest.getInstance("SHA-256");
      digest.update(id.getBytes(StandardCharsets.UTF_8));
      digest.update((byte) 0);
      data.asReadOnlyByteBufferList().forEach(digest::update);
      return ByteString.copyFrom(digest.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java has SHA-256", e);
    }
  }
}
