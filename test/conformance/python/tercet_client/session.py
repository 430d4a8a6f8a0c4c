"""An exchange under way: what its steps need, and what they have to remember until its end."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from tercet.v1 import item_pb2, sync_pb2

from .compare import Outcome
from .replica import Replica, Version
from .stream import Stream

RecoveryReason = Literal["compacted", "history", "recreated", "unverified", "asked"]


@dataclass(frozen=True)
class SyncOptions:
    """How an exchange is to be."""

    # host:port
    server: str
    # The clock, in microseconds.
    now_us: Callable[[], int]
    # UNSPECIFIED: the collection's, else SERVER.
    standard: item_pb2.ChangeStandard = item_pb2.CHANGE_STANDARD_UNSPECIFIED
    create: bool = False
    recreate: bool = False
    # What the server lost, restored to an earlier time, is offered again, or given up; or nothing is done at all.
    on_history_change: Literal["offer", "follow", "stop"] = "offer"
    timeout_s: float | None = None


@dataclass(frozen=True)
class Sent:
    """A push without a verdict."""

    id: str
    sequence: int
    # What was sent; None: a deletion.
    version: Version | None
    time_us: int
    # Something was sent of the item on an earlier stream that may arrive yet.
    resent: bool
    # It was sent before on this stream.
    again: bool

    @property
    def fingerprint(self) -> bytes | None:
        return self.version.fingerprint if self.version else None


@dataclass
class Recovery:
    """Why a recovery was needed, and what was offered to the server again."""

    why: RecoveryReason
    offered: list[str] = field(default_factory=list)


@dataclass
class Report:
    """What an exchange did."""

    standard: item_pb2.ChangeStandard = item_pb2.CHANGE_STANDARD_UNSPECIFIED
    received: int = 0
    deleted: int = 0
    sent: int = 0
    sent_deletions: int = 0
    settled: int = 0
    # By id: the standard, and how it ended.
    conflicts: dict[str, tuple[item_pb2.ChangeStandard, Outcome]] = field(default_factory=dict)
    # By id: the reason.
    rejected: dict[str, int] = field(default_factory=dict)
    contended: set[str] = field(default_factory=set)
    recovery: Recovery | None = None
    verified: bool = False
    round_trips: int = 1


@dataclass
class Session:
    """What the steps of an exchange share."""

    replica: Replica
    options: SyncOptions
    report: Report = field(default_factory=Report)
    # In force; before Opened, what was last heard of.
    limits: sync_pb2.Limits = field(init=False)
    stream: Stream = field(init=False)
    # The server's first message, once it has come.
    opened: sync_pb2.Opened = field(default_factory=sync_pb2.Opened)
    # What to add to this side's clock for the latest modify time that the server takes.
    ceiling_ahead_us: int = 0
    # Pushes without a verdict, in order, and the ordinal of the first.
    on_the_way: deque[Sent] = field(default_factory=deque)
    first_ordinal: int = 0
    # Sequence numbers of changes that were sent on this stream; that are not due (again) before a comparison; and that
    # were settled by a comparison while the push was on its way, so that its verdict adds nothing.
    sent: set[int] = field(default_factory=set)
    tried: set[int] = field(default_factory=set)
    settled: set[int] = field(default_factory=set)
    # Races that each item lost.
    races: Counter[str] = field(default_factory=Counter)
    # Epochs that the server began since Opened.
    begun: list[item_pb2.Epoch] = field(default_factory=list)
    # The replica does not stand in the server's history: a recovery is due, or under way.
    recovering: bool = False
    # The replica goes on with another collection than its own, which was deleted.
    rebinds: bool = False
    # The latest revision that the server spoke of on this stream, and that of a content that was fetched.
    heard: item_pb2.Checkpoint = field(default_factory=item_pb2.Checkpoint)
    fetched_revision: int = 0

    def __post_init__(self) -> None:
        self.limits = self.replica.limits
        self.stream = Stream(self.options.server, self.options.timeout_s, self.replica.lock, self._begin_epoch)

    def hear(self, witness: item_pb2.Checkpoint) -> None:
        if witness.revision > self.heard.revision:
            self.heard = witness

    def _begin_epoch(self, epoch: item_pb2.Epoch) -> None:
        self.begun.append(epoch)
        # In a recovery the lineage stays that of what the replica stands in.
        if not self.recovering:
            self.replica.lineage.append(epoch)
