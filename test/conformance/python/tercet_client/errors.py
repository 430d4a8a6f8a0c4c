"""Errors, as a caller can tell them by: the server's, and what this side refuses by itself."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from tercet.v1 import error_pb2

DETAILS_KEY = "grpc-status-details-bin"
# The codes of what this side finds by itself, where it is not INVALID_ARGUMENT: error.proto names them.
CODES = {
    "UNVERIFIED": "DATA_LOSS",
    "UNSUPPORTED": "UNIMPLEMENTED",
    "STALLED": "DEADLINE_EXCEEDED",
    "ITEM_HELD": "FAILED_PRECONDITION",
    "TOKEN_OTHER_HISTORY": "FAILED_PRECONDITION",
    "TOKEN_COMPACTED": "FAILED_PRECONDITION",
}

Detail = TypeVar("Detail", bound=Message)


class ClientError(Exception):
    """What this side refuses by itself, with a reason of error.proto (without its prefix)."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def read_error(error: Exception) -> dict[str, Any]:
    """What can be told of an error: `code` (canonical name), `reason` ("" where there is none) and `message`.

    Where the status has them also `fields`, those at fault, and `retry_after_ms`. Errors that are neither a ClientError
    nor the status of a call are bugs: INTERNAL.
    """
    if isinstance(error, ClientError):
        return {"code": CODES.get(error.reason, "INVALID_ARGUMENT"), "reason": error.reason, "message": str(error)}
    if not isinstance(error, grpc.RpcError):
        return {"code": "INTERNAL", "reason": "", "message": repr(error)}
    told: dict[str, Any] = {"code": error.code().name, "message": error.details() or ""}
    told["reason"] = _detail(error, ErrorInfo()).reason
    if violations := _detail(error, BadRequest()).field_violations:
        told["fields"] = [violation.field for violation in violations]
    retry = _detail(error, RetryInfo())
    if retry.HasField("retry_delay"):
        told["retry_after_ms"] = retry.retry_delay.ToMilliseconds()
    return told


def _detail(error: grpc.RpcError, detail: Detail) -> Detail:
    """The detail of a kind that came with a status; an empty one where there is none, or it can't be read."""
    with suppress(DecodeError):
        status = Status.FromString(dict(error.trailing_metadata() or ()).get(DETAILS_KEY, b""))
        any(each.Unpack(detail) for each in status.details)
    return detail


def reason_name(reason: int) -> str:
    """A reason without its prefix; empty for none."""
    known = error_pb2.ErrorReason.DESCRIPTOR.values_by_number.get(reason)
    return known.name.removeprefix("ERROR_REASON_") if known and reason else str(reason or "")


def out_of_order(message: str) -> ClientError:
    """The server said what has no meaning at this point."""
    return ClientError("OUT_OF_ORDER", message)


def unverified(message: str) -> ClientError:
    """What arrived is not what its fingerprint says."""
    return ClientError("UNVERIFIED", message)
