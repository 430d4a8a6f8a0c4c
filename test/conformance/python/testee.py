"""The loop that the conformance kit drives: one JSON object a line, and one line for each. See ../README.md."""

import base64
import json
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from threading import Lock, Thread
from typing import Any

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from tercet.v1 import item_pb2

from tercet_client import ClientError, Replica, Report, SyncOptions, Version, detail_of, sync
from tercet_client.errors import reason_name
from tercet_client.replica import Entry

Json = dict[str, Any]

# The codes of what the client finds by itself, where it is not INVALID_ARGUMENT: error.proto names them.
CODES = {
    "UNVERIFIED": "DATA_LOSS",
    "UNSUPPORTED": "UNIMPLEMENTED",
    "ITEM_HELD": "FAILED_PRECONDITION",
    "TOKEN_OTHER_HISTORY": "FAILED_PRECONDITION",
    "TOKEN_COMPACTED": "FAILED_PRECONDITION",
}

replicas: dict[str, Replica] = {}
clock_us = 0
output = Lock()


def now_us() -> int:
    return clock_us or time.time_ns() // 1000


def replica_of(request: Json) -> Replica:
    return replicas[request["replica"]]


def version_of(request: Json, id: str) -> Version | None:
    if request.get("deleted"):
        return None
    return Version.of(id, request["text"] if "text" in request else base64.b64decode(request["data"]))


def to_content(version: Version | None) -> Json:
    if version is None:
        return {}
    content = version.content
    return {"text": content} if isinstance(content, str) else {"data": base64.b64encode(content).decode()}


def to_hex(fingerprint: bytes | None) -> str | None:
    return None if fingerprint is None else fingerprint.hex()


def standard_name(standard: item_pb2.ChangeStandard) -> str:
    return item_pb2.ChangeStandard.Name(standard).removeprefix("CHANGE_STANDARD_")


def kind_of(version: Version | None) -> str:
    return "upserted" if version else "deleted"


def to_item(entry: Entry) -> Json:
    return {
        "id": entry.id,
        "fingerprint": to_hex(entry.fingerprint),
        "modify_time_us": entry.time_us,
        "pending": entry.is_pending and entry.fingerprint != entry.base_fingerprint,
    }


def to_pending(entry: Entry) -> Json:
    pending = entry.pending
    told = {"id": entry.id, "kind": kind_of(entry.mine), "held": pending.held, "group": pending.group}
    return {**told, "rejected": reason_name(pending.rejected)}


def to_held(entry: Entry) -> Json:
    theirs = entry.base_state.version
    return {"id": entry.id, "mine": to_content(entry.mine) or None, "theirs": to_content(theirs) or None}


def entries_of(replica: Replica) -> list[Entry]:
    return [entry for _, entry in sorted(replica.entries.items())]


def to_sums(replica: Replica) -> Json:
    total = replica.total
    return {"revision": replica.checkpoint.revision, "count": total.count, "fingerprint": total.to_bytes().hex()}


def to_report(report: Report, replica: Replica) -> Json:
    counts = {name: getattr(report, name) for name in ("received", "deleted", "sent", "sent_deletions", "settled")}
    conflicts = report.conflicts.items()
    return {
        **counts,
        **to_sums(replica),
        "standard": standard_name(report.standard),
        "conflicts": [{"id": id, "standard": standard_name(by), "prevailed": who} for id, (by, who) in conflicts],
        "rejected": [{"id": id, "reason": reason_name(reason)} for id, reason in report.rejected.items()],
        "contended": list(report.contended),
        "round_trips": report.round_trips,
        "recovery": asdict(report.recovery) if report.recovery else None,
        "verified": report.verified,
    }


def do_hello(request: Json) -> Json:
    return {
        "name": "tercet reference client, Python",
        "features": ["groups", "chunks", "reconcile", "manual", "concurrent"],
    }


def do_set_clock(request: Json) -> Json:
    global clock_us
    clock_us = request["us"]
    return {}


def do_open(request: Json) -> Json:
    replicas[request["replica"]] = Replica(request["collection"])
    return {}


def do_copy(request: Json) -> Json:
    replicas[request["to"]] = replica_of(request).copy()
    return {}


def do_close(request: Json) -> Json:
    del replicas[request["replica"]]
    return {}


def do_put(request: Json) -> Json:
    replica_of(request).write(request["id"], version_of(request, request["id"]), now_us())
    return {}


def do_delete(request: Json) -> Json:
    replica, id = replica_of(request), request["id"]
    deleted = replica.entry(id).mine is not None
    replica.write(id, None, now_us())
    return {"deleted": deleted}


def do_transaction(request: Json) -> Json:
    versions = {change["id"]: version_of(change, change["id"]) for change in request["changes"]}
    replica_of(request).transaction(versions, now_us())
    return {}


def do_sync(request: Json) -> Json:
    options = SyncOptions(
        server=request["server"],
        now_us=now_us,
        standard=getattr(item_pb2, f"CHANGE_STANDARD_{request.get('standard', 'UNSPECIFIED')}"),
        create=request.get("create", False),
        recreate=request.get("recreate", False),
        on_history_change=request.get("on_history_change", "offer"),
        timeout_s=request["timeout_ms"] / 1000 if "timeout_ms" in request else None,
    )
    replica = replica_of(request)
    report = sync(replica, options)
    with replica.lock:
        return to_report(report, replica)


def do_get(request: Json) -> Json:
    entry = replica_of(request).entry(request["id"])
    return {"item": {**to_item(entry), **to_content(entry.mine)} if entry.mine else None}


def do_list(request: Json) -> Json:
    return {"items": [to_item(entry) for entry in entries_of(replica_of(request)) if entry.mine]}


def do_pending(request: Json) -> Json:
    return {"pending": [to_pending(entry) for entry in replica_of(request).pending()]}


def do_held(request: Json) -> Json:
    held = [entry for entry in entries_of(replica_of(request)) if entry.pending.held]
    return {"held": [to_held(entry) for entry in held]}


def do_resolve(request: Json) -> Json:
    id = request["id"]
    how = request["how"] if "how" in request else version_of(request, id)
    replica_of(request).resolve(id, how, now_us())
    return {}


def do_conflicts(request: Json) -> Json:
    return {
        "conflicts": [
            {
                "id": record.id,
                "kind": kind_of(record.version),
                **to_content(record.version),
                "fingerprint": record.version.fingerprint.hex() if record.version else None,
                "prevailed": to_hex(record.prevailed),
                "standard": standard_name(record.standard),
            }
            for record in reversed(replica_of(request).conflicts)
        ]
    }


def do_status(request: Json) -> Json:
    replica = replica_of(request)
    pending = replica.pending()
    return {
        **to_sums(replica),
        "items": sum(entry.mine is not None for entry in replica.entries.values()),
        "pending": len(pending),
        "held": sum(entry.pending.held for entry in pending),
        "conflicts": len(replica.conflicts),
    }


def do_lose_checkpoint(request: Json) -> Json:
    replica_of(request).lose_checkpoint()
    return {}


REQUESTS: dict[str, Callable[[Json], Json]] = {
    name.removeprefix("do_"): function for name, function in list(globals().items()) if name.startswith("do_")
}


def to_error(error: Exception) -> Json:
    if isinstance(error, ClientError):
        return {"code": CODES.get(error.reason, "INVALID_ARGUMENT"), "reason": error.reason, "message": str(error)}
    if not isinstance(error, grpc.RpcError):
        traceback.print_exc()
        return {"code": "INTERNAL", "reason": "", "message": repr(error)}
    told: Json = {"code": error.code().name, "message": error.details() or ""}
    told["reason"] = detail_of(error, ErrorInfo()).reason
    if violations := detail_of(error, BadRequest()).field_violations:
        told["fields"] = [violation.field for violation in violations]
    retry = detail_of(error, RetryInfo())
    if retry.HasField("retry_delay"):
        told["retry_after_ms"] = retry.retry_delay.ToMilliseconds()
    return told


def answer(request: Json) -> None:
    try:
        said = {"ok": carry_out(request)}
    except Exception as error:
        said = {"error": to_error(error)}
    line = json.dumps({"n": request["n"], **said})
    with output:
        print(line, flush=True)


def carry_out(request: Json) -> Json:
    function = REQUESTS.get(request["do"])
    if function is None:
        raise ClientError("UNSUPPORTED", f"unknown request {request['do']!r}")
    replica = replicas.get(request.get("replica", ""))
    # An exchange takes the lock by itself, and leaves it while it waits.
    with nullcontext() if replica is None or function is do_sync else replica.lock:
        return function(request)


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "sync":
            # Writes go on while an exchange runs.
            Thread(target=answer, args=[request]).start()
        else:
            answer(request)


if __name__ == "__main__":
    main()
