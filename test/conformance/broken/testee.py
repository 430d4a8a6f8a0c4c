"""The Python reference client with a mistake in it, for the conformance kit to find: `testee.py order-by-utf16`.

Each mistake is one that somebody who writes a client is likely to make, and is put in place of the right thing here;
the client itself knows nothing of them. `mistakes.json` says which cases have to fail for each.
"""

from __future__ import annotations

import bisect
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "python"))

from tercet_client import Replica, Report, SyncOptions, change_info, messages, receive_content, recover
from tercet_client.replica import Entry, State

import testee


def order_by_utf16() -> None:
    """Ids in the order of UTF-16 units, as JavaScript, Java and C# compare strings, in place of UTF-8 bytes."""

    def units(id: str) -> bytes:
        return id.encode("utf-16-be")

    def sort(items: Iterable[Any]) -> list[Any]:
        return sorted(items, key=lambda item: units(item[0]))

    def find(ids: list[str], id: str) -> int:
        return bisect.bisect_left(ids, units(id), key=units)

    recover.sorted = testee.sorted = sort
    recover.bisect_left = find


def unchecked_contents() -> None:
    """Contents are stored as they come: nobody looks whether they are what their fingerprints say."""

    def believe(state: State, fingerprint: bytes | None) -> State:
        return replace(state, fingerprint=fingerprint)

    change_info.proved = receive_content.proved = believe
    # Nor whether those of a page are what its range fingerprint says.
    change_info.says = lambda told, own: True


def checkpoint_first() -> None:
    """The checkpoint of a page is stored before the contents that have to be fetched for it are."""
    take_changes = messages.take_changes

    def take(session: Any, told: Any, checkpoint: Any = None) -> None:
        if checkpoint is not None:
            session.replica.stand(checkpoint)
        take_changes(session, told, checkpoint)

    messages.take_changes = take


def forgotten_sendings() -> None:
    """An exchange does not know what an earlier one, which was cut, has sent."""
    sync = testee.sync

    def forget(replica: Replica, options: SyncOptions) -> Report:
        for entry in replica.pending():
            replica.change_pending(entry, sendings=())
        return sync(replica, options)

    testee.sync = forget


def blind_writes() -> None:
    """What prevails is written over the server's change without a word: nobody keeps what gave way."""
    stand_on = Replica.stand_on

    def write(replica: Replica, entry: Entry, theirs: State, overrides: int, held: bool) -> None:
        stand_on(replica, entry, theirs, 0, held)

    Replica.stand_on = write


MISTAKES: dict[str, Callable[[], None]] = {
    "order-by-utf16": order_by_utf16,
    "unchecked-contents": unchecked_contents,
    "checkpoint-first": checkpoint_first,
    "forgotten-sendings": forgotten_sendings,
    "blind-writes": blind_writes,
}

if __name__ == "__main__":
    MISTAKES[sys.argv[1]]()
    testee.main()
