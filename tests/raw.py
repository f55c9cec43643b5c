"""Requests byte by byte over a connection of one's own: what no client would send, and what came back."""

import asyncio
import http.client
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.world import ADMIN


@dataclass
class Reply:
    """An answer that was read to its end, the chunks of its body joined."""

    version: int
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def visible(self) -> tuple[int, list[tuple[str, str]], bytes]:
        """All that a caller can tell two answers apart by, but for what differs between any two."""
        headers = [(name, value) for name, value in self.headers.items() if name not in ("X-Request-ID", "Date")]
        return self.status, headers, self.body


class Wire:
    """One connection, kept open from one request to the next."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, target: str | bytes, *headers: str | bytes, method: str = "GET", token: str = ADMIN) -> Reply:
        """Send the target and the header lines as they stand."""
        lines = [b"%s %s HTTP/1.1" % (method.encode(), _bytes(target)), b"Host: test", *map(_bytes, headers)]
        if token:
            lines.append(f"Authorization: Bearer {token}".encode())
        return await self.send(b"\r\n".join(lines) + b"\r\n\r\n", method)

    async def send(self, request: bytes, method: str = "GET") -> Reply:
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        whole = head + await self._body(head.lower(), method)
        response = http.client.HTTPResponse(_Socket(whole), method=method)  # type: ignore[arg-type]
        response.begin()
        return Reply(response.version, response.status, response.headers, response.read())

    async def _body(self, head: bytes, method: str) -> bytes:
        if method == "HEAD" or b" 304 " in head[:14]:
            return b""
        if b"transfer-encoding: chunked" in head:
            body, size = b"", b""
            while size != b"0\r\n":
                size = await self.reader.readuntil(b"\r\n")
                body += size + await self.reader.readexactly(int(size, 16) + 2)
            return body
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return await self.reader.readexactly(int(length))


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


@asynccontextmanager
async def wire(port: int | None) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


def _bytes(text: str | bytes) -> bytes:
    return text.encode("latin-1") if isinstance(text, str) else text
