"""A replica in memory. In a database each public method is one transaction: so is what it writes together."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from tercet.v1 import item_pb2, sync_pb2
from tercet.v1.item_pb2 import CHANGE_STANDARD_MANUAL, CHANGE_STANDARD_UNSPECIFIED, ChangeStandard

from .errors import ClientError
from .fingerprint import RangeSum, fingerprint_of, is_id

COLLECTION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# Larger contents travel in chunks.
WHOLE_BYTES = 1 << 20
# Of a server that has not said anything else; before it has, nothing is sent that its other limits are about.
DEFAULT_LIMITS = sync_pb2.Limits(item_bytes=64 << 20, group_items=1000, group_bytes=1 << 20)
# A clock that is further ahead than this must not carry ours away.
MOST_AHEAD_US = 60_000_000


@dataclass(frozen=True)
class Version:
    """A content of an item. What came as text goes as text; the fingerprint is the same for both."""

    fingerprint: bytes
    data: bytes
    is_text: bool

    @classmethod
    def of(cls, id: str, content: str | bytes) -> Version:
        if isinstance(content, str):
            return cls.of_bytes(id, content.encode(), is_text=True)
        return cls.of_bytes(id, content, is_text=False)

    @classmethod
    def of_bytes(cls, id: str, data: bytes, is_text: bool) -> Version:
        return cls(fingerprint_of(id, data), data, is_text)

    @property
    def content(self) -> str | bytes:
        return self.data.decode() if self.is_text else self.data


@dataclass(frozen=True)
class State:
    """A state that an item has, or had, at the server. Without a fingerprint: deleted, or there is no such item."""

    id: str
    fingerprint: bytes | None = None
    revision: int = 0
    time_us: int = 0
    size: int = 0
    # The content, where it is at hand.
    version: Version | None = None

    @classmethod
    def of(cls, id: str, version: Version | None, revision: int, time_us: int) -> State:
        """A state with its content; without one the item is deleted."""
        fingerprint, size = (version.fingerprint, len(version.data)) if version else (None, 0)
        return cls(id, fingerprint, revision, time_us, size, version)


@dataclass(frozen=True)
class Pending:
    """A change of this side that the server does not have yet. What the item is now, its entry says."""

    # Grows with every local change. A verdict on another number speaks of an earlier change. 0: there is no change.
    sequence: int = 0
    # Fingerprints of what was sent and has no verdict (None: a deletion): it may arrive yet, or have arrived.
    sendings: tuple[bytes | None, ...] = ()
    # Set where it prevails over a change of the server, the base: by which standard.
    overrides: ChangeStandard = CHANGE_STANDARD_UNSPECIFIED
    # In conflict with the base until somebody resolves it. Not sent.
    held: bool = False
    # Changes with the same number go together, or not at all; 0 for none.
    group: int = 0
    # Why the server did not accept it.
    rejected: int = 0
    # Under which id the chunks of a large content were begun to be sent.
    upload: bytes = b""


# In place of a change, of an item that has none.
CLEAN = Pending()


@dataclass
class Entry:
    """All that is known of an item."""

    id: str
    # What the application sees; None: no item.
    mine: Version | None = None
    time_us: int = 0
    # What was last agreed on with the server; of a held item, theirs. None: nothing is known of it there.
    base: State | None = None
    pending: Pending = CLEAN

    @property
    def is_pending(self) -> bool:
        return self.pending.sequence != 0

    @property
    def fingerprint(self) -> bytes | None:
        return self.mine.fingerprint if self.mine else None

    @property
    def base_fingerprint(self) -> bytes | None:
        return self.base.fingerprint if self.base else None

    @property
    def base_state(self) -> State:
        """The base; of an item without one, that nothing is known of it."""
        return self.base or State(self.id)

    @property
    def size(self) -> int:
        """What its change counts in the window, and in an atomic group."""
        return size_of(self.id, self.mine)


@dataclass(frozen=True)
class ConflictRecord:
    """A version of this side (None: a deletion) that gave way to another, by a standard."""

    id: str
    version: Version | None
    time_us: int
    prevailed: bytes | None
    standard: ChangeStandard


@dataclass
class Download:
    """A large content of which some chunks have come."""

    revision: int
    size: int
    time_us: int
    is_text: bool
    data: bytearray = field(default_factory=bytearray)


def size_of(id: str, version: Version | None) -> int:
    return len(id.encode()) + (len(version.data) if version else 0) + 64


@dataclass
class Replica:
    """A copy of a collection, which the application may change while it is apart from the server."""

    collection: str
    # Empty before the first exchange.
    uid: bytes = b""
    # How far the server's changes were taken; an empty token before the first page.
    checkpoint: item_pb2.Checkpoint = field(default_factory=item_pb2.Checkpoint)
    # The latest revision that was heard of beyond the checkpoint.
    witness: item_pb2.Checkpoint = field(default_factory=item_pb2.Checkpoint)
    lineage: list[item_pb2.Epoch] = field(default_factory=list)
    # As last heard from the server.
    limits: sync_pb2.Limits = field(default_factory=lambda: DEFAULT_LIMITS)
    # Count and sum over the fingerprints of all bases.
    total: RangeSum = RangeSum()
    entries: dict[str, Entry] = field(default_factory=dict)
    conflicts: list[ConflictRecord] = field(default_factory=list)
    downloads: dict[str, Download] = field(default_factory=dict)
    last_sequence: int = 0
    # The latest modify time that was given out or heard of: a hybrid logical clock.
    last_time_us: int = 0
    # Held by an exchange, but for the time that it waits for the server; whoever else uses the replica takes it, too.
    lock: Lock = field(default_factory=Lock, repr=False)
    # Held by an exchange from its beginning to its end: there is one at a time.
    exchange: Lock = field(default_factory=Lock, repr=False)

    def __post_init__(self) -> None:
        if not COLLECTION_NAME.fullmatch(self.collection):
            raise ClientError("INVALID_COLLECTION_NAME", f"{self.collection!r} is no name of a collection")

    def copy(self) -> Replica:
        """A second replica in the same state, with locks of its own."""
        return copy.deepcopy(self, {id(self.lock): Lock(), id(self.exchange): Lock()})

    # ---- for the application

    def write(self, id: str, version: Version | None, now_us: int) -> None:
        """Changes one item; no version deletes it. Where it is pending in an atomic group, it stays in that."""
        self.transaction({id: version}, now_us)

    def transaction(self, versions: Mapping[str, Version | None], now_us: int) -> None:
        """Changes items all or none, here and at the server, with all that is pending in a group with one of them."""
        for id, version in versions.items():
            self._check(id, version)
        entries = [self.entry(id) for id in versions]
        changed = [each for each in entries if each.fingerprint != getattr(versions[each.id], "fingerprint", None)]
        group = {member.id: member for entry in changed for member in (entry, *self.group_of(entry))}
        self._check_group(group.values(), versions)
        if not changed:
            return
        time_us = self._tick(now_us)
        for entry in changed:
            self._write(entry, versions[entry.id], time_us)
        # A number that no other group has, also where the changes undid what was pending; none for what is left alone.
        self.last_sequence += 1
        together = [member for member in group.values() if member.is_pending]
        for member in together:
            self.change_pending(member, group=self.last_sequence if len(together) > 1 else 0)

    def resolve(self, id: str, how: str | Version | None, now_us: int) -> None:
        """Ends a conflict that is held, with its group: "mine" or "theirs" prevails, or a version (None: deletion)."""
        held = self.entry(id)
        if not held.pending.held:
            raise ClientError("ITEM_HELD", "the item is not held")
        version = held.mine if isinstance(how, str) else how
        self._check(id, version)
        group = self.group_of(held)
        if not isinstance(how, str):
            self._check_group(group, {id: version})
        for entry in group:
            if how == "theirs":
                self.take_theirs(entry, entry.base_state, CHANGE_STANDARD_MANUAL, now_us)
            else:
                self._renew(entry, replace(entry.pending, held=False, overrides=CHANGE_STANDARD_MANUAL))
        fingerprint = version.fingerprint if version else None
        if isinstance(how, str) or fingerprint == held.fingerprint:
            return
        if held.base and held.base.fingerprint == fingerprint:
            self.take_theirs(held, replace(held.base, version=version), CHANGE_STANDARD_MANUAL, now_us)
        else:
            self._keep_record(held, fingerprint, CHANGE_STANDARD_MANUAL)
            self._write(held, version, self._tick(now_us))

    def pending(self) -> list[Entry]:
        """Pending changes in the order in which they were made."""
        pending = [entry for entry in self.entries.values() if entry.is_pending]
        return sorted(pending, key=lambda entry: entry.pending.sequence)

    def lose_checkpoint(self) -> None:
        self.checkpoint = item_pb2.Checkpoint()
        self.witness = item_pb2.Checkpoint()

    # ---- for the exchange

    def entry(self, id: str) -> Entry:
        """The entry of an item; one that nothing is known of has an empty one."""
        return self.entries.get(id) or Entry(id)

    def group_of(self, entry: Entry) -> list[Entry]:
        """All members of a pending change's atomic group; without a group, the change alone."""
        group = entry.pending.group
        return [each for each in self.pending() if each.pending.group == group] if group else [entry]

    def change_pending(self, entry: Entry, **changes: Any) -> None:
        entry.pending = replace(entry.pending, **changes)

    def take_theirs(self, entry: Entry, theirs: State, standard: ChangeStandard | None, now_us: int) -> None:
        """The item becomes what the server has. With a standard, mine gave way by it, and is kept in a record."""
        if standard is not None and entry.fingerprint != theirs.fingerprint:
            self._keep_record(entry, theirs.fingerprint, standard)
        entry.mine, entry.time_us, entry.pending = theirs.version, theirs.time_us, CLEAN
        self.last_time_us = max(self.last_time_us, min(theirs.time_us, now_us + MOST_AHEAD_US))
        self.move_base(entry, theirs)

    def stand_on(self, entry: Entry, theirs: State, overrides: ChangeStandard, held: bool) -> None:
        """The pending change stays, on what the server has now: whatever was sent of it before is settled."""
        self.change_pending(entry, sendings=(), overrides=overrides, held=held)
        self.move_base(entry, theirs)

    def agree(self, entry: Entry, revision: int) -> None:
        """The server has what mine is, as of this revision: nothing is left to send."""
        entry.pending = CLEAN
        self.move_base(entry, State.of(entry.id, entry.mine, revision, entry.time_us))

    def offer(self, entry: Entry, theirs: State, overrides: ChangeStandard, held: bool) -> None:
        """A clean item is pending again: the server, which was restored to an earlier time, lost it."""
        self._renew(entry, Pending(overrides=overrides, held=held))
        # Where nothing is known of it at the server, not even of a deletion, it is a creation.
        self.move_base(entry, theirs if theirs.revision else None)

    def move_base(self, entry: Entry, base: State | None) -> None:
        """The only place where a base changes: the sum over all bases changes with it."""
        self.total -= RangeSum.of(entry.base_fingerprint)
        entry.base = base
        self.total += RangeSum.of(entry.base_fingerprint)
        self._keep(entry)

    def hear(self, witness: item_pb2.Checkpoint) -> None:
        """The server spoke of a revision: one that does not know it any more was restored to before it."""
        if witness.revision > max(self.checkpoint.revision, self.witness.revision):
            self.witness = witness

    def stand(self, checkpoint: item_pb2.Checkpoint) -> None:
        """All changes up to a checkpoint have been taken. Stored together with the last of them."""
        self.checkpoint = checkpoint
        if self.witness.revision <= checkpoint.revision:
            self.witness = item_pb2.Checkpoint()

    # ---- inside

    def _check(self, id: str, version: Version | None) -> None:
        if not is_id(id):
            raise ClientError("INVALID_ID", f"{id!r} is no id")
        if version and len(version.data) > self.limits.item_bytes:
            raise ClientError("ITEM_TOO_LARGE", f"a content may have {self.limits.item_bytes} bytes")

    def _check_group(self, members: Collection[Entry], versions: Mapping[str, Version | None]) -> None:
        """Refuses what would make a group too large: its members, with these versions in place of theirs."""
        size = sum(size_of(each.id, versions.get(each.id, each.mine)) for each in members)
        # Whatever the server says: a content in chunks is no member of a group.
        most_bytes = min(self.limits.group_bytes, WHOLE_BYTES)
        if len(members) > 1 and (len(members) > self.limits.group_items or size > most_bytes):
            raise ClientError("GROUP_INVALID", "the atomic group is too large")

    def _tick(self, now_us: int) -> int:
        self.last_time_us = max(now_us, self.last_time_us + 1)
        return self.last_time_us

    def _write(self, entry: Entry, mine: Version | None, time_us: int) -> None:
        entry.mine, entry.time_us = mine, time_us
        # Back to what the server has: nothing is left to send. But what was sent, or overrides another change, goes on.
        is_back = entry.is_pending and entry.fingerprint == entry.base_fingerprint
        if is_back and not entry.pending.sendings and not entry.pending.overrides:
            entry.pending = CLEAN
            entry.time_us = entry.base.time_us if entry.base else time_us
        else:
            self._renew(entry, entry.pending)
        self._keep(entry)

    def _renew(self, entry: Entry, before: Pending) -> None:
        """A pending change with a number of its own; it goes on from the one before it."""
        self.last_sequence += 1
        entry.pending = replace(before, sequence=self.last_sequence, rejected=0, upload=b"")

    def _keep(self, entry: Entry) -> None:
        """Stores an entry; of an item that is gone on both sides nothing is kept."""
        if entry.mine is None and not entry.is_pending:
            self.entries.pop(entry.id, None)
        else:
            self.entries[entry.id] = entry

    def _keep_record(self, entry: Entry, prevailed: bytes | None, standard: ChangeStandard) -> None:
        self.conflicts.append(ConflictRecord(entry.id, entry.mine, entry.time_us, prevailed, standard))
