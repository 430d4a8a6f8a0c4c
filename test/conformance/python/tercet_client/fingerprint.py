"""What both sides must compute alike: fingerprints of items, sums of fingerprints, ids, and bounds between them.

`vectors/fingerprints.json`, `range-fingerprints.json` and `ids.json` hold examples of all of it. The order of ids, by
their UTF-8 bytes, needs nothing here: Python compares strings by code points, which is the same order.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from os.path import commonprefix

from tercet.v1.sync_pb2 import IdBounds

MODULUS = 1 << 256
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
MOST_ID_BYTES = 512
MOST_BOUND_BYTES = 516


def fingerprint_of(id: str, content: bytes) -> bytes:
    """The fingerprint of an item. Everywhere in this client, None in its place is "no such item", or a deleted one."""
    return hashlib.sha256(id.encode() + b"\0" + content).digest()


@dataclass(frozen=True)
class RangeSum:
    """A range fingerprint: the number of items, and the sum of their fingerprints modulo 2^256."""

    count: int = 0
    sum: int = 0

    @classmethod
    def of(cls, fingerprint: bytes | None) -> RangeSum:
        """The sum that one item comes to; no item comes to nothing."""
        return cls() if fingerprint is None else cls(1, int.from_bytes(fingerprint, "little"))

    def __add__(self, other: RangeSum) -> RangeSum:
        return RangeSum(self.count + other.count, (self.sum + other.sum) % MODULUS)

    def __sub__(self, other: RangeSum) -> RangeSum:
        return RangeSum(self.count - other.count, (self.sum - other.sum) % MODULUS)

    def to_bytes(self) -> bytes:
        """The 32 bytes of the sum."""
        return self.sum.to_bytes(32, "little")


def is_id(id: str) -> bool:
    """Whether an id is a good one: 1 to 512 bytes of UTF-8 without control characters."""
    try:
        size = len(id.encode())
    except UnicodeEncodeError:
        return False
    return 1 <= size <= MOST_ID_BYTES and CONTROL_CHARACTER.search(id) is None


def encode_bounds(bounds: Iterable[str]) -> IdBounds:
    """Codes ascending bounds: each as the bytes (of whole characters) shared with the one before it, and the rest."""
    coded = IdBounds()
    before = ""
    for bound in bounds:
        prefix = commonprefix([before, bound])
        coded.shared.append(len(prefix.encode()))
        coded.rest.append(bound[len(prefix) :])
        before = bound
    return coded


def decode_bounds(coded: IdBounds) -> list[str]:
    """The bounds again. ValueError where they are too long, cut in mid-character, or do not ascend."""
    bounds = []
    before = b""
    for shared, rest in zip(coded.shared, coded.rest, strict=True):
        bound = before[:shared] + rest.encode()
        if shared > len(before) or len(bound) > MOST_BOUND_BYTES or bound <= before:
            raise ValueError("bounds of ids do not ascend, or are too long")
        bounds.append(bound.decode())
        before = bound
    return bounds
