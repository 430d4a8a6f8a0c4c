package tercet.client;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import tercet.v1.ChangeStandard;

/** What an exchange did. */
public final class Report {
  /** Why a recovery was needed. */
  public enum Why {
    COMPACTED,
    HISTORY,
    RECREATED,
    UNVERIFIED,
    ASKED
  }

  /** A recovery, and the ids of what was offered to the server again. */
  public record Recovered(Why why, List<String> offered) {
    Recovered(Why why) {
      this(why, new ArrayList<>());
    }
  }

  /** How a conflict ended: mine, theirs or held. */
  public record Conflict(ChangeStandard standard, String prevailed) {}

  public ChangeStandard standard = ChangeStandard.CHANGE_STANDARD_UNSPECIFIED;
  public long received;
  public long deleted;
  public long sent;
  public long sentDeletions;
  public long settled;
  public long roundTrips = 1;
  public boolean verified;

  /** Null where there was none. */
  public Recovered recovery;

  /** By id. */
  public final Map<String, Conflict> conflicts = new LinkedHashMap<>();

  /** Numbers of the ErrorReasons, by id. */
  public final Map<String, Integer> rejected = new LinkedHashMap<>();

  /** Ids of changes that lost too many races. */
  public final Set<String> contended = new LinkedHashSet<>();
}
