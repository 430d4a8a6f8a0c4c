"""Recovery: finds what differs between the bases of the replica and the server's items.

Sums of ranges of ids are compared, and those that differ are cut. Everything that was found is taken in one transaction
at the end: an exchange that is cut before has changed nothing.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate

from tercet.v1 import item_pb2, sync_pb2
from tercet.v1.sync_pb2 import ExchangeRequest

from .change_info import read_changes
from .errors import out_of_order
from .fingerprint import RangeSum, decode_bounds, encode_bounds
from .messages import take_verdicts
from .replica import Replica, State
from .session import Recovery, RecoveryReason, Session
from .settle import take_changes

# With the ranges between them that are not asked about, a query may have 4,096.
RANGES_AT_ONCE = 2000
# A range with more bases than this is asked about in so many parts.
SMALL = 16
PARTS = 4
# Bytes of a sum that travel in a recovery.
SHORT = 8


# Ids from the first to before the second; None: to the last id.
Range = tuple[str, str | None]


class Search:
    """Looks for what differs from the bases of a replica, and collects what it has found."""

    def __init__(self, replica: Replica) -> None:
        entries = [entry for _, entry in sorted(replica.entries.items()) if entry.base_fingerprint]
        # All bases in the order of their ids, and the sums of the first n of them.
        self.ids = [entry.id for entry in entries]
        self.sums = list(accumulate((RangeSum.of(entry.base_fingerprint) for entry in entries), initial=RangeSum()))
        # The server's states of what differs, by id.
        self.found: dict[str, State] = {}
        # The first answer: it says the head, the fork, and more that holds for all.
        self.preamble = sync_pb2.RangeAnswers()

    def inside(self, part: Range) -> range:
        """Which of the bases are in a range."""
        start, end = part
        last = len(self.ids) if end is None else bisect_left(self.ids, end)
        return range(bisect_left(self.ids, start), last)

    def total(self, part: Range) -> tuple[int, bytes]:
        """Count and sum of the bases in a range, as they travel."""
        inside = self.inside(part)
        total = self.sums[inside.stop] - self.sums[inside.start]
        return total.count, total.to_bytes()[:SHORT]

    def cut(self, whole: Range) -> list[Range]:
        """Parts of about the same size, unless it is small: the server cuts them again, which saves round trips."""
        inside = self.inside(whole)
        if len(inside) <= SMALL:
            return [whole]
        return split(whole, [self.ids[inside[len(inside) * part // PARTS]] for part in range(1, PARTS)])


def split(whole: Range, inner: list[str]) -> list[Range]:
    """The parts of a range between these bounds."""
    start, end = whole
    return list(zip([start, *inner], [*inner, end], strict=True))


def recover(session: Session, why: RecoveryReason) -> None:
    """Compares all items with the server's, and takes what differs."""
    session.recovering = True
    session.heard = item_pb2.Checkpoint()
    session.report.recovery = Recovery(why)
    lineage = [] if session.rebinds else session.replica.lineage
    session.stream.send(ExchangeRequest(recover=sync_pb2.Recover(lineage=lineage)))
    search = Search(session.replica)
    at_once = min(RANGES_AT_ONCE, session.limits.window_items)
    ranges = search.cut(("", None))
    while ranges:
        slices = [ranges[at : at + at_once] for at in range(0, len(ranges), at_once)]
        ranges = [finer for part in slices for finer in _compare(session, search, part)]
    _complete(session, search)


def _compare(session: Session, search: Search, ranges: list[Range]) -> Iterator[Range]:
    """Lets the server compare ranges, and takes what it lists; answers those parts of the others that differ."""
    session.stream.send(ExchangeRequest(ranges=_to_query(search, ranges)))
    session.report.round_trips += 1
    asked = deque(ranges)
    while asked:
        response = session.stream.receive_only("ranges", "verdicts")
        if response.HasField("verdicts"):
            take_verdicts(session, response.verdicts)
            continue
        answers = response.ranges
        if not search.preamble.HasField("head"):
            search.preamble = answers
        session.hear(answers.witness)
        try:
            yield from _read_answers(search, asked, answers)
        except (ValueError, IndexError, StopIteration):
            raise out_of_order("the server's answer to a recovery does not fit what was asked") from None


def _complete(session: Session, search: Search) -> None:
    """Takes what was found, and stands where the server stood when the recovery began."""
    replica, preamble = session.replica, search.preamble
    if not preamble.HasField("head"):
        raise out_of_order("the server's first answer to a recovery did not say its head")
    head, fork = preamble.head, preamble.fork_revision
    if not session.rebinds:
        for id in _unsettled_creations(replica):
            search.found.setdefault(id, State(id, revision=head.revision))

    def store() -> None:
        # Revisions beyond the fork may be of another history. The server has had all of these states at its head.
        for entry in replica.entries.values():
            if entry.base and entry.base.revision > min(fork, head.revision):
                entry.base = replace(entry.base, revision=head.revision)
        known = preamble.lineage[-1].first_revision if preamble.lineage else 0
        replica.lineage = [*preamble.lineage, *(epoch for epoch in session.begun if epoch.first_revision > known)]
        replica.uid = session.opened.collection_uid
        # They speak of the history that was left.
        replica.lose_checkpoint()

    take_changes(session, search.found.values(), head, fork=fork, store=store)
    session.recovering = False


def _unsettled_creations(replica: Replica) -> list[str]:
    """Creations that were sent: those that the server tells nothing of may have been made, and deleted by others.

    One that was deleted here since is still to be deleted there: what was sent may be under way yet.
    """
    pending = [entry for entry in replica.pending() if entry.mine and entry.base_fingerprint is None]
    return [entry.id for entry in pending if entry.pending.sendings]


def _to_query(search: Search, ranges: list[Range]) -> sync_pb2.RangeQuery:
    """The ranges, which are in order, as a query by their sums; with nothing asked of what is between them."""
    totals = [search.total(part) for part in ranges]
    query = sync_pb2.RangeQuery(counts=[count for count, _ in totals], sums=b"".join(sum for _, sum in totals))
    ends: list[str] = []
    at: str | None = ""
    for start, end in ranges:
        if start != at:
            ends.append(start)
            query.kinds.append(sync_pb2.RANGE_KIND_UNSPECIFIED)
        if end is not None:
            ends.append(end)
        at = end
        query.kinds.append(sync_pb2.RANGE_KIND_SUM)
    if at is not None:
        query.kinds.append(sync_pb2.RANGE_KIND_UNSPECIFIED)
    query.ends.CopyFrom(encode_bounds(ends))
    return query


def _read_answers(search: Search, asked: deque[Range], answers: sync_pb2.RangeAnswers) -> list[Range]:
    """Takes what is listed; answers the parts that differ.

    ValueError, IndexError or StopIteration where the answers do not fit what was asked.
    """
    sizes, lists, ends = iter(answers.parts), iter(answers.lists), iter(decode_bounds(answers.ends))
    sums = [answers.sums[at : at + SHORT] for at in range(0, len(answers.sums), SHORT)]
    totals = zip(answers.counts, sums, strict=True)
    finer = []
    for outcome in answers.outcomes:
        whole = asked.popleft()
        if outcome == sync_pb2.RANGE_OUTCOME_LIST:
            _take_list(search, whole, next(lists))
        elif outcome == sync_pb2.RANGE_OUTCOME_SPLIT:
            for part in split(whole, [next(ends) for _ in range(next(sizes) - 1)]):
                finer += [] if search.total(part) == next(totals) else search.cut(part)
        elif outcome != sync_pb2.RANGE_OUTCOME_EQUAL:
            raise ValueError("unknown outcome")
    if any(next(rest, None) is not None for rest in (sizes, lists, ends, totals)):
        raise ValueError("more was answered than was asked")
    return finer


def _take_list(search: Search, whole: Range, listed: sync_pb2.RangeList) -> None:
    """Takes what the server has in a range that differs, and what it has deleted after the fork.

    Of the rest nothing is known there: it was deleted up to the fork, or up to the horizon of tombstones.
    """
    told = read_changes([*listed.items, *listed.deleted])
    compacted, fork = search.preamble.compacted_revision, search.preamble.fork_revision
    revision = compacted if compacted > fork else 0
    search.found.update({search.ids[at]: State(search.ids[at], revision=revision) for at in search.inside(whole)})
    search.found.update({state.id: state for state in told})
