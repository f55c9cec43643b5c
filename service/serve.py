"""How the application is served: the address, and how it stops."""

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from service.api.auth import AUTHENTICATION
from service.api.parts import CONFIG_POOL, FILES_POOL, STORE
from service.api.protocol import Runner
from service.api.transfer import TRANSFERS, Transfers
from service.app import build_app
from service.banner import say_what_is_on
from service.config import Server, Settings
from service.limits import room_for_connections
from service.reload import Reload
from service.store import StoreUnavailable

log = logging.getLogger(__name__)

BACKLOG = 1024  # connections that wait for the loop; it takes them all in at once, beyond those that it has


async def serve(
    settings: Settings,
    on_ready: Callable[[str], None] = lambda url: None,
    *,
    config: Path | None = None,
    reloading: bool = True,
) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends it at once, with the audit rows written. `on_ready` gets the
    URL once it listens. `config`: the file that the settings came from, read again on SIGHUP and when it has changed;
    without `reloading` nothing is read again, and SIGHUP ends it too.

    Raises ConfigError, CatalogUnusable, or OSError when the address cannot be had.
    """
    app = build_app(settings)
    connections = _connections(settings.server)
    runner = Runner(app, max_connections=connections, idle_timeout=settings.server.idle_timeout)
    await runner.setup()
    reload = Reload(settings, config, app[AUTHENTICATION].use, app[CONFIG_POOL])
    stopping = _stop_signal(app[TRANSFERS], hang_up=reload.tell if reloading else None)
    try:
        site = web.TCPSite(runner, settings.server.host, settings.server.port, backlog=min(connections, BACKLOG))
        await site.start()
        url = _url(runner)
        say_what_is_on(settings, url)
        await _check_store(app, settings)
        on_ready(url)
        gc.freeze()  # what is there now stays, so no full collection, which stops every thread, looks at it again
        async with reload.watching() if reloading else contextlib.nullcontext():
            await stopping.wait()
        # Still listening: who comes now is told so, with a 503.
        await app[TRANSFERS].stop(settings.server.shutdown_timeout)
    finally:
        await runner.cleanup()
    log.info("stopped")


def _stop_signal(transfers: Transfers, hang_up: Callable[[], None] | None) -> asyncio.Event:
    """Set by SIGTERM and SIGINT, from now on: one that comes before the first request is served ends it as well.

    `hang_up` is what SIGHUP does; None: it stops too.
    """
    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set():
            log.warning("told to stop again: not waiting for running transfers")
            transfers.hurry()
        else:
            log.info("told to stop: letting running transfers end")
            stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hang_up or on_signal)
    return stopping


def _connections(server: Server) -> int:
    room = room_for_connections(server.max_connections)
    if room < server.max_connections:
        log.warning(
            "only %d connections at once, not server.max_connections (%d): raise the hard limit of open files",
            room,
            server.max_connections,
        )
    return room


def _url(runner: Runner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _check_store(app: web.Application, settings: Settings) -> None:
    try:
        await app[FILES_POOL].run(app[STORE].check)
    except StoreUnavailable as error:
        log.warning("%s Requests get 503 until %s is a directory: %s", error, settings.storage.root, error.__cause__)
