"""Several transfers: a line for each, and one exit code for all."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from service.cli.exit_codes import FAILED, SKIPPED
from service.cli.output import Output, exit_code
from service.cli.tables import format_count, format_size
from service.client import CannotSave, ClientError, Exported, ExportOptions, NotAllowed, OnProgress

INCOMPLETE = ("files skipped by the service", "files still being written")


class Save(Protocol):
    """`Client.export` or `Client.extract`."""

    async def __call__(self, user_id: str, path: Path, options: ExportOptions, *, progress: OnProgress) -> Exported: ...


class Download(Protocol):
    """`Client.download` of a user."""

    async def __call__(self, session_file: str, path: Path, *, progress: OnProgress) -> int: ...


@dataclass
class ExportBatch:
    """Exports of users, each into `directory`, under the user's id and `suffix`."""

    save: Save
    options: ExportOptions
    directory: Path
    suffix: str
    force: bool
    output: Output
    counts: Counter[str] = field(default_factory=Counter)
    codes: set[int] = field(default_factory=set)

    async def run(self, users: Sequence[str], parallel: int) -> int:
        """Export them, `parallel` at once; return the exit code. An error of the token or the disk ends the batch."""
        slots = asyncio.Semaphore(parallel)
        try:
            async with asyncio.TaskGroup() as group:
                for user in users:
                    group.create_task(self._export(user, slots))
        except* (NotAllowed, CannotSave):
            pass  # printed and counted where it was raised
        if len(users) > 1:
            self.output.line(self._summary(len(users)))
        return self._exit_code()

    async def _export(self, user: str, slots: asyncio.Semaphore) -> None:
        path = self.directory / f"{file_name(user)}{self.suffix}"
        async with slots:
            if path.exists() and not self.force:
                self.counts["already there"] += 1
                self.output.line(f"{user}: already there, {path}")
                return
            try:
                with self.output.bar(user) as progress:
                    exported = await self.save(user, path, self.options, progress=progress)
            except ClientError as error:
                self.counts["failed"] += 1
                self.codes.add(exit_code(error))
                self.output.error(f"{user}: {error}")
                if isinstance(error, NotAllowed | CannotSave):
                    raise
            else:
                self._report(user, exported)

    def _report(self, user: str, exported: Exported) -> None:
        self.counts["exported"] += 1
        self.output.line(
            f"{user}: {format_count(exported.files, 'file')}, {format_size(exported.text_bytes)}, {exported.path}"
        )
        for skipped in exported.skipped:
            self.counts["files skipped by the service"] += 1
            self.output.error(f"{user}: skipped {skipped.name}: {skipped.reason}")
        for name in exported.still_written:
            self.counts["files still being written"] += 1
            self.output.error(f"{user}: still being written: {name}")

    def _summary(self, users: int) -> str:
        not_done = users - sum(self.counts[what] for what in ("exported", "already there", "failed"))
        counts = [(what, self.counts[what]) for what in ("exported", "already there", "failed")]
        more = [("not done", not_done)] + [(what, self.counts[what]) for what in INCOMPLETE]
        return ", ".join(f"{count} {what}" for what, count in counts + [item for item in more if item[1]])

    def _exit_code(self) -> int:
        if self.codes:
            return self.codes.pop() if len(self.codes) == 1 else FAILED
        return SKIPPED if any(self.counts[what] for what in INCOMPLETE) else 0


async def download_sessions(download: Download, paths: Iterable[Path], force: bool, output: Output) -> int:
    """Download one after the other, each to the path whose last part is its name; return the exit code."""
    for path in paths:
        if path.exists() and not force:
            output.line(f"{path.name}: already there, {path}")
            continue
        with output.bar(path.name) as progress:
            length = await download(path.name, path, progress=progress)
        output.line(f"{path.name}: {format_size(length)}, {path}")
    return 0


def file_name(user_id: str) -> str:
    """A file's name for any id: without a separator, not hidden, and different for different ids."""
    quoted = quote(user_id, safe="@+ ")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted
