package tercet.client;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import tercet.v1.ChangePage;
import tercet.v1.ExchangeResponse;
import tercet.v1.PushOutcome;
import tercet.v1.Verdict;
import tercet.v1.Verdicts;

/** What the server says of its own accord: pages of change info, and verdicts on pushes. */
final class Messages {
  /** After so many lost races a change stays pending for another time. */
  private static final int MOST_RACES = 5;

  private Messages() {}

  /** Takes a message in full, with whatever has to be fetched for it. */
  static void take(Session session, ExchangeResponse message) {
    switch (message.getMessageCase()) {
      case PAGE -> takePage(session, message.getPage());
      case VERDICTS -> takeVerdicts(session, message.getVerdicts());
      case UPLOAD, GOING_AWAY -> {
        // Of an upload whose push has been sent; and what matters only to one that stays open.
      }
      default -> throw ClientException.outOfOrder(message.getMessageCase() + " was not asked for");
    }
  }

  private static void takePage(Session session, ChangePage page) {
    var states = ChangeInfos.read(page.getChangesList(), page.getFingerprint());
    Settle.takeChanges(session, states, page.getCheckpoint());
    // The server waits for this before it goes on with contents that have to be fetched.
    if (page.getChangesList().stream()
        .anyMatch(info -> info.hasFingerprint() && !ChangeInfos.hasContent(info))) {
      long revision = page.getCheckpoint().getRevision();
      session.stream.send(message -> message.getTakenBuilder().setRevision(revision));
    }
  }

  private static void takeVerdicts(Session session, Verdicts verdicts) {
    session.hear(verdicts.getWitness());
    var told = new ArrayList<State>();
    for (var verdict : verdicts.getVerdictsList()) {
      told.addAll(takeVerdict(session, verdict));
    }
    // What is settled is stored already, even if contents to be fetched for the rest never come.
    session.replica.hear(session.heard);
    Settle.takeChanges(session, told, verdicts.hasCheckpoint() ? verdicts.getCheckpoint() : null);
  }

  /** Settles what a verdict speaks of; answers what is to be compared because of it. */
  private static List<State> takeVerdict(Session session, Verdict verdict) {
    long count = verdict.getCount();
    if (verdict.getOrdinal() != session.firstOrdinal
        || count < 1
        || count > session.onTheWay.size()) {
      throw ClientException.outOfOrder("a verdict came out of order");
    }
    session.firstOrdinal += count;
    var told = new ArrayList<State>();
    for (long index = 0; index < count; index++) {
      var sent = session.onTheWay.remove();
      switch (verdict.getOutcome()) {
        case PUSH_OUTCOME_APPLIED -> {
          if (sent.version() == null) {
            session.report.sentDeletions++;
          } else {
            session.report.sent++;
          }
          long revision = verdict.getRevision() + (verdict.getOneRevision() ? 0 : index);
          settle(session, sent, revision, told);
        }
        case PUSH_OUTCOME_ALREADY_APPLIED -> {
          if (!session.settled.contains(sent.sequence())) {
            session.report.settled++;
          }
          settle(session, sent, verdict.getRevision(), told);
        }
        default -> takeBack(session, sent, verdict);
      }
    }
    if (verdict.getOutcome() == PushOutcome.PUSH_OUTCOME_CONFLICT && verdict.hasCurrent()) {
      addCurrent(session, verdict, told);
    }
    return told;
  }

  /** A content that does not come along is still to come with the change feed. */
  private static void addCurrent(Session session, Verdict verdict, List<State> told) {
    var current = verdict.getCurrent();
    boolean isToCome =
        current.getRevision() > session.replica.revision() && !ChangeInfos.hasContent(current);
    for (var state : ChangeInfos.read(List.of(current))) {
      if (state.fingerprint() == null || !isToCome) {
        told.add(state);
      }
    }
  }

  /** The server has what was sent. Where it is not pending any more, it is compared like others. */
  private static void settle(Session session, Session.Sent sent, long revision, List<State> told) {
    var entry = session.replica.entry(sent.id());
    if (entry.pending == null || entry.pending.sequence != sent.sequence()) {
      told.add(State.of(sent.id(), sent.version(), revision, sent.timeUs()));
      return;
    }
    var base = entry.base;
    if (base == null
        || base.revision() < revision
        || base.revision() == revision && Objects.equals(base.fingerprint(), sent.fingerprint())) {
      session.replica.agree(entry, revision);
    }
  }

  /** It was not made. But where something was sent on an earlier stream, that may still arrive. */
  private static void takeBack(Session session, Session.Sent sent, Verdict verdict) {
    var report = session.report;
    var entry = session.replica.entry(sent.id());
    if (entry.pending != null && !sent.resent()) {
      entry.pending.sendings.removeIf(each -> Objects.equals(each, sent.fingerprint()));
    }
    switch (verdict.getOutcome()) {
      case PUSH_OUTCOME_COMPARE_FIRST -> session.tried.remove(sent.sequence());
      case PUSH_OUTCOME_REJECTED -> {
        report.rejected.put(sent.id(), verdict.getReasonValue());
        if (entry.pending != null && entry.pending.sequence == sent.sequence()) {
          entry.pending.rejected = verdict.getReasonValue();
        }
      }
      case PUSH_OUTCOME_CONFLICT -> {
        if (sent.again() && session.races.merge(sent.id(), 1, Integer::sum) >= MOST_RACES) {
          report.contended.add(sent.id());
        }
      }
      default -> {
        // An outcome that this client does not know: the change stays pending.
      }
    }
  }
}
