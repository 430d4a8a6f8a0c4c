package tercet.client;

/** What this side refuses by itself, with a reason of error.proto (without its prefix). */
public final class ClientException extends RuntimeException {
  private final String reason;

  public ClientException(String reason, String message) {
    super(message);
    this.reason = reason;
  }

  public String reason() {
    return reason;
  }

  /** The server said what has no meaning at this point. */
  static ClientException outOfOrder(String message) {
    return new ClientException("OUT_OF_ORDER", message);
  }

  /** What arrived is not what its fingerprint says. */
  static ClientException unverified(String message) {
    return new ClientException("UNVERIFIED", message);
  }
}
