"""Recovery: finds what differs between the bases of the replica and the server's items.

Sums of ranges of ids are compared, and those that differ are cut. Everything that was found is taken in one transaction
at the end: an exchange that is cut before has changed nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import accumulate

from tercet.v1 import sync_pb2

from .change_info import read_changes
from .errors import out_of_order
from .fingerprint import RangeSum, decode_bounds, encode_bounds
from .messages import take_message
from .replica import Replica, State
from .session import Recovery, RecoveryReason, Session
from .settle import take_changes

# A range with so few bases is compared item by item.
LEAF_ITEMS = 12
# With the ranges between them that are not asked about, a query may have 4,096.
RANGES_AT_ONCE = 2000
# Of sums and fingerprints that travel in a recovery.
SHORT = 8


@dataclass(frozen=True)
class Range:
    """A range of ids, [start, end), with the bases in it: [first, last) in the list of all."""

    start: str
    # None: to the last id.
    end: str | None
    first: int
    last: int

    @property
    def count(self) -> int:
        return self.last - self.first

    @property
    def is_leaf(self) -> bool:
        return self.count <= LEAF_ITEMS


class Bases:
    """All bases in the order of their ids, and the sums of the first n of them."""

    def __init__(self, replica: Replica) -> None:
        bases = {id: entry.base.fingerprint for id, entry in sorted(replica.entries.items()) if entry.base}
        known = {id: fingerprint for id, fingerprint in bases.items() if fingerprint is not None}
        self.ids = list(known)
        self.fingerprints = list(known.values())
        self.sums = list(accumulate(map(RangeSum.of, self.fingerprints), initial=RangeSum()))

    def everything(self) -> Range:
        return Range("", None, 0, len(self.ids))

    def total(self, part: Range) -> RangeSum:
        return self.sums[part.last] - self.sums[part.first]

    def short_sum(self, part: Range) -> bytes:
        return self.total(part).to_bytes()[:SHORT]

    def narrow(self, within: Range, start: str, end: str | None) -> Range:
        """A part of a range, with the bases in it."""
        first = bisect_left(self.ids, start, within.first, within.last)
        last = within.last if end is None else bisect_left(self.ids, end, first, within.last)
        return Range(start, end, first, last)

    def cut(self, whole: Range) -> list[Range]:
        """Parts of about the same size. Few parts cost fewer bytes, many parts fewer round trips."""
        if whole.is_leaf:
            return [whole]
        parts = 16 if whole.count >= 16_384 else 8 if whole.count >= 1024 else 4
        cuts = [whole.first + whole.count * part // parts for part in range(1, parts)]
        starts = [whole.start, *(self.ids[at] for at in cuts)]
        ends = [*starts[1:], whole.end]
        return [Range(*part) for part in zip(starts, ends, [whole.first, *cuts], [*cuts, whole.last], strict=True)]


@dataclass
class Search:
    """What is being searched, and what has been found."""

    bases: Bases
    # Ranges without an answer, in the order in which they were asked; and finer ones, to be asked next.
    asked: deque[Range] = field(default_factory=deque)
    waiting: list[Range] = field(default_factory=list)
    # The server's states of what differs, by id.
    found: dict[str, State] = field(default_factory=dict)
    # The first answer: it says the head, the fork, and more that holds for all.
    preamble: sync_pb2.RangeAnswers | None = None


def recover(session: Session, why: RecoveryReason) -> None:
    """Compares all items with the server's, and takes what differs."""
    session.recovering = True
    session.heard.Clear()
    session.report.recovery = Recovery(why)
    session.stream.send(recover=sync_pb2.Recover(lineage=[] if session.rebinds else session.replica.lineage))
    bases = Bases(session.replica)
    search = Search(bases, waiting=bases.cut(bases.everything()))
    at_once = max(1, session.limits.window_items // 2)
    while search.waiting:
        now, search.waiting = search.waiting[:at_once], search.waiting[at_once:]
        for at in range(0, len(now), RANGES_AT_ONCE):
            session.stream.send(ranges=_to_query(bases, now[at : at + RANGES_AT_ONCE]))
        search.asked.extend(now)
        session.report.round_trips += 1
        _take_answers(session, search)
    _complete(session, search)


def _take_answers(session: Session, search: Search) -> None:
    while search.asked:
        name, message = session.stream.receive_only("ranges", "verdicts")
        if name == "verdicts":
            take_message(session, name, message)
            continue
        search.preamble = search.preamble or message
        session.hear(message.witness)
        try:
            _read_answers(search, message)
        except (ValueError, IndexError, StopIteration):
            raise out_of_order("the server's answer to a recovery does not fit what was asked") from None


def _complete(session: Session, search: Search) -> None:
    """Takes what was found, and stands where the server stood when the recovery began."""
    replica, preamble = session.replica, search.preamble
    if preamble is None or not preamble.HasField("head"):
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
    """Creations that were sent: those that the server tells nothing of may have been made, and deleted by others."""
    unknown = [entry for entry in replica.pending() if entry.base is None or entry.base.fingerprint is None]
    return [entry.id for entry in unknown if entry.pending.sendings]


def _to_query(bases: Bases, ranges: list[Range]) -> sync_pb2.RangeQuery:
    """The ranges, which are in order, as a query; with nothing asked of what is between them."""
    query = sync_pb2.RangeQuery(counts=[part.count for part in ranges])
    ends: list[str] = []
    at: str | None = ""
    for part in ranges:
        if part.start != at:
            ends.append(part.start)
            query.kinds.append(sync_pb2.RANGE_KIND_UNSPECIFIED)
        if part.end is not None:
            ends.append(part.end)
        at = part.end
        query.kinds.append(sync_pb2.RANGE_KIND_ITEMS if part.is_leaf else sync_pb2.RANGE_KIND_SUM)
        if part.is_leaf:
            query.items += b"".join(each[:SHORT] for each in bases.fingerprints[part.first : part.last])
        else:
            query.sums += bases.short_sum(part)
    if at is not None:
        query.kinds.append(sync_pb2.RANGE_KIND_UNSPECIFIED)
    query.ends.CopyFrom(encode_bounds(ends))
    return query


def _read_answers(search: Search, answers: sync_pb2.RangeAnswers) -> None:
    """Takes what is listed, and the parts that differ, which are to be asked next.

    ValueError, IndexError or StopIteration where the answers do not fit what was asked.
    """
    bases = search.bases
    sizes, lists, ends = iter(answers.parts), iter(answers.lists), iter(decode_bounds(answers.ends))
    sums = [answers.sums[at : at + SHORT] for at in range(0, len(answers.sums), SHORT)]
    totals = zip(answers.counts, sums, strict=True)
    for outcome in answers.outcomes:
        asked = search.asked.popleft()
        if outcome == sync_pb2.RANGE_OUTCOME_LIST:
            _take_list(search, asked, next(lists))
        elif outcome == sync_pb2.RANGE_OUTCOME_SPLIT:
            for part in _parts(bases, asked, next(sizes), ends):
                own = bases.total(part)
                if (own.count, own.to_bytes()[:SHORT]) != next(totals):
                    search.waiting += bases.cut(part)
        elif outcome != sync_pb2.RANGE_OUTCOME_EQUAL:
            raise ValueError("unknown outcome")
    if any(next(rest, None) is not None for rest in (sizes, lists, ends, totals)):
        raise ValueError("more was answered than was asked")


def _parts(bases: Bases, whole: Range, size: int, ends: Iterator[str]) -> list[Range]:
    if size < 2:
        raise ValueError("a range was split into less than two parts")
    inner = [next(ends) for _ in range(size - 1)]
    return [bases.narrow(whole, *part) for part in zip([whole.start, *inner], [*inner, whole.end], strict=True)]


def _take_list(search: Search, asked: Range, listed: sync_pb2.RangeList) -> None:
    """What the server has in a range that differs; and what it does not have, and nothing is known of its deletion."""
    search.found.update({state.id: state for state in read_changes([*listed.items, *listed.deleted])})
    own = search.bases.ids[asked.first : asked.last]
    differing = [own[index] for index in listed.differing] if asked.is_leaf else own
    # Deletions beyond the fork would be told, but for those up to the horizon.
    compacted, fork = search.preamble.compacted_revision, search.preamble.fork_revision
    revision = compacted if compacted > fork else 0
    for id in differing:
        search.found.setdefault(id, State(id, revision=revision))
