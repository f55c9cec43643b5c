"""Several transfers: one line each, and an exit code for all of them."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from service.cli import exits
from service.cli.show import Show, exit_code, size
from service.client import CannotSave, ClientError, Exported, NotAllowed
from service.client.client import OnProgress


class Take(Protocol):
    """`Client.export` or `Client.extract`."""

    async def __call__(
        self, user_id: str, path: Path, *, compression: str | None, progress: OnProgress
    ) -> Exported: ...


class Download(Protocol):
    """`Client.download` of a user."""

    async def __call__(self, session_file: str, path: Path, *, progress: OnProgress) -> int: ...


@dataclass
class Exports:
    """Exports of users, each into `directory`, under the user's id and `suffix`."""

    take: Take
    directory: Path
    suffix: str
    compression: str | None
    force: bool
    show: Show
    done: Counter[str] = field(default_factory=Counter)
    codes: set[int] = field(default_factory=set)

    async def run(self, users: Iterable[str], parallel: int) -> int:
        """Export them, so many at once; the exit code. What concerns all of them (the token, the disk) ends it."""
        users = list(users)
        places = asyncio.Semaphore(parallel)
        try:
            async with asyncio.TaskGroup() as group:
                for user in users:
                    group.create_task(self._one(user, places))
        except* (NotAllowed, CannotSave):
            pass  # told already, and counted
        if len(users) > 1:
            self.show.line(self._summary(len(users)))
        return self._code()

    async def _one(self, user: str, places: asyncio.Semaphore) -> None:
        path = self.directory / f"{file_name(user)}{self.suffix}"
        async with places:
            if path.exists() and not self.force:
                self.done["already there"] += 1
                self.show.line(f"{user}: already there, {path}")
                return
            try:
                with self.show.bar(user) as progress:
                    exported = await self.take(user, path, compression=self.compression, progress=progress)
            except ClientError as error:
                self.done["failed"] += 1
                self.codes.add(exit_code(error))
                self.show.error(f"{user}: {error}")
                if isinstance(error, NotAllowed | CannotSave):
                    raise
            else:
                self._exported(user, exported)

    def _exported(self, user: str, exported: Exported) -> None:
        self.done["exported"] += 1
        files = f"{exported.files} file{'' if exported.files == 1 else 's'}"
        self.show.line(f"{user}: {files}, {size(exported.text_bytes)}, {exported.path}")
        for skipped in exported.skipped:
            self.done["files skipped by the service"] += 1
            self.show.error(f"{user}: skipped {skipped.name}: {skipped.reason}")

    def _summary(self, users: int) -> str:
        not_done = users - sum(self.done[what] for what in ("exported", "already there", "failed"))
        counts = [(what, self.done[what]) for what in ("exported", "already there", "failed")]
        more = [("not done", not_done), ("files skipped by the service", self.done["files skipped by the service"])]
        return ", ".join(f"{count} {what}" for what, count in counts + [item for item in more if item[1]])

    def _code(self) -> int:
        if self.codes:
            return self.codes.pop() if len(self.codes) == 1 else exits.FAILED
        return exits.SKIPPED if self.done["files skipped by the service"] else 0


async def download_sessions(download: Download, paths: Iterable[Path], force: bool, show: Show) -> int:
    """One after the other, each to the path that ends in its name; the exit code."""
    for path in paths:
        if path.exists() and not force:
            show.line(f"{path.name}: already there, {path}")
            continue
        with show.bar(path.name) as progress:
            length = await download(path.name, path, progress=progress)
        show.line(f"{path.name}: {size(length)}, {path}")
    return 0


def file_name(user_id: str) -> str:
    """A file's name for any id: no separator, not hidden, and no two ids have the same."""
    quoted = quote(user_id, safe="@+ ")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted
