"""How the application is served: the address, and how it stops."""

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
from service.server.reload import Look, Reload, look_at
from service.server.startup import say_what_is_on
from service.store import StoreUnavailable
from service.transfers.transfer import TRANSFERS

log = logging.getLogger(__name__)

BACKLOG = 1024  # connections that wait for the loop; it takes them all in at once, beyond those that it has


async def serve(
    settings: Settings,
    on_ready: Callable[[str], None] = lambda url: None,
    *,
    config: Path | None = None,
    looked: Look | None = None,
    reloading: bool = True,
) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends it at once, with the audit rows written. `on_ready` gets the
    URL once it listens. `config`: the file that the settings came from, read again on SIGHUP and when it has changed
    since `looked`, which is of before it was read; without `reloading` nothing is read again, and SIGHUP ends it too.

    Raises ConfigError, CatalogUnusable, or OSError when the address cannot be had.
    """
    app = build_app(settings)
    stopping, hung_up = _signals(app, reloading=reloading)
    looked = look_at(config, settings) | (looked or {})
    descriptors = raise_descriptors(descriptors_needed(settings))
    connections = room_for_connections(descriptors, settings.server.max_connections)
    runner = Runner(app, max_connections=connections, idle_timeout=settings.server.idle_timeout)
    try:
        await runner.setup()
        if not stopping.is_set():
            site = web.TCPSite(runner, settings.server.host, settings.server.port, backlog=min(connections, BACKLOG))
            await site.start()
            url = _url(runner)
            say_what_is_on(settings, url, descriptors)
            await _check_store(app, settings)
            await _log_unassigned(app)
            on_ready(url)
            gc.freeze()  # what is there now stays, so no full collection, which stops all threads, looks at it again
            reload = Reload(settings, config, app[AUTHENTICATION].use, app[CONFIG_POOL], looked)
            async with reload.watching(hung_up) if reloading else contextlib.nullcontext():
                await stopping.wait()
            # Still listening: who comes now is told so, with a 503.
            await app[TRANSFERS].stop(settings.server.shutdown_timeout)
    finally:
        await runner.cleanup()
    log.info("stopped")


def _signals(app: web.Application, *, reloading: bool) -> tuple[asyncio.Event, asyncio.Event]:
    """Set by SIGTERM and SIGINT, and by SIGHUP, from now on: one that comes during the start is not lost, and does not
    end the process in the middle of it.

    Without `reloading` SIGHUP stops too.
    """
    stopping, hung_up = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        if not stopping.is_set():
            log.info("told to stop: letting running transfers end")
            stopping.set()
        elif TRANSFERS in app:
            log.warning("told to stop again: not waiting for running transfers")
            app[TRANSFERS].hurry()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    loop.add_signal_handler(signal.SIGHUP, hung_up.set if reloading else on_signal)
    return stopping, hung_up


def _url(runner: Runner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _check_store(app: web.Application, settings: Settings) -> None:
    try:
        await app[FILES_POOL].run(app[STORE].check)
    except StoreUnavailable as error:
        log.warning("%s Requests get 503 until %s can be read: %s", error, settings.storage.root, error.__cause__)


async def _log_unassigned(app: web.Application) -> None:
    """Files that nobody would find otherwise."""
    with contextlib.suppress(StoreUnavailable, CatalogError):  # the start has said so, or the next request does
        if count := await app[DIRECTORY].count_unassigned():
            log.warning(
                "directories under the session root that belong to no user: %d; see GET /api/admin/unassigned", count
            )
