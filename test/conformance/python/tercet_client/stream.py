"""The stream, as one thread that sends and reads.

That can't deadlock: the server reads on while it writes, and what this client sends without waiting for an answer fits
into the window, so that it is queued here at the worst.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from threading import Lock
from typing import TypeVar

import grpc
from tercet.v1 import item_pb2
from tercet.v1.sync_pb2 import ExchangeRequest, ExchangeResponse
from tercet.v1.sync_service_pb2_grpc import SyncServiceStub

from .errors import out_of_order

T = TypeVar("T")

# A server that is gone without a word is found out by pings; more frequent ones would be taken for an attack.
CHANNEL_OPTIONS = [("grpc.keepalive_time_ms", 300_000)]


class Stream:
    """An exchange that begins.

    `lock` is held by the caller, and left to others while the server is waited for, and only then. `epoch_begun`: new
    epochs may be told at any time, and count at once.
    """

    def __init__(
        self, server: str, timeout_s: float | None, lock: Lock, epoch_begun: Callable[[item_pb2.Epoch], None]
    ) -> None:
        self._lock = lock
        self._epoch_begun = epoch_begun
        self._requests: SimpleQueue[ExchangeRequest | None] = SimpleQueue()
        self._put_off: deque[ExchangeResponse] = deque()
        self._channel = grpc.insecure_channel(server, CHANNEL_OPTIONS)
        # Not grpc.aio: there a write that comes too late hides the server's status (grpc/grpc#36066).
        self._call = SyncServiceStub(self._channel).Exchange(iter(self._requests.get, None), timeout=timeout_s)

    def send(self, request: ExchangeRequest) -> None:
        self._requests.put(request)

    def receive(self) -> ExchangeResponse:
        """The next message: one that was put off before, or one that comes."""
        return self._put_off.popleft() if self._put_off else self._read()

    def receive_only(self, *names: str) -> ExchangeResponse:
        """The next message of these names. Others that come first are put off."""
        while True:
            response = self._read()
            if response.WhichOneof("message") in names:
                return response
            self._put_off.append(response)

    def finish(self) -> None:
        """Half-closes, and waits for the server's end of the stream."""
        self._requests.put(None)
        while self._next() is not None:
            pass

    def close(self) -> None:
        """Ends the call at once, where it has not ended."""
        self._requests.put(None)
        self._call.cancel()
        self._channel.close()

    def _next(self) -> ExchangeResponse | None:
        self._lock.release()
        try:
            return next(self._call, None)
        finally:
            self._lock.acquire()

    def _read(self) -> ExchangeResponse:
        while (response := self._next()) is not None:
            name = response.WhichOneof("message")
            if name == "epoch_begun":
                self._epoch_begun(response.epoch_begun.epoch)
            # A message that this client does not know is none to it.
            elif name is not None:
                return response
        raise out_of_order("the server ended the exchange before it was through")


def in_parts(
    things: Iterable[T], size_of: Callable[[T], int], most_bytes: int, most: int | None = None
) -> Iterator[list[T]]:
    """Cuts a list into parts of at most so many bytes, and so many things; what is larger is a part by itself."""
    part: list[T] = []
    size = 0
    for thing in things:
        size += size_of(thing)
        if part and (size > most_bytes or len(part) == most):
            yield part
            part, size = [], size_of(thing)
        part.append(thing)
    if part:
        yield part
