"""An export on its way from the service to its destination, verified while it is saved."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiohttp

from service.client.connection import Connection
from service.client.manifest import Skipped
from service.client.options import ExportOptions
from service.client.progress import OnProgress, Progress
from service.client.reader import Reader
from service.client.responses import body_errors, parse_number
from service.client.steps import finish_step
from service.pools import Pool, settle


@dataclass(frozen=True, slots=True)
class Exported:
    """A complete export: its session files, the bytes of its members, the bytes received, and the names of files that
    the service skipped or that were being written (which only a manifest tells)."""

    path: Path
    files: int
    text_bytes: int
    received: int
    skipped: tuple[Skipped, ...]
    still_written: tuple[str, ...]
    seconds: float


class Destination(Protocol):
    """Where one export is saved. It ends with `finish` or `abandon`. All methods block."""

    reader: Reader

    def write(self, chunk: bytes) -> None:
        """Save and verify. Raises Damaged or CannotSave."""

    def finish(self) -> None:
        """Verify the end, and give it its final name. Raises Damaged or CannotSave."""

    def abandon(self) -> None:
        """Remove what was saved; does nothing after `finish`."""


class ExportTransfer:
    """Exports through one connection; the pool's threads save and verify."""

    def __init__(self, connection: Connection, pool: Pool) -> None:
        self._connection = connection
        self._pool = pool

    async def run(
        self,
        resource: str,
        path: Path,
        options: ExportOptions,
        progress: OnProgress,
        open_destination: Callable[[Path], Destination],
    ) -> Exported:
        """Make one attempt. After an error or a cancellation nothing is left at the destination."""
        began = time.monotonic()
        async with self._connection.get(resource, params=options.params()) as response:
            destination = await self._pool.run_to_end(open_destination, lambda opened: opened.abandon(), path)
            try:
                received = await self._save_body(response, destination, progress)
                await finish_step(self._pool.run(destination.finish))
            except BaseException:
                await settle(self._pool.run(destination.abandon))
                raise
        reader = destination.reader
        seconds = time.monotonic() - began
        return Exported(
            path,
            reader.files,
            reader.text_bytes,
            received,
            tuple(reader.skipped),
            tuple(reader.findings.still_written),
            seconds,
        )

    async def _save_body(self, response: aiohttp.ClientResponse, destination: Destination, progress: OnProgress) -> int:
        """Save the body, one chunk in the thread while the next one arrives; return the bytes received."""
        total = parse_number(response.headers.get("X-Export-Bytes"))
        received = 0
        step = self._pool.run(destination.write, b"")
        try:
            async with body_errors():
                async for chunk in response.content.iter_any():
                    await asyncio.shield(step)
                    step = self._pool.run(destination.write, chunk)
                    received += len(chunk)
                    progress(Progress(received, destination.reader.text_bytes, total))
            await asyncio.shield(step)
        finally:
            await settle(step)  # the destination must not be closed while a thread uses it
        progress(Progress(received, destination.reader.text_bytes, total))
        return received
