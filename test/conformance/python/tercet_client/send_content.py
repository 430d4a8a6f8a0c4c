"""Step 3, towards the server: sends pending changes, each with its content, its fingerprint and what it was made on.

What is sent is remembered before it is sent.
"""

import secrets
from collections.abc import Iterable, Iterator

from tercet.v1 import error_pb2, item_pb2, sync_pb2

from .change_info import to_fingerprint
from .errors import out_of_order
from .replica import WHOLE_BYTES, Entry
from .session import Sent, Session
from .stream import in_parts

EAGER_CHANGES = 4096

# A pending change by itself, or all changes of an atomic group.
Unit = list[Entry]


def due_units(session: Session) -> list[Unit]:
    """Pending changes in their order, those of a group together: without those that had their turn, or are held."""
    units: dict[int, Unit] = {}
    for entry in session.replica.pending():
        units.setdefault(entry.pending.group or -entry.pending.sequence, []).append(entry)
    return [unit for unit in units.values() if _is_due(session, unit)]


def _is_due(session: Session, unit: Unit) -> bool:
    pending = [entry.pending for entry in unit if entry.is_pending]
    is_held = any(each.held for each in pending)
    return not is_held and any(each.sequence not in session.tried for each in pending)


def send_eagerly(session: Session) -> None:
    """Sends what is small and was never sent, right behind Open, if all of that is little enough."""
    limits = session.limits
    units = [unit for unit in due_units(session) if not any(entry.pending.sendings for entry in unit)]
    count = sum(map(len, units))
    is_much = sum(map(_size, units)) > limits.eager_bytes or count > min(EAGER_CHANGES, limits.window_items // 4)
    # Without a token there is nothing that the server could hold a change against.
    if is_much or any(map(_is_large, units)) or not session.replica.checkpoint.token:
        return
    for batch in _batches(session, units):
        _push(session, batch)


def send_pending(session: Session) -> bool:
    """Sends what is due, as far as it fits into the window. Answers whether that was all."""
    limits = session.limits
    size = count = 0
    # Large contents last: while one is uploaded, the application may change others, which are compared anew then.
    for batch in _batches(session, sorted(due_units(session), key=_is_large)):
        size += _size(batch)
        count += len(batch)
        if count > len(batch) and (size > limits.window_bytes or count > limits.window_items):
            return False
        if not _is_large(batch) or _upload(session, batch):
            _push(session, batch, session.replica.checkpoint.revision)
    return True


def _batches(session: Session, units: Iterable[Unit]) -> Iterator[list[Entry]]:
    """The changes of these units by messages: a large one by itself, as it is longer than any."""
    for part in in_parts(units, _size, session.limits.message_bytes):
        yield [entry for unit in part for entry in unit]


def _size(entries: Iterable[Entry]) -> int:
    return sum(entry.size for entry in entries)


def _is_large(entries: Iterable[Entry]) -> bool:
    """Whether a content of them travels in chunks. Such a one is in no group."""
    return any(entry.mine and len(entry.mine.data) > WHOLE_BYTES for entry in entries)


def _push(session: Session, entries: Iterable[Entry], revision_seen: int | None = None) -> None:
    pushes = [_remember(session, entry) for entry in entries]
    batch = sync_pb2.PushBatch(pushes=pushes, revision_seen=revision_seen)
    session.stream.send(sync_pb2.ExchangeRequest(push=batch))


def _remember(session: Session, entry: Entry) -> sync_pb2.Push:
    """Remembers that an entry's change is sent, and makes the message."""
    pending = entry.pending
    sent = Sent(
        id=entry.id,
        sequence=pending.sequence,
        version=entry.mine,
        time_us=entry.time_us,
        resent=bool(pending.sendings),
        again=pending.sequence in session.sent,
    )
    session.on_the_way.append(sent)
    session.sent.add(pending.sequence)
    session.tried.add(pending.sequence)
    if entry.fingerprint not in pending.sendings:
        session.replica.change_pending(entry, sendings=(*pending.sendings, entry.fingerprint))
    return _to_push(session, entry, fence=sent.resent)


def _to_push(session: Session, entry: Entry, fence: bool) -> sync_pb2.Push:
    pending, base = entry.pending, entry.base
    push = sync_pb2.Push(
        id=entry.id,
        kind=item_pb2.CHANGE_KIND_UPSERTED if entry.mine else item_pb2.CHANGE_KIND_DELETED,
        fingerprint=to_fingerprint(entry.fingerprint),
        expected=to_fingerprint(entry.base_fingerprint),
        overrides=pending.overrides,
        modify_time_us=entry.time_us,
        group=pending.group,
        fence=fence,
    )
    # What was sent before may have been made and undone since, which a recovery does not tell: it saw its base only.
    if base and (fence or base.revision > session.replica.checkpoint.revision):
        push.revision_seen = base.revision
    if _is_large([entry]):
        push.upload_id = pending.upload
    elif entry.mine and entry.mine.is_text:
        push.text = entry.mine.data.decode()
    elif entry.mine:
        push.data = entry.mine.data
    return push


def _upload(session: Session, unit: Unit) -> bool:
    """Sends a large content in chunks, before its push. What was begun before goes on where the server has it.

    Answers whether it is to be pushed: not if it can't be sent, or is not what is pending any more.
    """
    limits, replica = session.limits, session.replica
    (entry,) = unit
    sequence, version = entry.pending.sequence, entry.mine
    if version is None or not _is_large(unit) or not _is_due(session, unit):
        return False
    if len(version.data) > _most_bytes(session):
        session.report.rejected[entry.id] = error_pb2.ERROR_REASON_ITEM_TOO_LARGE
        session.tried.add(sequence)
        replica.change_pending(entry, rejected=error_pb2.ERROR_REASON_ITEM_TOO_LARGE)
        return False
    is_begun = bool(entry.pending.upload)
    upload_id = entry.pending.upload or secrets.token_bytes(16)
    replica.change_pending(entry, upload=upload_id)

    def send_chunk(offset: int, length: int) -> None:
        piece = version.data[offset : offset + length]
        chunk = sync_pb2.ContentChunk(upload_id=upload_id, id=entry.id, offset=offset, data=piece)
        chunk.size, chunk.text = len(version.data), version.is_text
        session.stream.send(sync_pb2.ExchangeRequest(chunk=chunk))

    held = 0
    if is_begun:
        # A chunk without data asks how much there is.
        send_chunk(0, 0)
        held = _held_by_server(session, upload_id)
    sent = held
    while sent < len(version.data):
        if sent == held or sent - held + limits.message_bytes <= limits.window_bytes:
            send_chunk(sent, limits.message_bytes)
            sent += limits.message_bytes
            continue
        before, held = held, _held_by_server(session, upload_id)
        if held <= before:
            raise out_of_order("the server loses what it was sent of an upload")
        sent = max(sent, held)
    return entry.pending.sequence == sequence


def _most_bytes(session: Session) -> int:
    can_chunk = sync_pb2.CAPABILITY_CHUNKS in session.opened.capabilities
    return session.limits.item_bytes if can_chunk else WHOLE_BYTES


def _held_by_server(session: Session, upload_id: bytes) -> int:
    """How much of an upload the server holds, once it says so."""
    while True:
        state = session.stream.receive_only("upload").upload
        if state.upload_id == upload_id:
            return state.offset
