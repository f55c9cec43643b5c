"""A proxy in front of an S3 server that does what networks and busy servers do: it delays, cuts, refuses and lies."""

import asyncio
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

SLOW_DOWN = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: 78\r\n\r\n"
    b"<Error><Code>SlowDown</Code><Message>Please reduce your rate.</Message></Error>"
)


class Faults:
    """What the proxy does to the next responses; a count is lowered by each response that it concerns."""

    def __init__(self) -> None:
        self.delay = 0.0  # seconds
        self.slow_downs = 0  # responses that are 503 instead
        self.cuts = 0  # responses whose connection is reset in the middle of the body
        self.wrong_lengths = 0  # responses of which half is missing
        self.is_silent = False  # no request is answered
        self.idle_timeout: float | None = None  # seconds without a request after which a connection is closed
        self.idle_closes = 0
        self.open = 0  # connections
        self.requests = 0

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
        try:
            upstream, to_upstream = await asyncio.open_connection(host, port)
        except OSError:
            writer.close()
            return
        self.open += 1
        try:
            while await self._one(reader, writer, upstream, to_upstream):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except TimeoutError:
            self.idle_closes += 1
        finally:
            self.open -= 1
            to_upstream.close()
            writer.close()

    async def _one(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream: asyncio.StreamReader,
        to_upstream: asyncio.StreamWriter,
    ) -> bool:
        """One request without a body and its response; whether the connection can be used again."""
        async with asyncio.timeout(self.idle_timeout):
            request = await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        await asyncio.sleep(self.delay)
        while self.is_silent:
            await asyncio.sleep(0.01)
        if self.slow_downs:
            self.slow_downs -= 1
            writer.write(SLOW_DOWN)
            return True
        to_upstream.write(request)
        head = await upstream.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        body = b"" if request.startswith(b"HEAD") or length is None else await upstream.readexactly(int(length[1]))
        if self.cuts and len(body) > 1:
            self.cuts -= 1
            writer.write(head + body[: len(body) // 2])
            await writer.drain()
            await asyncio.sleep(0.02)  # a reset discards what the client has not received yet
            _reset(writer)
            return False
        if self.wrong_lengths and len(body) > 1:
            self.wrong_lengths -= 1
            writer.write(head + body[: len(body) // 2])
            return False
        writer.write(head + body)
        await writer.drain()
        return True


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def faulty(endpoint: str, faults: Faults) -> Iterator[str]:
    """The URL of a proxy in front of the server, with a thread and an event loop of its own."""
    target = urlsplit(endpoint)
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await faults.relay(reader, writer, str(target.hostname), target.port or 80)
        except asyncio.CancelledError:
            pass
        finally:
            tasks.discard(task)

    async def stop(server: asyncio.Server) -> None:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(accept, "127.0.0.1"), loop).result()
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            asyncio.run_coroutine_threadsafe(stop(server), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
