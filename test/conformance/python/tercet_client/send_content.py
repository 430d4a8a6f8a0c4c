"""Step 3, towards the server: sends pending changes, each with its content, its fingerprint and what it was made on.

What is sent is remembered before it is sent.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator

from tercet.v1 import error_pb2, item_pb2, sync_pb2

from .change_info import to_fingerprint
from .errors import out_of_order
from .replica import WHOLE_BYTES, Entry
from .session import Sent, Session

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
    pending = [entry.pending for entry in unit if entry.pending]
    is_held = any(each.held for each in pending)
    return not is_held and any(each.sequence not in session.tried for each in pending)


def send_eagerly(session: Session) -> None:
    """Sends what is small and was never sent, right behind Open, if all of that is little enough."""
    limits = session.limits
    units = [unit for unit in due_units(session) if not any(entry.pending.sendings for entry in unit)]
    entries = [entry for unit in units for entry in unit]
    is_much = sum(entry.size for entry in entries) > limits.eager_bytes
    are_many = len(entries) > min(EAGER_CHANGES, limits.window_items // 4)
    # Without a token there is nothing that the server could hold a change against.
    if is_much or are_many or any(map(_is_large, entries)) or not session.replica.checkpoint.token:
        return
    for batch in _batches(units, limits.message_bytes):
        _push(session, batch)


def send_pending(session: Session) -> bool:
    """Sends what is due, as far as it fits into the window: small changes first. Answers whether that was all."""
    limits, revision = session.limits, session.replica.checkpoint.revision
    units = due_units(session)
    small = [unit for unit in units if not any(map(_is_large, unit))]
    size = count = 0
    for batch in _batches(small, limits.message_bytes):
        size += sum(entry.size for entry in batch)
        count += len(batch)
        if count > len(batch) and (size > limits.window_bytes or count > limits.window_items):
            return False
        _push(session, batch, revision)
    if small:
        return len(small) == len(units)
    # While one is uploaded, the application may change it and others: what is due is looked up anew.
    while units := due_units(session):
        entry = units[0][0]
        if not _is_large(entry):
            return False
        if len(entry.mine.data) > _most_bytes(session):
            _reject(session, entry)
            continue
        # What was uploaded before counts until the server has answered it all; a larger content goes by itself.
        size += entry.size
        count += 1
        if count > 1 and (size > limits.window_bytes or count > limits.window_items):
            return False
        if _upload(session, entry):
            _push(session, units[0], revision)
    return True


def _is_large(entry: Entry) -> bool:
    return entry.mine is not None and len(entry.mine.data) > WHOLE_BYTES


def _batches(units: Iterable[Unit], message_bytes: int) -> Iterator[list[Entry]]:
    """Units cut where a message would be too long; a larger one by itself."""
    batch: list[Entry] = []
    size = 0
    for unit in units:
        unit_size = sum(entry.size for entry in unit)
        if batch and size + unit_size > message_bytes:
            yield batch
            batch, size = [], 0
        batch = [*batch, *unit]
        size += unit_size
    if batch:
        yield batch


def _most_bytes(session: Session) -> int:
    can_chunk = sync_pb2.CAPABILITY_CHUNKS in session.opened.capabilities
    return session.limits.item_bytes if can_chunk else WHOLE_BYTES


def _reject(session: Session, entry: Entry) -> None:
    """What the server would not take is not sent."""
    session.report.rejected[entry.id] = error_pb2.ERROR_REASON_ITEM_TOO_LARGE
    session.tried.add(entry.pending.sequence)
    session.replica.change_pending(entry, rejected=error_pb2.ERROR_REASON_ITEM_TOO_LARGE)


def _push(session: Session, entries: Iterable[Entry], revision_seen: int | None = None) -> None:
    pushes = [_remember(session, entry) for entry in entries]
    session.stream.send(push=sync_pb2.PushBatch(pushes=pushes, revision_seen=revision_seen))


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
    push = _to_push(session, entry, fence=sent.resent)
    if entry.fingerprint not in pending.sendings:
        session.replica.change_pending(entry, sendings=(*pending.sendings, entry.fingerprint))
    return push


def _to_push(session: Session, entry: Entry, fence: bool) -> sync_pb2.Push:
    pending, base = entry.pending, entry.base
    push = sync_pb2.Push(
        id=entry.id,
        kind=item_pb2.CHANGE_KIND_UPSERTED if entry.mine else item_pb2.CHANGE_KIND_DELETED,
        fingerprint=to_fingerprint(entry.fingerprint),
        expected=to_fingerprint(base.fingerprint if base else None),
        overrides=pending.overrides,
        modify_time_us=entry.time_us,
        group=pending.group,
        fence=fence,
    )
    # What was sent before may have been made and undone since, which a recovery does not tell: it has seen its base only.
    if base and (fence or base.revision > session.replica.checkpoint.revision):
        push.revision_seen = base.revision
    if _is_large(entry):
        push.upload_id = pending.upload
    elif entry.mine and entry.mine.is_text:
        push.text = entry.mine.content
    elif entry.mine:
        push.data = entry.mine.data
    return push


def _upload(session: Session, entry: Entry) -> bool:
    """Sends a large content in chunks, before its push. What was begun before goes on where the server has it.

    Answers whether it still is what is pending.
    """
    limits, sequence, version = session.limits, entry.pending.sequence, entry.mine
    is_begun = bool(entry.pending.upload)
    upload_id = entry.pending.upload or secrets.token_bytes(16)
    session.replica.change_pending(entry, upload=upload_id)

    def send_chunk(offset: int, length: int) -> None:
        piece = version.data[offset : offset + length]
        chunk = sync_pb2.ContentChunk(upload_id=upload_id, id=entry.id, offset=offset, data=piece)
        chunk.size, chunk.text = len(version.data), version.is_text
        session.stream.send(chunk=chunk)

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
    now = session.replica.entry(entry.id).pending
    return now is not None and now.sequence == sequence


def _held_by_server(session: Session, upload_id: bytes) -> int:
    """How much of an upload the server holds, once it says so."""
    while True:
        _, state = session.stream.receive_only("upload")
        if state.upload_id == upload_id:
            return state.offset
