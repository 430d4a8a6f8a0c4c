package tercet.client;

import static tercet.v1.ExchangeResponse.MessageCase.RANGES;
import static tercet.v1.ExchangeResponse.MessageCase.VERDICTS;

import com.google.protobuf.ByteString;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import tercet.v1.Checkpoint;
import tercet.v1.Epoch;
import tercet.v1.RangeAnswers;
import tercet.v1.RangeKind;
import tercet.v1.RangeList;
import tercet.v1.RangeQuery;

/**
 * Recovery: finds what differs between the bases of the replica and the server's items. Sums of
 * ranges of ids are compared, and those that differ are cut. All that was found is taken in one
 * transaction at the end: an exchange that is cut before has changed nothing.
 */
final class Recovery {
  /** With the ranges between them that are not asked about, a query may have 4,096. */
  private static final int RANGES_AT_ONCE = 2000;

  /** A range with more bases than this is asked about in so many parts. */
  private static final int SMALL = 16;

  private static final int PARTS = 4;

  /** Bytes of a sum that travel. */
  private static final int SHORT = 8;

  /**
   * A range of ids, with the bases in it: from first up to last in the list of all.
   *
   * @param end the first id that is beyond it; null: it goes to the last id
   */
  private record Range(String start, String end, int first, int last) {}

  /** Count and sum of a range, as they travel. */
  private record Total(long count, ByteString sum) {}

  private final Session session;

  /** All bases in the order of their ids, and the sums of the first n of them. */
  private final List<String> ids = new ArrayList<>();

  private final List<RangeSum> sums = new ArrayList<>(List.of(RangeSum.NOTHING));

  /** The server's states of what differs, by id. */
  private final Map<String, State> found = new LinkedHashMap<>();

  /** The first answer: it says the head, the fork, and more that holds for all. */
  private RangeAnswers preamble;

  private Recovery(Session session) {
    this.session = session;
    for (var entry : session.replica.entries()) {
      if (entry.baseFingerprint() != null) {
        ids.add(entry.id);
        sums.add(sums.get(sums.size() - 1).plus(RangeSum.of(entry.baseFingerprint())));
      }
    }
  }

  /** Compares all items with the server's, and takes what differs. */
  static void recover(Session session, Report.Why why) {
    session.recovering = true;
    session.heard = Checkpoint.getDefaultInstance();
    session.report.recovery = new Report.Recovered(why);
    var lineage = session.rebinds ? List.<Epoch>of() : session.replica.lineage;
    session.stream.send(message -> message.getRecoverBuilder().addAllLineage(lineage));
    var recovery = new Recovery(session);
    recovery.search();
    recovery.complete();
  }

  private void search() {
    int atOnce = (int) Math.min(RANGES_AT_ONCE, session.limits.getWindowItems());
    var ranges = cut(new Range("", null, 0, ids.size()));
    while (!ranges.isEmpty()) {
      var finer = new ArrayList<Range>();
      for (int at = 0; at < ranges.size(); at += atOnce) {
        finer.addAll(compare(ranges.subList(at, Math.min(at + atOnce, ranges.size()))));
      }
      ranges = finer;
    }
  }

  /** Lets the server compare ranges, and takes what it lists; answers the parts that differ. */
  private List<Range> compare(List<Range> ranges) {
    session.stream.send(message -> message.setRanges(toQuery(ranges)));
    session.report.roundTrips++;
    var asked = new ArrayDeque<>(ranges);
    var finer = new ArrayList<Range>();
    while (!asked.isEmpty()) {
      var message = session.stream.receiveOnly(RANGES, VERDICTS);
      if (message.hasVerdicts()) {
        Messages.take(session, message);
        continue;
      }
      var answers = message.getRanges();
      preamble = preamble == null ? answers : preamble;
      session.hear(answers.getWitness());
      try {
        finer.addAll(readAnswers(asked, answers));
      } catch (IllegalArgumentException | NoSuchElementException | IndexOutOfBoundsException e) {
        throw ClientException.outOfOrder("an answer to a recovery does not fit what was asked");
      }
    }
    return finer;
  }

  /** Takes what was found, and stands where the server stood when the recovery began. */
  private void complete() {
    if (preamble == null || !preamble.hasHead()) {
      throw ClientException.outOfOrder("the first answer to a recovery did not say its head");
    }
    var head = preamble.getHead();
    if (!session.rebinds) {
      addUnsettledCreations(head.getRevision());
    }
    var mode = new Settle.Recovering(preamble.getForkRevision(), this::standInHistory);
    Settle.takeChanges(session, found.values(), mode, head);
    session.recovering = false;
  }

  /**
   * Creations that were sent, and are not told of, may have been made, and deleted by others. One
   * that was deleted here since is still to be deleted there: what was sent may be under way yet.
   */
  private void addUnsettledCreations(long revision) {
    for (var entry : session.replica.pending()) {
      var isCreation = entry.mine != null && entry.baseFingerprint() == null;
      if (isCreation && !entry.pending.sendings.isEmpty()) {
        found.putIfAbsent(entry.id, State.gone(entry.id, revision));
      }
    }
  }

  /** The server's history becomes the replica's; stored together with all that was found. */
  private void standInHistory() {
    var replica = session.replica;
    // Revisions beyond the fork may be of another history. All of it was there at the head.
    replica.raiseBases(preamble.getForkRevision(), preamble.getHead().getRevision());
    replica.lineage = new ArrayList<>(preamble.getLineageList());
    int count = preamble.getLineageCount();
    long known = count == 0 ? 0 : preamble.getLineage(count - 1).getFirstRevision();
    session.begun.stream()
        .filter(epoch -> epoch.getFirstRevision() > known)
        .forEach(replica.lineage::add);
    replica.uid = session.opened.getCollectionUid();
    // They speak of the history that was left.
    replica.loseCheckpoint();
  }

  /** Parts of about the same size, unless it is small: the server cuts them again. */
  private List<Range> cut(Range whole) {
    int count = whole.last - whole.first;
    if (count <= SMALL) {
      return List.of(whole);
    }
    var inner = new ArrayList<String>();
    for (int part = 1; part < PARTS; part++) {
      inner.add(ids.get(whole.first + count * part / PARTS));
    }
    return split(whole, inner);
  }

  /** The parts of a range between these bounds. */
  private List<Range> split(Range whole, List<String> inner) {
    var parts = new ArrayList<Range>();
    var start = whole.start;
    for (var bound : inner) {
      parts.add(narrow(whole, start, bound));
      start = bound;
    }
    parts.add(narrow(whole, start, whole.end));
    return parts;
  }

  private Range narrow(Range within, String start, String end) {
    int first = indexOf(start, within.first, within.last);
    int last = end == null ? within.last : indexOf(end, first, within.last);
    return new Range(start, end, first, last);
  }

  /** Index of the first base, among some of them, that is not before a bound. */
  private int indexOf(String bound, int first, int last) {
    int at = Collections.binarySearch(ids.subList(first, last), bound, Ids.ORDER);
    return first + (at < 0 ? -at - 1 : at);
  }

  private Total total(Range part) {
    var total = sums.get(part.last).minus(sums.get(part.first));
    return new Total(total.count(), total.toBytes().substring(0, SHORT));
  }

  /** Ranges, which are in order, by their sums; nothing is asked of what is between them. */
  private RangeQuery toQuery(List<Range> ranges) {
    var query = RangeQuery.newBuilder();
    var ends = new ArrayList<String>();
    var sent = ByteString.EMPTY;
    var at = "";
    for (var part : ranges) {
      if (!part.start.equals(at)) {
        ends.add(part.start);
        query.addKinds(RangeKind.RANGE_KIND_UNSPECIFIED);
      }
      if (part.end != null) {
        ends.add(part.end);
      }
      at = part.end;
      var total = total(part);
      query.addKinds(RangeKind.RANGE_KIND_SUM).addCounts(total.count);
      sent = sent.concat(total.sum);
    }
    if (at != null) {
      query.addKinds(RangeKind.RANGE_KIND_UNSPECIFIED);
    }
    return query.setEnds(Ids.encodeBounds(ends)).setSums(sent).build();
  }

  /** Takes what is listed; answers the parts that differ. */
  private List<Range> readAnswers(Deque<Range> asked, RangeAnswers answers) {
    var sizes = answers.getPartsList().iterator();
    var lists = answers.getListsList().iterator();
    var ends = Ids.decodeBounds(answers.getEnds()).iterator();
    var totals = totalsOf(answers).iterator();
    var finer = new ArrayList<Range>();
    for (var outcome : answers.getOutcomesList()) {
      var whole = asked.remove();
      switch (outcome) {
        case RANGE_OUTCOME_EQUAL -> {}
        case RANGE_OUTCOME_LIST -> takeList(whole, lists.next());
        case RANGE_OUTCOME_SPLIT -> {
          for (var part : split(whole, take(ends, sizes.next() - 1))) {
            if (!total(part).equals(totals.next())) {
              finer.addAll(cut(part));
            }
          }
        }
        default -> throw new IllegalArgumentException("unknown outcome");
      }
    }
    if (sizes.hasNext() || lists.hasNext() || ends.hasNext() || totals.hasNext()) {
      throw new IllegalArgumentException("more was answered than was asked");
    }
    return finer;
  }

  private static List<String> take(Iterator<String> from, int count) {
    var taken = new ArrayList<String>();
    for (int index = 0; index < count; index++) {
      taken.add(from.next());
    }
    return taken;
  }

  private static List<Total> totalsOf(RangeAnswers answers) {
    var totals = new ArrayList<Total>();
    for (int index = 0; index < answers.getCountsCount(); index++) {
      var sum = answers.getSums().substring(index * SHORT, (index + 1) * SHORT);
      totals.add(new Total(answers.getCounts(index), sum));
    }
    if (answers.getSums().size() != totals.size() * SHORT) {
      throw new IllegalArgumentException("counts and sums differ in number");
    }
    return totals;
  }

  /**
   * Takes what the server has in a range that differs, and what it has deleted after the fork. Of
   * the rest nothing is known there: it was deleted up to the fork, or to the tombstones' horizon.
   */
  private void takeList(Range whole, RangeList listed) {
    var infos = new ArrayList<>(listed.getItemsList());
    infos.addAll(listed.getDeletedList());
    var told = ChangeInfos.read(infos);
    long compacted = preamble.getCompactedRevision();
    long revision = compacted > preamble.getForkRevision() ? compacted : 0;
    ids.subList(whole.first, whole.last).forEach(id -> found.put(id, State.gone(id, revision)));
    told.forEach(state -> found.put(state.id(), state));
  }
}
