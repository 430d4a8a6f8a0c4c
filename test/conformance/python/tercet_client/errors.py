"""Errors, as a caller can tell them by: the server's, and what this side refuses by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from tercet.v1.error_pb2 import ErrorReason

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


@dataclass(frozen=True)
class Told:
    """An error. `code` is the canonical name of the status code; `reason` is empty where there is none."""

    code: str
    reason: str
    message: str
    fields: tuple[str, ...] = ()
    retry_after_ms: float | None = None


def read_error(error: Exception) -> Told:
    """Reads the status of a call with its details, or what this side refused. Other errors are bugs."""
    if isinstance(error, ClientError):
        return Told(CODES.get(error.reason, "INVALID_ARGUMENT"), error.reason, str(error))
    if not isinstance(error, grpc.RpcError):
        return Told("INTERNAL", "", repr(error))
    status = _status_of(error)
    retry = _detail(status, RetryInfo())
    return Told(
        code=error.code().name,
        reason=_detail(status, ErrorInfo()).reason,
        message=error.details() or "",
        fields=tuple(violation.field for violation in _detail(status, BadRequest()).field_violations),
        retry_after_ms=retry.retry_delay.ToTimedelta().total_seconds() * 1000
        if retry.HasField("retry_delay")
        else None,
    )


def _status_of(error: grpc.RpcError) -> Status:
    """The details that come with a status; none where they can't be read."""
    try:
        return Status.FromString(dict(error.trailing_metadata() or ()).get(DETAILS_KEY, b""))
    except DecodeError:
        return Status()


def _detail(status: Status, kind: Detail) -> Detail:
    """The detail of a kind; an empty one where the status has none."""
    for any_detail in status.details:
        if any_detail.Unpack(kind):
            break
    return kind


def reason_name(reason: int) -> str:
    """A reason without its prefix; empty for none."""
    return ErrorReason.Name(reason).removeprefix("ERROR_REASON_") if reason else ""


def out_of_order(message: str) -> ClientError:
    """The server said what has no meaning at this point."""
    return ClientError("OUT_OF_ORDER", message)


def unverified(message: str) -> ClientError:
    """What arrived is not what its fingerprint says."""
    return ClientError("UNVERIFIED", message)
