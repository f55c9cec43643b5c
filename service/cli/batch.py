"""Runs several transfers: prints a line for each, and gives one exit code for all."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from service.cli.exit_codes import FAILED, SKIPPED
from service.cli.output import Output, exit_code
from service.cli.tables import format_count, format_size
from service.client import CannotSave, Client, ClientError, Exported, ExportOptions, NotAllowed, OnProgress

INCOMPLETE = ("files skipped by the service", "files still being written")


@dataclass(frozen=True, slots=True)
class ExportJob:
    """An export to a path: of one user, or across users if there is no id. `label` names it in output and the bar."""

    label: str
    user_id: str | None
    path: Path
    options: ExportOptions
    extract: bool = False


def user_archives(directory: Path, users: Sequence[str], options: ExportOptions) -> list[ExportJob]:
    return [ExportJob(user, user, directory / f"{file_name(user)}.zip", options) for user in users]


def user_directories(directory: Path, users: Sequence[str], options: ExportOptions) -> list[ExportJob]:
    return [ExportJob(user, user, directory / file_name(user), options, extract=True) for user in users]


def one_archive(path: Path, users: Sequence[str], options: ExportOptions) -> ExportJob:
    """One archive of these users; of all users if there are none."""
    selection = replace(options.selection, user_ids=tuple(users))
    return ExportJob(path.name, None, path, replace(options, selection=selection, manifest=False))


class Download(Protocol):
    """`Client.download`, bound to a user."""

    async def __call__(self, session_file: str, path: Path, *, progress: OnProgress) -> int: ...


@dataclass
class ExportBatch:
    """Runs jobs, prints a line for each, and adds up how they ended."""

    client: Client
    force: bool
    output: Output
    counts: Counter[str] = field(default_factory=Counter)
    codes: set[int] = field(default_factory=set)

    async def run(self, jobs: Sequence[ExportJob], parallel: int) -> int:
        """Run the jobs, `parallel` at once; return the exit code. A rejected token or a disk error ends the batch."""
        slots = asyncio.Semaphore(parallel)
        try:
            async with asyncio.TaskGroup() as group:
                for job in jobs:
                    group.create_task(self._export(job, slots))
        except* (NotAllowed, CannotSave):
            pass  # printed and counted where it was raised
        if len(jobs) > 1:
            self.output.line(self._summary(len(jobs)))
        return self._exit_code()

    async def _export(self, job: ExportJob, slots: asyncio.Semaphore) -> None:
        async with slots:
            if job.path.exists() and not self.force:
                self.counts["already there"] += 1
                self.output.line(f"{job.label}: already there, {job.path}")
                return
            save = self.client.extract if job.extract else self.client.export
            try:
                with self.output.bar(job.label) as progress:
                    exported = await save(job.user_id, job.path, job.options, progress=progress)
            except ClientError as error:
                self.counts["failed"] += 1
                self.codes.add(exit_code(error))
                self.output.error(f"{job.label}: {error}")
                if isinstance(error, NotAllowed | CannotSave):
                    raise
            else:
                self._report(job.label, exported)

    def _report(self, label: str, exported: Exported) -> None:
        self.counts["exported"] += 1
        content = f"{format_count(exported.files, 'file')}, {format_size(exported.text_bytes)}"
        self.output.line(f"{label}: {content}, {exported.path}")
        for skipped in exported.skipped:
            self.counts["files skipped by the service"] += 1
            self.output.error(f"{label}: skipped {skipped.name}: {skipped.reason}")
        for name in exported.still_written:
            self.counts["files still being written"] += 1
            self.output.error(f"{label}: still being written: {name}")

    def _summary(self, jobs: int) -> str:
        not_done = jobs - sum(self.counts[what] for what in ("exported", "already there", "failed"))
        counts = [(what, self.counts[what]) for what in ("exported", "already there", "failed")]
        more = [("not done", not_done)] + [(what, self.counts[what]) for what in INCOMPLETE]
        return ", ".join(f"{count} {what}" for what, count in counts + [item for item in more if item[1]])

    def _exit_code(self) -> int:
        if self.codes:
            return self.codes.pop() if len(self.codes) == 1 else FAILED
        return SKIPPED if any(self.counts[what] for what in INCOMPLETE) else 0


async def download_sessions(download: Download, paths: Iterable[Path], force: bool, output: Output) -> int:
    """Download sessions one after the other; the name of each is the last part of its path. Return the exit code."""
    for path in paths:
        if path.exists() and not force:
            output.line(f"{path.name}: already there, {path}")
            continue
        with output.bar(path.name) as progress:
            length = await download(path.name, path, progress=progress)
        output.line(f"{path.name}: {format_size(length)}, {path}")
    return 0


def file_name(user_id: str) -> str:
    """A file name for any user id: without a separator, not hidden, and unique for each id."""
    quoted = quote(user_id, safe="@+ ")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted
