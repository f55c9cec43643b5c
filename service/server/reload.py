"""Reload: the configuration is read again while the service runs, on SIGHUP and when one of its files has changed.

A change of the section `auth` takes effect at once, without any effect on running transfers. Every other change needs a
restart, and a warning says so. If the files cannot be used, nothing changes; the error is logged, and reading is
retried, as the cause may pass by itself (no descriptors left, a key server that is down).
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

CHECK_INTERVAL = 2.0  # seconds between two checks for changes
RETRY_INTERVAL = 60.0  # seconds after which unusable files are read again, though they have not changed
Apply: TypeAlias = Callable[[Settings], Awaitable[None]]
# Modification time, size and inode of each file; None for a file that is missing.
FileStamps: TypeAlias = dict[Path, tuple[int, int, int] | None]


class Reload:
    """Reads `file` again and passes the settings to `apply`, which takes over their authentication."""

    def __init__(self, settings: Settings, file: Path | None, apply: Apply, pool: Pool, stamps: FileStamps) -> None:
        """`settings` are those last read from the file. `pool` runs the reading. `stamps` are of the time before the
        files were read, so that no change is missed."""
        self._started = self._settings = settings
        self._file = file
        self._apply = apply
        self._pool = pool
        self._stamps = stamps
        self._last_error = ""

    @asynccontextmanager
    async def watching(self, requested: asyncio.Event, interval: float = CHECK_INTERVAL) -> AsyncIterator[None]:
        """Check the files every `interval` seconds until the end of the block. Set `requested` to have them read at
        once."""
        watching = asyncio.create_task(self._watch(requested, interval))
        try:
            yield
        finally:
            watching.cancel()
            await settle(watching)

    async def _watch(self, requested: asyncio.Event, interval: float) -> None:
        used = seen = self._stamps
        loop = asyncio.get_running_loop()
        retry_at = float("inf")
        while True:
            is_requested = await _is_set_within(requested, interval)
            before, seen = seen, await self._pool.run(stamp_files, self._file, self._settings)
            # Read a changed file only once it stays the same for an interval: it may be half written.
            if is_requested or (seen != used and seen == before):
                self._last_error = ""
            elif loop.time() < retry_at or seen != before:
                continue
            used = seen
            retry_at = float("inf") if await self.read() else loop.time() + RETRY_INTERVAL

    async def read(self) -> bool:
        """Read the files and apply them; whether they could be used. If not, the settings stay as they are."""
        try:
            settings = await self._pool.run(load_settings, self._file)
            await self._apply(settings)
        except (ConfigError, OSError) as error:
            self._log_error(str(error))
            return False
        except Exception as error:  # noqa: BLE001 - whatever is wrong now, later changes must still be read
            self._log_error("unexpected error", error)
            return False
        self._last_error = ""
        self._settings = settings
        log.info("configuration read again; its authentication is in effect")
        changed = [name for name in Settings.model_fields if getattr(settings, name) != getattr(self._started, name)]
        if pending := [name for name in changed if name != "auth"]:
            log.warning("changed, but not in effect until a restart: %s", ", ".join(pending))
        return True

    def _log_error(self, message: str, trace: Exception | None = None) -> None:
        """Log the error, unless it is the same as the last time."""
        if message == self._last_error:
            return
        self._last_error = message
        log.error("the configuration cannot be used; authentication STAYS AS IT WAS until the error is fixed")
        for line in message.splitlines():
            log.error("%s", line, exc_info=trace)


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    is_set = event.is_set()
    event.clear()
    return is_set


def stamp_files(file: Path | None, settings: Settings | None = None) -> FileStamps:
    """The stamps of the file, and of the key file that `settings` name. A changed file has another stamp. Blocks."""
    jwt = settings.auth.jwt if settings else None
    return {one: _stamp(one) for one in (file, jwt.jwks_file if jwt else None) if one is not None}


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
