"""A wire between a client and a server that can be cut, held and damaged: a TCP proxy for tests."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import repeat
from types import TracebackType
from typing import Self

Damage = Callable[[int, bytes], bytes]


class Wire:
    """Each new connection takes the next of `cuts`: after so many bytes from the server it is closed, or reset, or held
    without a further byte; None lets all through. `damage` gets what the server sends, with its place in the
    connection, and returns what arrives."""

    def __init__(
        self,
        port: int | None,
        cuts: Iterator[int | None] | None = None,
        *,
        hold: bool = False,
        reset: bool = False,
        damage: Damage = lambda _place, data: data,
    ) -> None:
        self._port = port
        self._cuts = cuts or repeat(None)
        self._hold = hold
        self._reset = reset
        self._damage = damage
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.held = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        cut = next(self._cuts, None)
        server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        asking = asyncio.create_task(_copy(client, to_server))
        try:
            await self._answer(server, to_client, cut)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            to_server.transport.abort()
            to_client.transport.abort() if self._reset else to_client.close()

    async def _answer(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter, cut: int | None) -> None:
        place = 0
        while data := await server.read(65536):
            if cut is not None:
                data = data[: cut - place]
            to_client.write(self._damage(place, data))
            await to_client.drain()
            place += len(data)
            if place == cut:
                if self._hold:
                    self.held.set()
                    await asyncio.Event().wait()
                return


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()


def flipped(at: int) -> Damage:
    """One bit, in the byte that stands there in the connection."""

    def damage(place: int, data: bytes) -> bytes:
        if not place <= at < place + len(data):
            return data
        changed = bytearray(data)
        changed[at - place] ^= 0x10
        return bytes(changed)

    return damage
