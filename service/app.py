"""The application: the one place where parts are made, joined and closed again, and how it is served."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from service import __version__
from service.api import add_routes
from service.api.admission import Admission
from service.api.auth import Tokens, guard
from service.api.errors import problems
from service.api.parts import (
    ADMISSION,
    AUDIT,
    COMPRESSION,
    DATABASE,
    DEFLATE_POOL,
    EXPORT_POOL,
    FILES_POOL,
    SESSIONS,
    STORE,
    USERS,
)
from service.api.protocol import Runner
from service.api.requests import mark_prepared, request_id
from service.api.transfer import TRANSFERS, Transfers, refuse_while_stopping
from service.catalog import AuditLog, Database, Usage, Users
from service.config import ConfigError, Settings
from service.pools import Pool
from service.sessions import Sessions
from service.store import LocalStore, StoreUnavailable

log = logging.getLogger(__name__)

NO_AUTHENTICATION = (
    "auth.tokens: no way to authenticate is configured, so nobody could call the service; "
    "make a token with `session-export token --user-id ID --admin` and put the lines it prints into config.yaml"
)


def build_app(settings: Settings) -> web.Application:
    """The application for these settings; nothing is opened before it starts up.

    Raises ConfigError when nobody could call it. Starting it up raises CatalogUnusable.
    """
    if not settings.auth.tokens:
        raise ConfigError(NO_AUTHENTICATION)
    app = web.Application(
        middlewares=[request_id, problems, guard(Tokens(settings.auth.tokens)), refuse_while_stopping]
    )
    app[COMPRESSION] = settings.exports.compression
    add_routes(app.router)
    app.on_response_prepare.append(mark_prepared)

    async def pools(app: web.Application) -> AsyncIterator[None]:
        app[FILES_POOL] = Pool("files", settings.storage.threads)
        app[DEFLATE_POOL] = Pool("deflate", settings.exports.threads or len(os.sched_getaffinity(0)))
        app[EXPORT_POOL] = Pool("export", settings.exports.max_concurrent)
        yield
        app[EXPORT_POOL].close()
        app[DEFLATE_POOL].close()
        app[FILES_POOL].close()

    async def catalog(app: web.Application) -> AsyncIterator[None]:
        pool = Pool("catalog", settings.catalog.threads)
        try:
            database = await pool.run(Database, settings.catalog.url, pool, settings.catalog.memory_limit)
        except BaseException:
            pool.close()
            raise
        app[DATABASE] = database
        app[USERS] = Users(database)
        app[AUDIT] = AuditLog(database)
        if unfinished := await app[AUDIT].close_unfinished():
            log.warning(
                "downloads that a dead server left unfinished, now in the audit log as interrupted: %d", unfinished
            )
        yield
        database.close()

    async def sessions(app: web.Application) -> AsyncIterator[None]:
        app[STORE] = LocalStore(settings.storage.root)
        app[SESSIONS] = Sessions(
            app[USERS], Usage(app[DATABASE]), app[STORE], app[FILES_POOL], settings.storage.layouts
        )
        app[ADMISSION] = Admission(settings.exports.max_concurrent, settings.exports.queue_timeout)
        app[TRANSFERS] = Transfers(app[AUDIT], settings.exports.stall_timeout)
        yield

    async def stop(app: web.Application) -> None:
        await app[TRANSFERS].stop(settings.server.shutdown_timeout)

    app.cleanup_ctx.extend([pools, catalog, sessions])
    app.on_shutdown.append(stop)
    return app


async def serve(settings: Settings, on_ready: Callable[[str], None] = lambda url: None) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends it at once, with the audit rows written. `on_ready` gets the
    URL once it listens.

    Raises ConfigError, CatalogUnusable, or OSError when the address cannot be had.
    """
    app = build_app(settings)
    runner = Runner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.server.host, settings.server.port, backlog=1024)
        await site.start()
        url = _url(runner)
        await _say_what_is_on(app, settings, url)
        on_ready(url)
        await _stop_signal(app[TRANSFERS])
        # Still listening: who comes now is told so, with a 503.
        await app[TRANSFERS].stop(settings.server.shutdown_timeout)
    finally:
        await runner.cleanup()
    log.info("stopped")


async def _stop_signal(transfers: Transfers) -> None:
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
    await stopping.wait()


def _url(runner: Runner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _say_what_is_on(app: web.Application, settings: Settings, url: str) -> None:
    log.info("Session Export %s listening on %s", __version__, url)
    log.info(
        "session root %s, layouts %s; catalog %s; static tokens: %d; at most %d exports at once",
        settings.storage.root,
        ", ".join(settings.storage.layouts),
        settings.catalog.url,
        len(settings.auth.tokens),
        settings.exports.max_concurrent,
    )
    try:
        await app[FILES_POOL].run(app[STORE].check)
    except StoreUnavailable as error:
        log.warning("%s Requests get 503 until %s is a directory: %s", error, settings.storage.root, error.__cause__)
