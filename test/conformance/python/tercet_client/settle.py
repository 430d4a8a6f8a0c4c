"""Step 2: compares what the server told with this side's changes, and does with each item what follows from it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from tercet.v1 import item_pb2

from .change_info import UNPROVED
from .compare import Comparison, Outcome, compare, compare_recovered, judge
from .errors import ClientError
from .receive_content import fetch_contents
from .replica import Entry, State
from .session import Session


@dataclass(frozen=True)
class Decision:
    """What is to be done with one item."""

    entry: Entry
    theirs: State
    comparison: Comparison
    # Of a conflict, and of what the server lost, where its history is followed.
    outcome: Outcome | None = None
    # It shares the fate of its group; the server told nothing of it.
    is_companion: bool = False

    @property
    def takes_theirs(self) -> bool:
        return self.comparison == "theirs" or self.outcome == "theirs"

    @property
    def needs_content(self) -> bool:
        """The server's content is to be kept here, and is not at hand."""
        if self.theirs.fingerprint == UNPROVED:
            return True
        is_kept = self.takes_theirs or self.outcome == "held"
        return is_kept and self.theirs.fingerprint is not None and self.theirs.version is None


def take_changes(
    session: Session,
    told: Iterable[State],
    checkpoint: item_pb2.Checkpoint | None = None,
    *,
    fork: int | None = None,
    rejudges: bool = False,
    store: Callable[[], None] = lambda: None,
) -> None:
    """Compares, fetches what contents are needed, and stores: all at once, with the checkpoint.

    While contents are awaited the application may change items: so everything is compared anew then. From the last
    comparison on nothing is awaited; in a database this is one transaction.

    `fork`: in a recovery, the last revision that both histories share. `rejudges`: held items are judged anew. `store`:
    done together with the changes.
    """
    states = {state.id: state for state in told}
    while True:
        decisions = _decide(session, states.values(), fork, rejudges)
        missing = [decision.theirs for decision in decisions if decision.needs_content]
        if not missing:
            break
        for state in fetch_contents(session, missing):
            # What was fetched is the server's state as well, and may be a later one.
            states[state.id] = state
            _know_base(session.replica.entry(state.id), state)
    for decision in decisions:
        _carry_out(session, decision)
    store()
    session.replica.hear(session.heard)
    if checkpoint is not None:
        session.replica.stand(checkpoint)


def _know_base(entry: Entry, fetched: State) -> None:
    """Where what was fetched is the base itself, its content is at hand: a member of a group may give way to it."""
    if entry.base and entry.base.fingerprint == fetched.fingerprint:
        entry.base = replace(entry.base, version=fetched.version)


def _decide(session: Session, told: Iterable[State], fork: int | None, rejudges: bool) -> list[Decision]:
    # What is told now was there before a push that is on its way for the first time.
    first = {sent.id for sent in session.on_the_way if not sent.resent}
    decisions = [_decide_one(session, theirs, fork, rejudges, theirs.id in first) for theirs in told]
    return _join_groups(session, [decision for decision in decisions if decision.comparison != "known"])


def _decide_one(session: Session, theirs: State, fork: int | None, rejudges: bool, is_first: bool) -> Decision:
    entry = session.replica.entry(theirs.id)
    on_history_change = session.options.on_history_change
    if on_history_change == "stop" and fork is not None and entry.base and entry.base.revision > fork:
        raise ClientError("TOKEN_OTHER_HISTORY", "the server has lost what was agreed on; nothing was changed")
    sendings = () if is_first else entry.pending.sendings
    if rejudges and entry.pending.held:
        comparison: Comparison = "conflict"
    elif fork is None:
        comparison = compare(entry, sendings, theirs)
    else:
        comparison = compare_recovered(entry, sendings, theirs, fork)
    outcome: Outcome | None = None
    if comparison == "conflict":
        outcome = _judge(session, entry, entry.time_us, theirs)
    elif comparison == "lost" and on_history_change == "follow":
        outcome = "theirs"
    return Decision(entry, _with_content(entry, theirs), comparison, outcome)


def _with_content(entry: Entry, state: State) -> State:
    """A state with its content, where that is at hand."""
    if state.fingerprint is None or state.version:
        return state
    at_hand = (entry.mine, entry.base.version if entry.base else None)
    version = next((each for each in at_hand if each and each.fingerprint == state.fingerprint), None)
    return replace(state, version=version)


def _judge(session: Session, entry: Entry, time_us: int, theirs: State) -> Outcome:
    ceiling_us = session.options.now_us() + session.ceiling_ahead_us
    return judge(session.opened.standard, entry.fingerprint, min(time_us, ceiling_us), theirs)


def _join_groups(session: Session, decisions: list[Decision]) -> list[Decision]:
    """An atomic group that is in conflict has one fate, which its other members share."""
    joined = {decision.theirs.id: decision for decision in decisions}
    conflicts: dict[int, list[Decision]] = {}
    for decision in decisions:
        if decision.outcome and decision.entry.pending.group:
            conflicts.setdefault(decision.entry.pending.group, []).append(decision)
    for in_conflict in conflicts.values():
        members = session.replica.group_of(in_conflict[0].entry)
        fate = _fate_of(session, in_conflict, members)
        for entry in members:
            told = joined.get(entry.id)
            if told is None and fate != "mine":
                theirs = _with_content(entry, entry.base_state)
                joined[entry.id] = Decision(entry, theirs, "conflict", fate, is_companion=True)
            elif told and told.comparison != "agreed" and (fate != "mine" or told.outcome):
                joined[entry.id] = replace(told, comparison="conflict", outcome=fate)
    return list(joined.values())


def _fate_of(session: Session, conflicts: list[Decision], members: list[Entry]) -> Outcome:
    """Held where one of them is; else by the latest times of both sides."""
    if any(decision.outcome == "held" for decision in conflicts):
        return "held"
    if any(decision.comparison == "lost" for decision in conflicts):
        return "theirs"
    latest = max(conflicts, key=lambda decision: decision.theirs.time_us)
    return _judge(session, latest.entry, max(member.time_us for member in members), latest.theirs)


def _carry_out(session: Session, decision: Decision) -> None:
    replica, report, standard = session.replica, session.report, session.opened.standard
    entry, theirs, comparison, outcome = decision.entry, decision.theirs, decision.comparison, decision.outcome
    overrides = standard if outcome == "mine" else item_pb2.CHANGE_STANDARD_UNSPECIFIED
    is_held = outcome == "held"
    if outcome and not decision.is_companion:
        report.conflicts[entry.id] = (standard, outcome)
    elif comparison == "lost" and report.recovery:
        report.recovery.offered.append(entry.id)
    if decision.takes_theirs:
        report.deleted += theirs.fingerprint is None
        report.received += theirs.fingerprint is not None
        replica.take_theirs(entry, theirs, standard if outcome else None, session.options.now_us())
    elif comparison == "agreed":
        report.settled += 1
        session.settled.add(entry.pending.sequence)
        send_again(session, entry)
        replica.agree(entry, theirs.revision)
    elif comparison == "same":
        replica.move_base(entry, theirs)
    elif decision.is_companion:
        replica.change_pending(entry, held=True)
    elif not entry.is_pending:
        replica.offer(entry, theirs, overrides, is_held)
    else:
        replica.stand_on(entry, theirs, overrides, is_held)
        send_again(session, entry)


def send_again(session: Session, entry: Entry) -> None:
    """A pending change stands on another base: it is to be sent, and with it its whole group."""
    if entry.id not in session.report.contended:
        session.tried.difference_update(member.pending.sequence for member in session.replica.group_of(entry))
