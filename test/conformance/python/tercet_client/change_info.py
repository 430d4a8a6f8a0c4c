"""Step 1: reads the server's change info. `vectors/pages.json` has examples."""

from collections.abc import Iterable
from dataclasses import replace

from tercet.v1 import item_pb2

from .errors import ClientError
from .fingerprint import RangeSum
from .replica import State, Version

# Fingerprint of a state whose content did not agree with what it was told with: it has to be fetched.
UNPROVED = b""
SHA256_BYTES = 32


def read_changes(changes: Iterable[item_pb2.ChangeInfo], proof: item_pb2.RangeFingerprint | None = None) -> list[State]:
    """Fills in what changes leave out, and proves every inline content.

    It is proved by its own fingerprint, or, with all others that came without one, by the fingerprint of the page. What
    is not proved comes without its content, and with the fingerprint UNPROVED.
    """
    states = []
    covered = set()
    total = RangeSum()
    revision = time_us = 0
    for info in changes:
        _check_known(info)
        revision = info.revision or revision + 1
        time_us = info.modify_time_us or time_us
        version, fingerprint = version_in(info), fingerprint_in(info)
        if version is None:
            states.append(State(info.id, fingerprint, revision, time_us, info.size))
            continue
        if fingerprint is None:
            covered.add(info.id)
            total += RangeSum.of(version.fingerprint)
            fingerprint = version.fingerprint
        states.append(proved(State.of(info.id, version, revision, time_us), fingerprint))
    if says(proof, total):
        return states
    return [proved(state, UNPROVED) if state.id in covered else state for state in states]


def _check_known(info: item_pb2.ChangeInfo) -> None:
    """A change that this client does not understand can't be taken, and so no checkpoint that covers it."""
    if info.kind == item_pb2.CHANGE_KIND_DELETED:
        return
    is_told = info.WhichOneof("content") or info.HasField("fingerprint")
    fingerprint = info.fingerprint
    is_known = fingerprint.algorithm == item_pb2.FINGERPRINT_ALGORITHM_SHA256 and len(fingerprint.value) == SHA256_BYTES
    if info.kind != item_pb2.CHANGE_KIND_UPSERTED or not is_told or info.HasField("fingerprint") and not is_known:
        raise ClientError("UNSUPPORTED", f"the server told of {info.id!r} what this client does not know")


def proved(state: State, fingerprint: bytes | None) -> State:
    """The state, if its content has this fingerprint; else without it, and UNPROVED."""
    is_right = state.version and state.fingerprint == fingerprint
    return state if is_right else replace(state, fingerprint=UNPROVED, version=None)


def version_in(message: item_pb2.ChangeInfo | item_pb2.ItemContent) -> Version | None:
    """The content of a message; None where it has none."""
    field = message.WhichOneof("content")
    return Version.of(message.id, getattr(message, field)) if field else None


def fingerprint_in(message: item_pb2.ChangeInfo | item_pb2.ItemContent) -> bytes | None:
    return message.fingerprint.value if message.HasField("fingerprint") else None


def to_fingerprint(value: bytes | None) -> item_pb2.Fingerprint | None:
    """The message for a fingerprint; unset for no item."""
    return None if value is None else item_pb2.Fingerprint(algorithm=item_pb2.FINGERPRINT_ALGORITHM_SHA256, value=value)


def says(told: item_pb2.RangeFingerprint | None, own: RangeSum) -> bool:
    """Whether a message says the same as a sum. One that is not set says: no items."""
    if told is None or told.count == 0:
        return own.count == 0
    is_known = told.algorithm == item_pb2.FINGERPRINT_ALGORITHM_SHA256
    return is_known and (told.count, told.sum) == (own.count, own.to_bytes())
