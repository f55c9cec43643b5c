"""The service as an object: its lists, one session, all of a user's.

What may be better in a moment is tried again: when the server says so (Retry-After), else after 1, 2, 4, ... seconds.
What is saved gets its final name when it is whole, and not before. Nothing is redirected: the token is for one server.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar
from urllib.parse import quote

import aiohttp
from aiohttp import hdrs
from yarl import URL

from service import __version__
from service.client.answers import json_of, number, reading, refusal
from service.client.errors import (
    BrokenOff,
    Damaged,
    Passing,
    Refused,
    Unavailable,
)
from service.client.members import Skipped
from service.client.rows import Activity, Row, Session, parsed
from service.client.saving import ArchiveFile, ExtractedFiles, PartialFile, Sink
from service.pools import Pool, settle

T = TypeVar("T")

PAGE = 200  # rows; the most that the API gives at once
BUFFER = 512 * 1024  # bytes received ahead of what is being saved
THREADS = 4  # that save and verify
LONGEST_WAIT = 600.0  # seconds; a server that asks for more is not waited for
CONNECT_TIMEOUT = 30  # seconds
SILENCE = 300  # seconds without a byte after which a connection is given up; longer than a place is waited for

CONTENT_RANGE = re.compile(r"bytes (?:([0-9]+)-[0-9]+|\*)/([0-9]+)")  # RFC 9110 section 14.4


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a transfer is, in bytes. For an export, `done` and `total` are uncompressed; `received` is what came."""

    received: int
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Exported:
    """A whole export: session files, their bytes, the bytes received, and what the server left out."""

    path: Path
    files: int
    text_bytes: int
    received: int
    skipped: tuple[Skipped, ...]
    seconds: float


OnProgress: TypeAlias = Callable[[Progress], None]
OnRetry: TypeAlias = Callable[[Passing, float], None]


class Client:
    """Use it as `async with Client(url, token) as client`. Methods raise ClientError and nothing else of the network.

    `url` is the service's, without `/api`. `retries` is how often a request is made again; `on_retry` is told why, and
    for how many seconds it waits.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        retries: int = 4,
        on_retry: OnRetry = lambda error, seconds: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._users = f"{url.rstrip('/')}/api/admin/users"
        self._headers = {
            hdrs.AUTHORIZATION: f"Bearer {token}",
            hdrs.USER_AGENT: f"session-export/{__version__}",
            hdrs.ACCEPT_ENCODING: "identity",
        }
        self._retries = retries
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=SILENCE)
        self._on_retry = on_retry
        self._sleep = sleep

    async def __aenter__(self) -> Self:
        self._pool = Pool("save", THREADS)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            headers=self._headers,
            timeout=self._timeout,
            read_bufsize=BUFFER,
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._http.close()
        self._pool.close()

    def sessions(self, user_id: str) -> AsyncGenerator[Session, None]:
        """All of a user's sessions, in the API's order."""
        return self._rows(Session, f"{_segment(user_id)}/sessions", "session_file")

    def activity(self, user_id: str) -> AsyncGenerator[Activity, None]:
        """All that a user did, newest first. To read it is itself written down, page by page."""
        return self._rows(Activity, f"{_segment(user_id)}/activity", "id")

    async def export(
        self,
        user_id: str,
        path: Path,
        *,
        compression: str | None = None,
        progress: OnProgress = lambda progress: None,
    ) -> Exported:
        """Save all of a user's sessions as the ZIP file `path`, which is replaced where it is there."""
        return await self._persist(lambda: self._export(ArchiveFile, user_id, path, compression, progress))

    async def extract(
        self,
        user_id: str,
        path: Path,
        *,
        compression: str | None = None,
        progress: OnProgress = lambda progress: None,
    ) -> Exported:
        """The same as files in the directory `path`, written while they arrive; no archive is kept."""
        return await self._persist(lambda: self._export(ExtractedFiles, user_id, path, compression, progress))

    async def download(
        self, user_id: str, session_file: str, path: Path, *, progress: OnProgress = lambda progress: None
    ) -> int:
        """Save one session as the file `path`; its bytes. What an earlier try left half there is gone on with, where
        the session has not changed since."""
        return await self._persist(lambda: self._download(user_id, session_file, path, progress))

    async def _rows(self, kind: type[Row], path: str, key: str) -> AsyncGenerator[Row, None]:
        offset, seen = 0, set[str]()
        while True:
            page = await self._persist(partial(self._page, path, offset))
            for row in page["rows"]:
                if row.get(key) not in seen:  # rows that came in meanwhile push others onto the next page
                    seen.add(row.get(key))
                    yield parsed(kind, row)
            offset += len(page["rows"])
            if not page["rows"] or offset >= page["pagination"]["total"]:
                return

    async def _page(self, path: str, offset: int) -> Any:
        async with self._get(path, params={"limit": PAGE, "offset": offset}) as response, reading():
            body = await json_of(response)
        if not isinstance(body, dict) or not {"rows", "pagination"} <= body.keys():
            raise Damaged("The server's answer is not a page of rows: is the URL that of Session Export?")
        return body

    async def _export(
        self,
        kind: Callable[[Path], Sink],
        user_id: str,
        path: Path,
        compression: str | None,
        progress: OnProgress,
    ) -> Exported:
        began = time.monotonic()
        params = {"compression": compression} if compression else {}
        async with self._get(f"{_segment(user_id)}/sessions/download-all", params=params) as response:
            sink = await self._pool.run_to_end(kind, lambda sink: sink.abandon(), path)
            try:
                received = await self._pour(response, sink, progress)
                await self._settled(self._pool.run(sink.finish))
            except BaseException:
                await settle(self._pool.run(sink.abandon))
                raise
        reader = sink.reader
        seconds = time.monotonic() - began
        return Exported(path, reader.files, reader.text_bytes, received, tuple(reader.skipped), seconds)

    async def _pour(self, response: aiohttp.ClientResponse, sink: Sink, progress: OnProgress) -> int:
        """From the socket to the sink, whose thread is one chunk behind; how many bytes it was."""
        total = number(response.headers.get("X-Export-Bytes"))
        received = 0
        step = self._pool.run(sink.write, b"")
        try:
            async with reading():
                async for chunk in response.content.iter_any():
                    await asyncio.shield(step)
                    step = self._pool.run(sink.write, chunk)
                    received += len(chunk)
                    progress(Progress(received, sink.reader.text_bytes, total))
            await asyncio.shield(step)
        finally:
            await settle(step)  # nothing is closed while a thread is in it
        progress(Progress(received, sink.reader.text_bytes, total))
        return received

    async def _download(self, user_id: str, session_file: str, path: Path, progress: OnProgress) -> int:
        part = await self._pool.run_to_end(PartialFile, lambda part: part.close(), path)
        try:
            asked = {"Range": f"bytes={part.size}-", "If-Range": f'"{part.tag}"'} if part.size else {}
            address = f"{_segment(user_id)}/sessions/{_segment(session_file)}/download"
            async with self._get(address, headers=asked, also={416}) as response:
                length = await self._continued(response, part)
                await self._append(response, part, length, progress)
            if part.size != length:
                raise BrokenOff(f"{session_file} ended after {part.size} of {length} bytes.")
            await self._settled(self._pool.run(part.finish))
        finally:
            await settle(self._pool.run(part.close))
        return length

    async def _continued(self, response: aiohttp.ClientResponse, part: PartialFile) -> int:
        """Make the part ready for what follows; the length of the whole. Where the server does not go on with what is
        there, it begins again."""
        tag = response.headers.get(hdrs.ETAG, "").removeprefix('"').removesuffix('"')
        match = CONTENT_RANGE.fullmatch(response.headers.get(hdrs.CONTENT_RANGE, ""))
        if response.status == HTTPStatus.OK:
            length = number(response.headers.get(hdrs.CONTENT_LENGTH))
            if length is None:
                raise Damaged("The server does not say how long the session is.")
            await self._settled(self._pool.run(part.restart, tag))
            return length
        if match and response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and int(match[2]) == part.size:
            return part.size  # it had come to its end already
        if match and response.status == HTTPStatus.PARTIAL_CONTENT and tag == part.tag and match[1] == str(part.size):
            return int(match[2])
        part.discard()
        raise BrokenOff("The server's part does not follow what is here; beginning again.")

    async def _append(
        self, response: aiohttp.ClientResponse, part: PartialFile, length: int, progress: OnProgress
    ) -> None:
        progress(Progress(part.size, part.size, length))
        if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return
        async with reading():
            async for chunk in response.content.iter_any():
                await self._settled(self._pool.run(part.write, chunk))
                progress(Progress(part.size, part.size, length))

    async def _settled(self, step: asyncio.Future[T]) -> T:
        """A step's result. Who is cancelled meanwhile waits for its end: nothing is closed while a thread is in it."""
        try:
            return await asyncio.shield(step)
        finally:
            await settle(step)

    async def _persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make an attempt, and again while it fails for what passes."""
        for tries in range(self._retries + 1):
            try:
                return await attempt()
            except Passing as error:
                seconds = 2.0**tries if error.retry_after is None else error.retry_after
                if tries == self._retries or seconds > LONGEST_WAIT:
                    raise
                self._on_retry(error, seconds)
                await self._sleep(seconds)
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def _get(
        self,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        also: Set[int] = frozenset(),
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A response whose status is 2xx or in `also`."""
        url = URL(f"{self._users}/{path}", encoded=True)
        try:
            response = await self._http.get(url, params=params, headers=headers, allow_redirects=False)
        except aiohttp.ClientSSLError as error:
            raise Refused(f"No safe connection to {url.origin()}: {error}.") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"{url.origin()} does not answer: {error or type(error).__name__}.") from error
        async with response:
            if (response.ok and response.status < 300) or response.status in also:
                yield response
            else:
                raise await refusal(response)


def _segment(text: str) -> str:
    """One segment of a path, whatever is in it (RFC 3986 section 3.3; dots alone would be another path)."""
    quoted = quote(text, safe="")
    return quoted.replace(".", "%2E") if not text.strip(".") else quoted
