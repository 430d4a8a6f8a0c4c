"""Step 2: what is to be done with one item of which the server's state was told, and whose change prevails.

Nothing but values: `vectors/comparison.json` and `standards.json` say every case.
"""

from typing import Literal

from tercet.v1 import item_pb2

from .replica import Entry, State

# known     nothing to do
# same      only the revision is new
# theirs    changed only there: take it
# agreed    changed on both sides into the same: nothing moves
# arrived   it is what this client sent earlier, and changed since: send the change on top of it
# new       created here; there was something else of that name, which is deleted: send the creation
# lost      the server, restored from a backup, lost what was agreed on: offer it again (recovery only)
# conflict  changed on both sides: the change standard decides
Comparison = Literal["known", "same", "theirs", "agreed", "arrived", "new", "lost", "conflict"]

# How a conflict ends; held: not yet.
Outcome = Literal["mine", "theirs", "held"]

Sendings = tuple[bytes | None, ...]


def compare(entry: Entry, sendings: Sendings, theirs: State) -> Comparison:
    """The comparison of an exchange. An item that the server tells nothing of is unchanged there.

    `sendings`: what was sent of the item, had no verdict, and may be what the server tells of.
    """
    base = entry.base
    if base and theirs.revision <= base.revision:
        return "known"
    if not entry.is_pending:
        if theirs.fingerprint != entry.base_fingerprint:
            return "theirs"
        return "known" if theirs.fingerprint is None else "same"
    never_had = base is None and not sendings
    if never_had and theirs.fingerprint is None and entry.mine:
        return "new"
    return _compare_pending(entry, sendings, theirs)


def compare_recovered(entry: Entry, sendings: Sendings, theirs: State, fork: int) -> Comparison:
    """The comparison of a recovery. `fork` is the last revision that the histories of both sides share.

    What was agreed on up to it is as real as what the server has; what was agreed on later the server lost, and its
    revisions say nothing then.
    """
    base = entry.base
    if base is None or theirs.revision > base.revision and base.revision <= fork:
        return compare(entry, sendings, theirs)
    if base.fingerprint == theirs.fingerprint:
        return "known" if base.revision <= fork else "same"
    if base.revision <= fork and not entry.is_pending:
        return "theirs"
    found = _compare_pending(entry, sendings, theirs) if entry.is_pending else "conflict"
    return "lost" if found == "conflict" and base.revision > fork >= theirs.revision else found


def _compare_pending(entry: Entry, sendings: Sendings, theirs: State) -> Comparison:
    if entry.fingerprint == theirs.fingerprint:
        return "agreed"
    return "arrived" if theirs.fingerprint in sendings else "conflict"


def judge(standard: item_pb2.ChangeStandard, mine: bytes | None, time_us: int, theirs: State) -> Outcome:
    """Whose change prevails by a standard that is in force.

    `time_us`: of mine; at most the server's clock and `skew_us`, as the server would store it.
    """
    if standard == item_pb2.CHANGE_STANDARD_MANUAL:
        return "held"
    if standard == item_pb2.CHANGE_STANDARD_CLIENT:
        return "mine"
    if standard == item_pb2.CHANGE_STANDARD_NEWEST:
        # The later time; on a tie the greater fingerprint, and a deletion is less than any.
        is_newer = (time_us, mine or b"") > (theirs.time_us, theirs.fingerprint or b"")
        return "mine" if is_newer else "theirs"
    return "theirs"
