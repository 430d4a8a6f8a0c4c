"""Errors that a caller has to tell apart: what the server refuses (grpc.RpcError), and what this side does."""

from contextlib import suppress
from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status
from tercet.v1 import error_pb2

DETAILS_KEY = "grpc-status-details-bin"

Detail = TypeVar("Detail", bound=Message)


class ClientError(Exception):
    """What this side refuses by itself, with a reason of error.proto (without its prefix)."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def detail_of(error: grpc.RpcError, detail: Detail) -> Detail:
    """Fills in the detail that came with a status: `detail_of(error, ErrorInfo()).reason`, BadRequest, RetryInfo.

    It stays empty where there is none of its kind, or it can't be read.
    """
    with suppress(DecodeError):
        for item in error.trailing_metadata() or ():
            if item.key == DETAILS_KEY:
                any(each.Unpack(detail) for each in Status.FromString(item.value).details)
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
