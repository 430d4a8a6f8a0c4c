"""Holds what needs no network against ../vectors: `.venv/bin/python -m unittest`."""

import hashlib
import json
import unittest
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from tercet.v1 import item_pb2
from tercet.v1.sync_pb2 import ChangePage, IdBounds

from tercet_client.change_info import UNPROVED, read_changes
from tercet_client.compare import compare, compare_recovered, judge
from tercet_client.errors import ClientError
from tercet_client.fingerprint import RangeSum, decode_bounds, encode_bounds, fingerprint_of, is_id
from tercet_client.replica import CLEAN, Entry, Pending, Replica, State, Version

VECTORS = Path(__file__).parent.parent / "vectors"


def read(name: str) -> Any:
    return expand(json.loads((VECTORS / name).read_text()))


def expand(value: Any) -> Any:
    """Writes out what is repeated."""
    if isinstance(value, list):
        return [expand(each) for each in value]
    if not isinstance(value, dict):
        return value
    if repeat := value.get("$repeat"):
        return repeat["text"] * repeat["count"] if "text" in repeat else [expand(repeat["item"])] * repeat["count"]
    return {name: expand(each) for name, each in value.items()}


def content_of(case: Any) -> bytes:
    if "text" in case:
        return str(case["text"]).encode()
    if "data" in case:
        return bytes.fromhex(case["data"])
    seed, size = case["seed"]["seed"], case["seed"]["size"]
    blocks = (hashlib.sha256(f"{seed}:{number}".encode()).digest() for number in range(size // 32 + 1))
    return b"".join(blocks)[:size]


def bytes_of(hex_digits: str | None) -> bytes | None:
    return None if hex_digits is None else bytes.fromhex(hex_digits)


class FingerprintTest(unittest.TestCase):
    def test_items(self) -> None:
        for case in read("fingerprints.json")["cases"]:
            with self.subTest(case["name"]):
                self.assertEqual(fingerprint_of(case["id"], content_of(case)).hex(), case["fingerprint"])

    def test_ranges(self) -> None:
        for case in read("range-fingerprints.json")["cases"]:
            with self.subTest(case["name"]):
                total = RangeSum()
                for fingerprint in case.get("add", []):
                    total += RangeSum.of(bytes.fromhex(fingerprint))
                for number in range(case.get("addNumbered", 0)):
                    total += RangeSum.of(fingerprint_of(f"item-{number}", str(number).encode()))
                for fingerprint in case.get("subtract", []):
                    total -= RangeSum.of(bytes.fromhex(fingerprint))
                self.assertEqual((total.count, total.to_bytes().hex()), (case["count"], case["sum"]))


class IdTest(unittest.TestCase):
    vectors = read("ids.json")

    def test_order(self) -> None:
        ordered = self.vectors["ordered"]
        self.assertEqual(sorted(ordered), ordered)

    def test_ids(self) -> None:
        for case in self.vectors["ids"]:
            with self.subTest(case["name"]):
                self.assertEqual(is_id(case["id"]), case["valid"])

    def test_collection_names(self) -> None:
        for case in self.vectors["collectionNames"]:
            with self.subTest(case["name"]):
                if case["valid"]:
                    Replica(case["name"])
                else:
                    self.assertRaises(ClientError, Replica, case["name"])

    def test_bounds(self) -> None:
        for case in self.vectors["bounds"]:
            with self.subTest(case["bounds"]):
                self.assertEqual(MessageToDict(encode_bounds(case["bounds"])), case["coded"])
                self.assertEqual(decode_bounds(ParseDict(case["coded"], IdBounds())), case["bounds"])

    def test_bad_bounds(self) -> None:
        for case in self.vectors["badBounds"]:
            with self.subTest(case["name"]):
                self.assertRaises(ValueError, decode_bounds, ParseDict(case["coded"], IdBounds()))


class CompareTest(unittest.TestCase):
    vectors = read("comparison.json")

    def entry_of(self, client: Any) -> tuple[Entry, tuple[bytes | None, ...]]:
        base, pending = client.get("base"), client.get("pending")
        now = pending or base
        fingerprint = self.print_of(now["content"]) if now else None
        entry = Entry("x", Version(fingerprint, b"", is_text=False) if fingerprint else None)
        entry.base = self.state_of(base) if base else None
        entry.pending = Pending(sequence=1) if pending else CLEAN
        return entry, tuple(self.print_of(name) for name in client["sendings"])

    def state_of(self, state: Any) -> State:
        return State("x", self.print_of(state["content"]), state["revision"])

    def print_of(self, name: str | None) -> bytes | None:
        return None if name is None else bytes.fromhex(self.vectors["contents"][name])

    def test_compare(self) -> None:
        for case in self.vectors["cases"]:
            with self.subTest(case):
                found = compare(*self.entry_of(case["client"]), self.state_of(case["server"]))
                self.assertEqual(found, case["comparison"])

    def test_compare_recovered(self) -> None:
        for case in self.vectors["recoveryCases"]:
            with self.subTest(case):
                entry, sendings = self.entry_of(case["client"])
                found = compare_recovered(entry, sendings, self.state_of(case["server"]), case["fork"])
                self.assertEqual(found, case["comparison"])

    def test_judge(self) -> None:
        standards = read("standards.json")
        for case in standards["judgements"] + standards["groups"]:
            with self.subTest(case["name"], standard=case["standard"]):
                mine, theirs = case["mine"], case["theirs"]
                time_us = max(int(each) for each in mine.get("groupTimesUs") or [mine["modifyTimeUs"]])
                state = State("x", bytes_of(theirs["fingerprint"]), 1, int(theirs["modifyTimeUs"]))
                standard = getattr(item_pb2, case["standard"])
                outcome = judge(standard, bytes_of(mine["fingerprint"]), time_us, state)
                self.assertEqual(outcome, case["prevails"])


class PageTest(unittest.TestCase):
    vectors = read("pages.json")

    def test_coded(self) -> None:
        for case in self.vectors["coded"]:
            with self.subTest(case["name"]):
                page = ParseDict(case["page"], ChangePage())
                whole = ParseDict({"changes": case["changes"]}, ChangePage())
                self.assertEqual(read_changes(page.changes, page.fingerprint), read_changes(whole.changes))

    def test_read(self) -> None:
        for case in self.vectors["read"]:
            with self.subTest(case["name"]):
                page = ParseDict(case["page"], ChangePage())
                if case["unknown"]:
                    self.assertRaises(ClientError, read_changes, page.changes, page.fingerprint)
                    continue
                states = read_changes(page.changes, page.fingerprint)
                self.assertEqual([each.id for each in states if each.fingerprint != UNPROVED], case["good"])
                self.assertEqual([each.id for each in states if each.fingerprint == UNPROVED], case["doubtful"])


if __name__ == "__main__":
    unittest.main()
