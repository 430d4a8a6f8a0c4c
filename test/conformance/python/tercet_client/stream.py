"""The stream, as one thread that sends and reads.

That can't deadlock: the server reads on while it writes, and what this client sends without waiting for an answer fits into
the window, so that it is queued here at the worst.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

import grpc
from google.protobuf.message import Message
from tercet.v1.item_pb2 import Epoch
from tercet.v1.sync_pb2 import ExchangeRequest, ExchangeResponse
from tercet.v1.sync_service_pb2_grpc import SyncServiceStub

from .errors import ClientError, out_of_order

# How long the server may keep this client waiting.
STEP_TIMEOUT_S = 60


class Stream:
    """An exchange that begins. `epoch_begun`: new epochs may be told at any time, and count at once."""

    def __init__(self, server: str, timeout_s: float | None, epoch_begun: Callable[[Epoch], None]) -> None:
        self._epoch_begun = epoch_begun
        self._requests: asyncio.Queue[ExchangeRequest | None] = asyncio.Queue()
        self._put_off: deque[tuple[str, Message]] = deque()
        self._channel = grpc.aio.insecure_channel(server)
        self._call = SyncServiceStub(self._channel).Exchange(self._outgoing(), timeout=timeout_s)
        self._incoming = aiter(self._call)

    def send(self, **message: Message) -> None:
        """Sends one message, named as in ExchangeRequest."""
        self._requests.put_nowait(ExchangeRequest(**message))

    async def receive(self) -> tuple[str, Message]:
        """The next message, with its name in ExchangeResponse: one that was put off before, or one that comes."""
        return self._put_off.popleft() if self._put_off else await self._read()

    async def receive_only(self, *names: str) -> tuple[str, Message]:
        """The next message of these names. Others that come first are put off."""
        while True:
            name, message = await self._read()
            if name in names:
                return name, message
            self._put_off.append((name, message))

    async def finish(self) -> None:
        """Half-closes, and waits for the server's end of the stream."""
        self._requests.put_nowait(None)
        while await self._next() is not None:
            pass

    async def close(self) -> None:
        """Ends the call at once, where it has not ended."""
        self._call.cancel()
        await self._channel.close()

    async def _outgoing(self) -> AsyncIterator[ExchangeRequest]:
        while (request := await self._requests.get()) is not None:
            yield request

    async def _next(self) -> ExchangeResponse | None:
        try:
            return await asyncio.wait_for(anext(self._incoming, None), STEP_TIMEOUT_S)
        except asyncio.TimeoutError:
            raise ClientError("STALLED", "the server did not go on with the exchange") from None

    async def _read(self) -> tuple[str, Message]:
        while (response := await self._next()) is not None:
            name = response.WhichOneof("message")
            if name == "epoch_begun":
                self._epoch_begun(response.epoch_begun.epoch)
            # A message that this client does not know is none to it.
            elif name is not None:
                return name, getattr(response, name)
        raise out_of_order("the server ended the exchange before it was through")
