package tercet.client;

import java.time.Duration;
import java.util.function.LongSupplier;
import tercet.v1.ChangeStandard;

/**
 * How an exchange is to be.
 *
 * @param server host:port
 * @param nowUs the clock, in microseconds
 * @param standard UNSPECIFIED: the collection's, else SERVER
 * @param timeout null for none
 */
public record SyncOptions(
    String server,
    LongSupplier nowUs,
    ChangeStandard standard,
    boolean create,
    boolean recreate,
    OnHistoryChange onHistoryChange,
    Duration timeout) {
  /** What the server lost, restored to an earlier time, is offered, or given up; or neither. */
  public enum OnHistoryChange {
    OFFER,
    FOLLOW,
    STOP
  }
}
