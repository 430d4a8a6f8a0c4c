"""Step 3, towards the client: asks for contents that were not inline, and proves each by its fingerprint."""

from collections.abc import Iterable

from tercet.v1 import sync_pb2
from tercet.v1.sync_pb2 import ContentWanted

from .change_info import UNPROVED, fingerprint_in, proved, version_in
from .errors import ClientError, out_of_order, reason_name, unverified
from .replica import Download, Replica, State, Version
from .session import Session
from .stream import in_parts

IDS_AT_ONCE = 1000


def fetch_contents(session: Session, wanted: Iterable[State]) -> list[State]:
    """Fetches the contents of these items, within the window.

    What comes may be of a later revision than was told, or a deletion. A content that is not what its fingerprint says
    is fetched once more, then the exchange fails.
    """
    window_bytes, most = session.limits.window_bytes, min(IDS_AT_ONCE, session.limits.window_items)
    parts = in_parts(wanted, lambda state: state.size + 64, window_bytes, most)
    return [state for part in parts for state in _fetch(session, part)]


def _fetch(session: Session, wanted: list[State]) -> list[State]:
    replica = session.replica
    waiting = {state.id for state in wanted}
    wrong_once = {state.id for state in wanted if state.fingerprint == UNPROVED}
    states = []
    _ask(session, [_wanted(replica, state.id) for state in wanted])
    chunked = ""
    while waiting:
        response = session.stream.receive_only("contents", "chunk")
        if response.HasField("contents"):
            read = _read_contents(session, response.contents)
        else:
            chunked = response.chunk.id or chunked
            read = _read_chunk(replica, chunked, response.chunk)
        for state in read:
            if state.id not in waiting:
                raise out_of_order(f"the content of {state.id!r} was not asked for")
            if state.fingerprint != UNPROVED:
                waiting.remove(state.id)
                states.append(state)
                session.fetched_revision = max(session.fetched_revision, state.revision)
            elif state.id in wrong_once:
                raise unverified(f"the content of {state.id!r} does not agree with its fingerprint, twice")
            else:
                wrong_once.add(state.id)
                _ask(session, [ContentWanted(id=state.id)])
    return states


def _ask(session: Session, items: list[ContentWanted]) -> None:
    session.stream.send(sync_pb2.ExchangeRequest(fetch=sync_pb2.Fetch(items=items)))


def _wanted(replica: Replica, id: str) -> ContentWanted:
    """What was cut in mid-content goes on from there."""
    if begun := replica.downloads.get(id):
        return ContentWanted(id=id, offset=len(begun.data), revision=begun.revision)
    return ContentWanted(id=id)


def _read_contents(session: Session, contents: sync_pb2.Contents) -> list[State]:
    session.hear(contents.witness)
    for refused in contents.refused:
        raise ClientError(reason_name(refused.reason), f"the server can't send {refused.id!r}: {refused.message}")
    states = [State(gone.id, None, gone.revision, gone.modify_time_us) for gone in contents.deleted]
    for item in contents.items:
        state = State.of(item.id, version_in(item), item.revision, item.modify_time_us)
        states.append(proved(state, fingerprint_in(item)))
    return states


def _read_chunk(replica: Replica, id: str, chunk: sync_pb2.ContentChunk) -> list[State]:
    """A piece of a large content. It is kept beyond the exchange, should that be cut, until the content is whole."""
    if chunk.offset == 0:
        replica.downloads[id] = Download(chunk.revision, chunk.size, chunk.modify_time_us, chunk.text)
    begun = replica.downloads.get(id)
    end = chunk.offset + len(chunk.data)
    if (
        begun is None
        or (len(begun.data), begun.revision, begun.size) != (chunk.offset, chunk.revision, chunk.size)
        or end > chunk.size
        or (not chunk.data and end < chunk.size)
    ):
        raise out_of_order(f"a piece of {id!r} does not go on from the one before it")
    begun.data += chunk.data
    if end < chunk.size:
        return []
    del replica.downloads[id]
    version = Version.of_bytes(id, bytes(begun.data), begun.is_text)
    return [proved(State.of(id, version, begun.revision, begun.time_us), chunk.fingerprint.value)]
