"""What the server says of its own accord: pages of change info, and verdicts on pushes."""

from collections.abc import Iterator

from tercet.v1 import sync_pb2
from tercet.v1.sync_pb2 import ExchangeRequest, ExchangeResponse

from .change_info import read_changes
from .errors import out_of_order
from .replica import State
from .session import Sent, Session
from .settle import take_changes

# After so many lost races a change stays pending for another time.
MOST_RACES = 5


def take_message(session: Session, response: ExchangeResponse) -> None:
    """Takes a message in full, with whatever has to be fetched for it."""
    name = response.WhichOneof("message")
    if name == "page":
        _take_page(session, response.page)
    elif name == "verdicts":
        take_verdicts(session, response.verdicts)
    # Of an upload whose push has been sent; and what matters only to an exchange that stays open.
    elif name not in ("upload", "going_away"):
        raise out_of_order(f'"{name}" was not asked for')


def _take_page(session: Session, page: sync_pb2.ChangePage) -> None:
    take_changes(session, read_changes(page.changes, page.fingerprint), page.checkpoint)
    # The server waits for this before it goes on with contents that have to be fetched.
    if any(info.HasField("fingerprint") and not info.WhichOneof("content") for info in page.changes):
        session.stream.send(ExchangeRequest(taken=sync_pb2.Taken(revision=page.checkpoint.revision)))


def take_verdicts(session: Session, verdicts: sync_pb2.Verdicts) -> None:
    session.hear(verdicts.witness)
    told = [state for verdict in verdicts.verdicts for state in _take_verdict(session, verdict)]
    # What is settled is stored already, even if the contents to be fetched for the rest never come.
    session.replica.hear(session.heard)
    take_changes(session, told, verdicts.checkpoint if verdicts.HasField("checkpoint") else None)


def _take_verdict(session: Session, verdict: sync_pb2.Verdict) -> Iterator[State]:
    """Settles what a verdict speaks of; answers what is to be compared because of it."""
    count = verdict.count
    if verdict.ordinal != session.first_ordinal or not 1 <= count <= len(session.on_the_way):
        raise out_of_order(f"a verdict on push {verdict.ordinal} came out of order")
    session.first_ordinal += count
    for index in range(count):
        sent = session.on_the_way.popleft()
        if verdict.outcome == sync_pb2.PUSH_OUTCOME_APPLIED:
            revision = verdict.revision + (0 if verdict.one_revision else index)
            session.report.sent += sent.version is not None
            session.report.sent_deletions += sent.version is None
            yield from _settle(session, sent, revision)
        elif verdict.outcome == sync_pb2.PUSH_OUTCOME_ALREADY_APPLIED:
            session.report.settled += sent.sequence not in session.settled
            yield from _settle(session, sent, verdict.revision)
        else:
            _take_back(session, sent, verdict)
    if verdict.outcome == sync_pb2.PUSH_OUTCOME_CONFLICT and verdict.HasField("current"):
        current = verdict.current
        # A content that does not come along is still to come with the change feed.
        is_to_come = current.revision > session.replica.checkpoint.revision and not current.WhichOneof("content")
        yield from (state for state in read_changes([current]) if state.fingerprint is None or not is_to_come)


def _settle(session: Session, sent: Sent, revision: int) -> Iterator[State]:
    """The server has what was sent. Where it is not pending any more, that is to be compared like anybody's change."""
    entry = session.replica.entry(sent.id)
    if entry.pending.sequence != sent.sequence:
        yield State.of(sent.id, sent.version, revision, sent.time_us)
        return
    base = entry.base
    is_base = base and (base.revision, base.fingerprint) == (revision, sent.fingerprint)
    if base is None or base.revision < revision or is_base:
        session.replica.agree(entry, revision)


def _take_back(session: Session, sent: Sent, verdict: sync_pb2.Verdict) -> None:
    """What was sent was not made. But where something was sent on an earlier stream, that may still arrive."""
    replica, report = session.replica, session.report
    entry = replica.entry(sent.id)
    if not sent.resent:
        left = tuple(each for each in entry.pending.sendings if each != sent.fingerprint)
        replica.change_pending(entry, sendings=left)
    if verdict.outcome == sync_pb2.PUSH_OUTCOME_COMPARE_FIRST:
        session.tried.discard(sent.sequence)
    elif verdict.outcome == sync_pb2.PUSH_OUTCOME_REJECTED:
        report.rejected[sent.id] = verdict.reason
        if entry.pending.sequence == sent.sequence:
            replica.change_pending(entry, rejected=verdict.reason)
    elif verdict.outcome == sync_pb2.PUSH_OUTCOME_CONFLICT and sent.again:
        session.races[sent.id] += 1
        if session.races[sent.id] >= MOST_RACES:
            report.contended.add(sent.id)
