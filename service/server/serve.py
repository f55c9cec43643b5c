"""Serving the application: listening, signals, and the orderly stop."""

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from service.api.parts import CONFIG_POOL, DIRECTORY, FILES_POOL, STORE
from service.auth import AUTHENTICATION
from service.catalog import CatalogError
from service.config import Settings
from service.http.protocol import Runner
from service.server.app import build_app
from service.server.descriptors import descriptors_needed, raise_descriptors, room_for_connections
from service.server.memory import use_one_arena
from service.server.reload import FileStamps, Reload, stamp_files
from service.server.startup import log_startup_summary
from service.store import StoreUnavailable
from service.transfers.transfer import TRANSFERS

log = logging.getLogger(__name__)

# Collections of the middle generation between two full ones; Python's default is 10. Full ones took a tenth of the time
# before the first byte of an export across 10,000 users.
FULL_COLLECTION = 50
BACKLOG = 1024  # connections that wait to be accepted; the event loop then accepts all of them at once


async def serve(
    settings: Settings,
    on_ready: Callable[[str], None] = lambda url: None,
    *,
    config: Path | None = None,
    stamps: FileStamps | None = None,
    reloading: bool = True,
) -> None:
    """Serve until SIGTERM or SIGINT. A second signal breaks off running transfers; their audit rows are still written.

    `on_ready` gets the URL once the service listens. `config` is the file of the settings, and `stamps` is of the time
    before it was read: it is read again on SIGHUP, and when it has changed since. Without `reloading` it is never read
    again, and SIGHUP stops the service.

    Raises ConfigError, CatalogUnusable, or OSError when the address cannot be had.
    """
    use_one_arena()
    app = build_app(settings)
    stopping, reload_requested = _signals(app, reloading=reloading)
    stamps = stamp_files(config, settings) | (stamps or {})
    descriptors = raise_descriptors(descriptors_needed(settings))
    connections = room_for_connections(descriptors, settings.server.max_connections)
    runner = Runner(app, max_connections=connections, idle_timeout=settings.server.idle_timeout)
    try:
        await runner.setup()
        if not stopping.is_set():
            site = web.TCPSite(runner, settings.server.host, settings.server.port, backlog=min(connections, BACKLOG))
            await site.start()
            url = _url(runner)
            log_startup_summary(settings, url, descriptors)
            await _check_store(app, settings)
            await _log_unassigned(app)
            on_ready(url)
            # Full collections stop all threads. So they leave out the objects of the start, which stay, and are rarer.
            gc.freeze()
            gc.set_threshold(*gc.get_threshold()[:2], FULL_COLLECTION)
            reload = Reload(settings, config, app[AUTHENTICATION].use, app[CONFIG_POOL], stamps)
            async with reload.watching(reload_requested) if reloading else contextlib.nullcontext():
                await stopping.wait()
            # Still listening: new requests get a 503.
            await app[TRANSFERS].stop(settings.server.shutdown_timeout)
    finally:
        await runner.cleanup()
    log.info("stopped")


def _signals(app: web.Application, *, reloading: bool) -> tuple[asyncio.Event, asyncio.Event]:
    """Events for a stop (SIGTERM, SIGINT) and a reload (SIGHUP). They are set from now on, so a signal during the start
    is neither lost nor ends the process in the middle of it. Without `reloading` SIGHUP means a stop too.
    """
    stopping, reload_requested = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        if not stopping.is_set():
            log.info("stopping: letting running transfers end")
            stopping.set()
        elif TRANSFERS in app:
            log.warning("stopping at once: not waiting for running transfers")
            app[TRANSFERS].hurry()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    loop.add_signal_handler(signal.SIGHUP, reload_requested.set if reloading else on_signal)
    return stopping, reload_requested


def _url(runner: Runner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _check_store(app: web.Application, settings: Settings) -> None:
    try:
        await app[FILES_POOL].run(app[STORE].check)
    except StoreUnavailable as error:
        log.warning("%s Requests get 503 until %s can be read: %s", error, settings.storage.root, error.__cause__)


async def _log_unassigned(app: web.Application) -> None:
    """Log how many directories belong to no user: their files are in no list."""
    with contextlib.suppress(StoreUnavailable, CatalogError):  # logged at the start already, or by the next request
        if count := await app[DIRECTORY].count_unassigned():
            log.warning(
                "directories under the session root that belong to no user: %d; see GET /api/admin/unassigned", count
            )
