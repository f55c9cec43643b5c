"""The configuration, read again while the service runs: on SIGHUP, and when one of its files has changed.

What stands under `auth` is taken over at once; transfers under way go on. All else needs a restart, which is said.
When the files cannot be used, everything stays as it was, and that is said loudly, and tried again now and then, as the
reason may pass by itself (no descriptors left, a key server that is down).
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
RETRY = 60.0  # seconds after which what could not be used is read again, though it has not changed
Use: TypeAlias = Callable[[Settings], Awaitable[None]]
Look: TypeAlias = dict[Path, tuple[int, int, int] | None]


class Reload:
    """Reads `file` again and has `use` take over what it says of authentication."""

    def __init__(self, settings: Settings, file: Path | None, use: Use, pool: Pool, looked: Look) -> None:
        """`settings`: what the file said when it was read last. `pool`: where files are read. `looked`: at the files
        before they were read, so that no change is missed."""
        self._started = self._settings = settings
        self._file = file
        self._use = use
        self._pool = pool
        self._looked = looked
        self._complaint = ""

    @asynccontextmanager
    async def watching(self, told: asyncio.Event, interval: float = INTERVAL) -> AsyncIterator[None]:
        """Look at the files each `interval` seconds, until the end of the block; whoever sets `told` wants them to be
        read now."""
        watching = asyncio.create_task(self._watch(told, interval))
        try:
            yield
        finally:
            watching.cancel()
            await settle(watching)

    async def _watch(self, told: asyncio.Event, interval: float) -> None:
        used = seen = self._looked
        loop = asyncio.get_running_loop()
        retry_at = float("inf")
        while True:
            now = await _told_within(told, interval)
            before, seen = seen, await self._pool.run(look_at, self._file, self._settings)
            # A file that changes is read when it has stood still for a while, so that none is read half written.
            if now or (seen != used and seen == before):
                self._complaint = ""
            elif loop.time() < retry_at or seen != before:
                continue
            used = seen
            retry_at = float("inf") if await self.read() else loop.time() + RETRY

    async def read(self) -> bool:
        """Read the files and take over what they say, or keep what there is; whether they could be used."""
        try:
            settings = await self._pool.run(load_settings, self._file)
            await self._use(settings)
        except (ConfigError, OSError) as error:
            self._complain(str(error))
            return False
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a file, the next one is still to be read
            self._complain("for a reason that nobody thought of", error)
            return False
        self._complaint = ""
        self._settings = settings
        log.info("configuration read again; who may call is what it says now")
        waiting = [name for name in Settings.model_fields if getattr(settings, name) != getattr(self._started, name)]
        if waiting := [name for name in waiting if name != "auth"]:
            log.warning("changed, but taken over by a restart only: %s", ", ".join(waiting))
        return True

    def _complain(self, complaint: str, trace: Exception | None = None) -> None:
        """Once, where the same goes wrong when it is tried again."""
        if complaint == self._complaint:
            return
        self._complaint = complaint
        log.error("the configuration cannot be used; who may call STAYS AS IT WAS until it is mended")
        for line in complaint.splitlines():
            log.error("%s", line, exc_info=trace)


async def _told_within(told: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(told.wait(), seconds)
    now = told.is_set()
    told.clear()
    return now


def look_at(file: Path | None, settings: Settings | None = None) -> Look:
    """What tells the file, and that of keys which `settings` name, from the ones that stood there before; None where
    there is none. Blocks."""
    jwt = settings.auth.jwt if settings else None
    return {one: _look_at(one) for one in (file, jwt.jwks_file if jwt else None) if one is not None}


def _look_at(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
