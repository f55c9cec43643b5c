"""The client: an object with a method for each list, download and export."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from service.client.archive_file import ArchiveFile
from service.client.audit_query import AuditQuery
from service.client.connection import Connection, OnRetry, Sleep
from service.client.exported import Exported
from service.client.extraction import ExtractedFiles
from service.client.options import ExportOptions
from service.client.pages import read_by_cursor, read_pages
from service.client.partial_file import PartialFile
from service.client.paths import download_path, export_path, path_segment
from service.client.progress import OnProgress, no_progress
from service.client.responses import read_json
from service.client.rows import Activity, FoundSession, Link, Row, Session, User, parse_row
from service.client.selection import EVERYTHING, Selection
from service.client.transfer import Transfer
from service.pools import Pool

THREADS = 4  # that save and verify
DEFAULTS = ExportOptions()
ALL_ROWS = AuditQuery()


class Client:
    """Use it as `async with Client(url, token) as client`. Methods raise ClientError for network errors too.

    `url` is the service's, without `/api`. `retries` is how often a request is retried; `on_retry` gets the error and
    the seconds until the retry. A file gets its final name only when it is complete.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        retries: int = 4,
        on_retry: OnRetry = lambda error, seconds: None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._connection = Connection(url, token, retries=retries, on_retry=on_retry, sleep=sleep)

    async def __aenter__(self) -> Self:
        self._pool = Pool("save", THREADS)
        self._connection.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connection.close()
        self._pool.close()

    def sessions(self, user_id: str, selection: Selection = EVERYTHING) -> AsyncGenerator[Session, None]:
        """A user's sessions, in the API's order."""
        path = f"users/{path_segment(user_id)}/sessions"
        return read_pages(self._connection, Session, path, "session_file", selection.params())

    def find(
        self, selection: Selection = EVERYTHING, *, sort: str = "started_at"
    ) -> AsyncGenerator[FoundSession, None]:
        """Sessions of all users, the greatest `sort` first: started_at, size_bytes or tool_errors."""
        params = [*selection.params(), ("sort", sort)]
        return read_by_cursor(self._connection, FoundSession, "sessions", params)

    def activity(self, user_id: str) -> AsyncGenerator[Activity, None]:
        """The audit rows of what a user did, newest first. Reading a page writes an audit row itself."""
        return read_pages(self._connection, Activity, f"users/{path_segment(user_id)}/activity", "id")

    def audit(self, query: AuditQuery = ALL_ROWS) -> AsyncGenerator[Activity, None]:
        """Rows of the audit log, newest first. Reading a page writes an audit row itself."""
        return read_by_cursor(self._connection, Activity, "audit", query.params())

    def users(self, text: str | None = None) -> AsyncGenerator[User, None]:
        """Users sorted by e-mail: all, or those with the text in their id, e-mail or name."""
        return read_pages(self._connection, User, "users", "user_id", [("q", text)] if text else ())

    async def save_user(self, user_id: str, email: str, name: str | None = None) -> User:
        """Create or change a user. Raises Refused if the e-mail belongs to another user or is not an e-mail."""
        body = {"email": email, "name": name}
        return await self._send("PUT", f"users/{path_segment(user_id)}", body, User)

    async def make_link(self, path: str, expires_in: int) -> Link:
        """Make a URL that gives access to `path` without a token, for `expires_in` seconds. `path` is a result of
        `export_path` or `download_path`."""
        return await self._send("POST", "links", {"path": f"/api/admin/{path}", "expires_in": expires_in}, Link)

    async def export(
        self,
        user_id: str | None,
        path: Path,
        options: ExportOptions = DEFAULTS,
        *,
        progress: OnProgress = no_progress,
    ) -> Exported:
        """Save a user's sessions as the ZIP file `path`, and replace an existing one. Without a `user_id`, those of all
        users, with a folder for each.

        The partial file of an earlier call is verified and resumed, unless the sessions or the options have changed.
        """
        return await self._export(user_id, options, progress, ArchiveFile, path)

    async def extract(
        self,
        user_id: str | None,
        path: Path,
        options: ExportOptions = DEFAULTS,
        *,
        progress: OnProgress = no_progress,
    ) -> Exported:
        """The same as files in the directory `path`, written while they arrive; no archive is kept, and only this call
        can resume it."""
        return await self._export(user_id, options, progress, ExtractedFiles, path)

    async def download(self, user_id: str, session_file: str, path: Path, *, progress: OnProgress = no_progress) -> int:
        """Save one session as the file `path`; return its size in bytes. The partial file of an earlier call is
        resumed, unless the session has changed since."""
        part = await self._pool.run_to_end(PartialFile, lambda part: part.close(), path)
        await Transfer(self._connection, self._pool, part, progress).run(download_path(user_id, session_file), ())
        return part.size

    async def _export(
        self,
        user_id: str | None,
        options: ExportOptions,
        progress: OnProgress,
        kind: Callable[[Path], ArchiveFile | ExtractedFiles],
        path: Path,
    ) -> Exported:
        began = time.monotonic()
        destination = await self._pool.run_to_end(kind, lambda opened: opened.close(), path)
        transfer = Transfer(self._connection, self._pool, destination, progress)
        await transfer.run(export_path(user_id), options.params(), snapshots=True)
        reader = destination.reader
        return Exported(
            path,
            reader.files,
            reader.text_bytes,
            destination.size,
            tuple(reader.skipped),
            tuple(reader.findings.still_written),
            time.monotonic() - began,
        )

    async def _send(self, method: str, path: str, body: Mapping[str, object], kind: type[Row]) -> Row:
        async def attempt() -> Row:
            async with self._connection.send(method, path, body) as response:
                return parse_row(kind, await read_json(response))

        return await self._connection.retry(attempt)
