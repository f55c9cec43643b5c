"""The configuration, read again while the service runs: on SIGHUP, and when one of its files has changed.

What stands under `auth` is taken over at once; transfers under way go on. All else needs a restart, which is said.
When the files cannot be used, everything stays as it was, and that is said loudly.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

from service.config import ConfigError, Settings, load_settings
from service.pools import Pool, settle

log = logging.getLogger(__name__)

INTERVAL = 2.0  # seconds between two looks at the files
Use: TypeAlias = Callable[[Settings], Awaitable[None]]
Look: TypeAlias = tuple[tuple[int, int, int] | None, ...]


class Reload:
    """Reads `file` again and has `use` take over what it says of authentication."""

    def __init__(self, settings: Settings, file: Path | None, use: Use, pool: Pool) -> None:
        """`settings`: what the file said when it was read last. `pool`: where files are read."""
        self._started = self._settings = settings
        self._file = file
        self._use = use
        self._pool = pool
        self._told = asyncio.Event()

    def tell(self) -> None:
        """Read again now."""
        self._told.set()

    @asynccontextmanager
    async def watching(self, interval: float = INTERVAL) -> AsyncIterator[None]:
        """Look at the files each `interval` seconds, until the end of the block."""
        watching = asyncio.create_task(self._watch(interval, await self._look()))
        try:
            yield
        finally:
            watching.cancel()
            await settle(watching)

    async def _watch(self, interval: float, used: Look) -> None:
        seen = used
        while True:
            told = await self._told_within(interval)
            before, seen = seen, await self._look()
            # A file that changes is read when it has stood still for a while, so that none is read half written.
            if told or (seen != used and seen == before):
                used = seen
                await self.read()

    async def read(self) -> None:
        """Read the files and take over what they say, or keep what there is."""
        try:
            settings = await self._pool.run(load_settings, self._file)
            await self._use(settings)
        except (ConfigError, OSError) as error:
            _say_unusable()
            for line in str(error).splitlines():
                log.error("%s", line)  # noqa: TRY400 - the trace says nothing more
            return
        except Exception:  # whatever is wrong with a file, the next one is still to be read
            _say_unusable()
            log.exception("for a reason that nobody thought of")
            return
        self._settings = settings
        log.info("configuration read again; who may call is what it says now")
        waiting = [name for name in Settings.model_fields if getattr(settings, name) != getattr(self._started, name)]
        if waiting := [name for name in waiting if name != "auth"]:
            log.warning("changed, but taken over by a restart only: %s", ", ".join(waiting))

    async def _told_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), seconds)
        told = self._told.is_set()
        self._told.clear()
        return told

    async def _look(self) -> Look:
        jwt = self._settings.auth.jwt
        files = [file for file in (self._file, jwt.jwks_file if jwt else None) if file is not None]
        return await self._pool.run(_look_at, files)


def _say_unusable() -> None:
    log.error("the configuration cannot be used; who may call STAYS AS IT WAS until it is mended")


def _look_at(files: list[Path]) -> Look:
    """What tells a file from the one that stood there before; None where there is none."""
    looks: list[tuple[int, int, int] | None] = []
    for file in files:
        try:
            found = file.stat()
        except OSError:
            looks.append(None)
        else:
            looks.append((found.st_mtime_ns, found.st_size, found.st_ino))
    return tuple(looks)
