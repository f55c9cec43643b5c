"""The service as an object: its lists, one session, all of a user's sessions."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from service.client.archive_file import ArchiveFile
from service.client.connection import Connection, OnRetry, Sleep, path_segment
from service.client.exported import Exported
from service.client.extraction import ExtractedFiles
from service.client.options import ExportOptions
from service.client.pages import read_pages
from service.client.partial_file import PartialFile
from service.client.progress import OnProgress, no_progress
from service.client.rows import Activity, Session
from service.client.transfer import Transfer
from service.pools import Pool

THREADS = 4  # that save and verify


class Client:
    """Use it as `async with Client(url, token) as client`. Methods raise ClientError and no error of the network.

    `url` is the service's, without `/api`. `retries` is how often a request is made again; `on_retry` gets the error
    and the seconds until then. A file gets its final name when it is complete, and not before.
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

    def sessions(self, user_id: str) -> AsyncGenerator[Session, None]:
        """All of a user's sessions, in the API's order."""
        return read_pages(self._connection, Session, f"users/{path_segment(user_id)}/sessions", "session_file")

    def activity(self, user_id: str) -> AsyncGenerator[Activity, None]:
        """All that a user did, newest first. Each page that is read is itself a row of the audit log."""
        return read_pages(self._connection, Activity, f"users/{path_segment(user_id)}/activity", "id")

    async def export(
        self,
        user_id: str,
        path: Path,
        options: ExportOptions = ExportOptions(),  # noqa: B008 - it cannot be changed
        *,
        progress: OnProgress = no_progress,
    ) -> Exported:
        """Save all of a user's sessions as the ZIP file `path`, and replace an existing one. What an earlier call left
        unfinished is verified and resumed, unless the sessions or the options have changed since."""
        return await self._export(user_id, options, progress, ArchiveFile, path)

    async def extract(
        self,
        user_id: str,
        path: Path,
        options: ExportOptions = ExportOptions(),  # noqa: B008 - it cannot be changed
        *,
        progress: OnProgress = no_progress,
    ) -> Exported:
        """The same as files in the directory `path`, written while they arrive; no archive is kept, and only this call
        can resume it."""
        return await self._export(user_id, options, progress, ExtractedFiles, path)

    async def download(self, user_id: str, session_file: str, path: Path, *, progress: OnProgress = no_progress) -> int:
        """Save one session as the file `path`; return its bytes. What an earlier call left unfinished is resumed,
        unless the session has changed since."""
        resource = f"users/{path_segment(user_id)}/sessions/{path_segment(session_file)}/download"
        part = await self._pool.run_to_end(PartialFile, lambda part: part.close(), path)
        await Transfer(self._connection, self._pool, part, progress).run(resource, ())
        return part.size

    async def _export(
        self,
        user_id: str,
        options: ExportOptions,
        progress: OnProgress,
        kind: Callable[[Path], ArchiveFile | ExtractedFiles],
        path: Path,
    ) -> Exported:
        began = time.monotonic()
        destination = await self._pool.run_to_end(kind, lambda opened: opened.close(), path)
        transfer = Transfer(self._connection, self._pool, destination, progress)
        await transfer.run(f"users/{path_segment(user_id)}/sessions/download-all", options.params(), snapshots=True)
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
