package tercet.client;

import com.google.protobuf.ByteString;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import tercet.client.Comparison.Outcome;
import tercet.client.SyncOptions.OnHistoryChange;
import tercet.v1.ChangeStandard;
import tercet.v1.Checkpoint;

/** Step 2: compares what the server told with this side's changes, and does what follows. */
final class Settle {
  /** What the comparison is for. */
  sealed interface Mode {}

  /** What the change feed, or a verdict, told. */
  record Ordinary() implements Mode {}

  /** Held items are judged anew. */
  record Rejudging() implements Mode {}

  /** What a recovery found; fork: the last revision that both histories share. */
  record Recovering(long fork, Runnable store) implements Mode {}

  /**
   * What is to be done with one item.
   *
   * @param outcome of a conflict, and of what the server lost, where its history is followed; else
   *     null
   * @param isCompanion it shares the fate of its group; the server told nothing of it
   */
  private record Decision(
      Entry entry,
      State theirs,
      Comparison comparison,
      Outcome outcome,
      boolean isCompanion) {
    boolean takesTheirs() {
      return comparison == Comparison.THEIRS || outcome == Outcome.THEIRS;
    }

    /** The server's content is to be kept here, and is not at hand. */
    boolean needsContent() {
      boolean isKept = takesTheirs() || outcome == Outcome.HELD;
      boolean isThere = theirs.fingerprint() != null && theirs.version() == null;
      return theirs.isUnproved() || isKept && isThere;
    }

    Decision sharing(Outcome fate) {
      return new Decision(entry, theirs, Comparison.CONFLICT, fate, isCompanion);
    }
  }

  private final Session session;
  private final Replica replica;
  private final Mode mode;

  /** Ids of pushes on their way for the first time: what is told now was there before them. */
  private final Set<String> firstSent;

  private Settle(Session session, Mode mode) {
    this.session = session;
    this.mode = mode;
    replica = session.replica;
    firstSent =
        session.onTheWay.stream()
            .filter(sent -> !sent.resent())
            .map(Session.Sent::id)
            .collect(Collectors.toSet());
  }

  /** Takes what the change feed or verdicts told, up to a checkpoint; null: none was reached. */
  static void takeChanges(Session session, List<State> told, Checkpoint checkpoint) {
    takeChanges(session, told, new Ordinary(), checkpoint);
  }

  /**
   * Compares, fetches what contents are needed, and stores: all at once, with the checkpoint. While
   * contents are awaited the application may change items: so everything is compared anew then.
   * From the last comparison on nothing is awaited; in a database this is one transaction.
   */
  static void takeChanges(
      Session session, Collection<State> told, Mode mode, Checkpoint checkpoint) {
    var settle = new Settle(session, mode);
    var states = new LinkedHashMap<String, State>();
    told.forEach(state -> states.put(state.id(), state));
    var decisions = settle.decide(states.values());
    while (decisions.stream().anyMatch(Decision::needsContent)) {
      var missing =
          decisions.stream().filter(Decision::needsContent).map(Decision::theirs).toList();
      for (var state : ReceiveContent.fetch(session, missing)) {
        // What was fetched is the server's state as well, and may be a later one.
        states.put(state.id(), state);
        knowBase(session.replica.entry(state.id()), state);
      }
      decisions = settle.decide(states.values());
    }
    decisions.forEach(settle::carryOut);
    if (mode instanceof Recovering recovering) {
      recovering.store().run();
    }
    session.replica.hear(session.heard);
    if (checkpoint != null) {
      session.replica.stand(checkpoint);
    }
  }

  /**
   * Where what was fetched is the base itself, its content is at hand from now on: a member of a
   * group may give way to it.
   */
  private static void knowBase(Entry entry, State fetched) {
    if (entry.base != null && Objects.equals(entry.base.fingerprint(), fetched.fingerprint())) {
      entry.base = entry.base.withVersion(fetched.version());
    }
  }

  private Collection<Decision> decide(Collection<State> told) {
    var decisions = new LinkedHashMap<String, Decision>();
    for (var theirs : told) {
      var decision = decide(theirs);
      if (decision.comparison != Comparison.KNOWN) {
        decisions.put(theirs.id(), decision);
      }
    }
    joinGroups(decisions);
    return decisions.values();
  }

  private Decision decide(State told) {
    var entry = replica.entry(told.id());
    var onHistoryChange = session.options.onHistoryChange();
    if (onHistoryChange == OnHistoryChange.STOP
        && mode instanceof Recovering recovering
        && entry.base != null
        && entry.base.revision() > recovering.fork()) {
      throw new ClientException(
          "TOKEN_OTHER_HISTORY", "the server has lost what was agreed on; nothing was changed");
    }
    var comparison = compare(entry, told);
    var theirs = withContent(entry, told);
    Outcome outcome = null;
    if (comparison == Comparison.CONFLICT) {
      outcome = judge(entry, entry.timeUs, theirs);
    } else if (comparison == Comparison.LOST && onHistoryChange == OnHistoryChange.FOLLOW) {
      outcome = Outcome.THEIRS;
    }
    return new Decision(entry, theirs, comparison, outcome, false);
  }

  private Comparison compare(Entry entry, State theirs) {
    if (mode instanceof Rejudging && entry.isHeld()) {
      return Comparison.CONFLICT;
    }
    boolean hasSendings = entry.pending != null && !firstSent.contains(entry.id);
    List<ByteString> sendings = hasSendings ? entry.pending.sendings : Collections.emptyList();
    return mode instanceof Recovering recovering
        ? Comparison.compareRecovered(entry, sendings, theirs, recovering.fork())
        : Comparison.compare(entry, sendings, theirs);
  }

  /** A state with its content, where that is at hand. */
  private static State withContent(Entry entry, State state) {
    if (state.fingerprint() == null || state.version() != null) {
      return state;
    }
    return Stream.of(entry.mine, entry.base == null ? null : entry.base.version())
        .filter(each -> each != null && each.fingerprint().equals(state.fingerprint()))
        .findFirst()
        .map(state::withVersion)
        .orElse(state);
  }

  private Outcome judge(Entry entry, long timeUs, State theirs) {
    long ceilingUs = session.options.nowUs().getAsLong() + session.ceilingAheadUs;
    return Comparison.judge(
        session.opened.getStandard(), entry.fingerprint(), Math.min(timeUs, ceilingUs), theirs);
  }

  /** An atomic group that is in conflict has one fate, which its other members share. */
  private void joinGroups(Map<String, Decision> decisions) {
    var conflicts = new LinkedHashMap<Long, List<Decision>>();
    for (var decision : decisions.values()) {
      var pending = decision.entry.pending;
      if (decision.outcome != null && pending != null && pending.group != 0) {
        conflicts.computeIfAbsent(pending.group, group -> new ArrayList<>()).add(decision);
      }
    }
    for (var inConflict : conflicts.values()) {
      var members = replica.groupOf(inConflict.get(0).entry);
      var fate = fateOf(inConflict, members);
      members.forEach(entry -> join(decisions, entry, fate));
    }
  }

  private static void join(Map<String, Decision> decisions, Entry entry, Outcome fate) {
    var told = decisions.get(entry.id);
    if (told == null) {
      if (fate != Outcome.MINE) {
        var theirs = withContent(entry, entry.baseOrNothing());
        decisions.put(entry.id, new Decision(entry, theirs, Comparison.CONFLICT, fate, true));
      }
    } else if (told.comparison != Comparison.AGREED
        && (fate != Outcome.MINE || told.outcome != null)) {
      decisions.put(entry.id, told.sharing(fate));
    }
  }

  /** Held where one of them is; else by the latest times of both sides. */
  private Outcome fateOf(List<Decision> conflicts, List<Entry> members) {
    if (conflicts.stream().anyMatch(each -> each.outcome == Outcome.HELD)) {
      return Outcome.HELD;
    }
    if (conflicts.stream().anyMatch(each -> each.comparison == Comparison.LOST)) {
      return Outcome.THEIRS;
    }
    // On a tie the first: Stream.max would take the last.
    var latest = conflicts.get(0);
    for (var each : conflicts) {
      latest = each.theirs.timeUs() > latest.theirs.timeUs() ? each : latest;
    }
    long timeUs = members.stream().mapToLong(Entry::timeUs).max().orElseThrow();
    return judge(latest.entry, timeUs, latest.theirs);
  }

  private void carryOut(Decision decision) {
    var report = session.report;
    var standard = session.opened.getStandard();
    var entry = decision.entry;
    var theirs = decision.theirs;
    var outcome = decision.outcome;
    if (outcome != null && !decision.isCompanion) {
      var prevailed = outcome.name().toLowerCase(Locale.ROOT);
      report.conflicts.put(entry.id, new Report.Conflict(standard, prevailed));
    } else if (decision.comparison == Comparison.LOST && report.recovery != null) {
      report.recovery.offered().add(entry.id);
    }
    if (decision.takesTheirs()) {
      if (theirs.fingerprint() == null) {
        report.deleted++;
      } else {
        report.received++;
      }
      long nowUs = session.options.nowUs().getAsLong();
      replica.takeTheirs(entry, theirs, outcome == null ? null : standard, nowUs);
    } else if (decision.comparison == Comparison.AGREED) {
      report.settled++;
      session.settled.add(entry.pending.sequence);
      session.sendAgain(entry);
      replica.agree(entry, theirs.revision());
    } else if (decision.comparison == Comparison.SAME) {
      replica.moveBase(entry, theirs);
    } else if (decision.isCompanion) {
      entry.pending.held = true;
    } else {
      keepMine(entry, theirs, outcome);
    }
  }

  /** The change of this side goes on, on what the server has now. */
  private void keepMine(Entry entry, State theirs, Outcome outcome) {
    var overrides =
        outcome == Outcome.MINE
            ? session.opened.getStandard()
            : ChangeStandard.CHANGE_STANDARD_UNSPECIFIED;
    boolean isHeld = outcome == Outcome.HELD;
    if (entry.pending == null) {
      replica.offer(entry, theirs, overrides, isHeld);
    } else {
      replica.standOn(entry, theirs, overrides, isHeld);
      session.sendAgain(entry);
    }
  }
}
