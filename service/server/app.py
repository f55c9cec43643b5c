"""The application: the one place where the parts are created, connected and closed."""

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import AsyncIterator

from aiohttp import web

from service.api.errors import translate
from service.api.parts import (
    ARCHIVES,
    AUDIT,
    AUDIT_SEARCH,
    CONFIG_POOL,
    DATABASE,
    DEFLATE_POOL,
    DIRECTORY,
    EXPORT_POOL,
    FILES_POOL,
    INDEX_POOL,
    INDEXER,
    READINESS,
    REPLICA,
    SESSIONS,
    SETTINGS,
    STORE,
)
from service.api.readiness import Readiness
from service.api.routes import HEALTH, LINK_ROUTES, OPEN_ROUTES, add_routes
from service.archive import Archives
from service.auth import AUTHENTICATION, USERS, Authentication, check_authentication, guard
from service.catalog import (
    AuditLog,
    AuditSearch,
    CatalogError,
    Figures,
    Index,
    Replica,
    SessionSearch,
    Users,
    open_catalog,
)
from service.catalog.replicas import BEAT
from service.config import Settings
from service.console import OPEN_ROUTES as CONSOLE_ROUTES
from service.console import Console
from service.http.access import access_log
from service.http.body import MAX_BODY
from service.http.links import LINKS, Links
from service.http.problems import problems
from service.http.proxies import Proxies, locate_clients
from service.http.requests import OBSERVER, assign_request_id, on_prepare
from service.pools import Pool, settle
from service.server.metrics import METRICS, Metrics, served
from service.server.readings import watch_parts
from service.sessions import Background, Directory, Folders, Indexer, Sessions
from service.store import open_store
from service.transfers.admission import ADMISSION, Admission
from service.transfers.transfer import PROGRESS_INTERVAL, TRANSFERS, Transfers, refuse_while_stopping

log = logging.getLogger(__name__)


def build_app(settings: Settings) -> web.Application:
    """The application for these settings; nothing is opened before it starts up.

    Raises ConfigError if nobody could authenticate. Starting the application raises CatalogUnusable, and ConfigError if
    a key file cannot be used.
    """
    proxies = Proxies(settings.server.trusted_proxies, settings.server.forwarded_header)
    metrics = None if settings.metrics.port is None else Metrics()
    app = web.Application(
        middlewares=[
            access_log(metrics, HEALTH),
            assign_request_id,
            locate_clients(proxies),
            problems(translate),
            guard(OPEN_ROUTES | CONSOLE_ROUTES, LINK_ROUTES),
            refuse_while_stopping(HEALTH),
        ],
        client_max_size=MAX_BODY,
    )
    app[SETTINGS] = check_authentication(settings)
    app[METRICS] = app[OBSERVER] = metrics
    secret = settings.links.secret
    app[LINKS] = Links(secrets.token_bytes(32) if secret is None else secret.get_secret_value().encode())
    add_routes(app.router, console=settings.console.enabled)
    if settings.console.enabled:
        Console().add_routes(app.router)
    app.on_response_prepare.append(on_prepare)
    # Closed in reverse order.
    app.cleanup_ctx.extend([_pools, _authentication, _catalog, _sessions, _metrics, _progress])
    app.on_shutdown.append(_stop)
    return app


def _pool(app: web.Application, name: str, threads: int) -> Pool:
    metrics = app[METRICS]
    if metrics is None:
        return Pool(name, threads)
    pool = Pool(name, threads, metrics.pool(name))
    metrics.watch_pool(name, pool)
    return pool


async def _pools(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    app[CONFIG_POOL] = _pool(app, "config", 1)
    app[FILES_POOL] = _pool(app, "files", settings.storage.threads)
    app[INDEX_POOL] = _pool(app, "index", 1)
    app[DEFLATE_POOL] = _pool(app, "deflate", settings.exports.threads or len(os.sched_getaffinity(0)))
    app[EXPORT_POOL] = _pool(app, "export", settings.exports.max_concurrent)
    yield
    app[EXPORT_POOL].close()
    app[DEFLATE_POOL].close()
    app[INDEX_POOL].close()
    app[FILES_POOL].close()
    app[CONFIG_POOL].close()


async def _authentication(app: web.Application) -> AsyncIterator[None]:
    app[AUTHENTICATION] = authentication = Authentication(app[CONFIG_POOL])
    await authentication.use(app[SETTINGS])
    yield
    await authentication.close()


async def _catalog(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS].catalog
    app[DATABASE] = database = await open_catalog(settings, _pool(app, "catalog", settings.threads))
    app[USERS] = Users(database)
    app[AUDIT] = AuditLog(database)
    app[AUDIT_SEARCH] = AuditSearch(database)
    app[REPLICA] = replica = Replica(database, app[AUDIT])
    try:
        await replica.register()
    except BaseException:
        database.close()
        raise
    beating = asyncio.create_task(_beat(replica))
    yield
    beating.cancel()
    if pending := await replica.write_pending():
        log.error("outcomes not in the audit log, they will be written as interrupted: %d", pending)
    with contextlib.suppress(CatalogError):  # else the other replicas count this one as dead in half a minute
        await replica.leave()
    database.close()


async def _beat(replica: Replica) -> None:
    """Refresh the replica's row, and flush the pending audit rows, even if no other row is written."""
    while True:
        await asyncio.sleep(BEAT)
        try:
            await replica.beat()
            await replica.write_pending()
        except CatalogError as error:
            log.error("catalog: no heartbeat could be written: %s", error)  # noqa: TRY400


async def _sessions(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    app[STORE] = store = open_store(settings.storage, app[FILES_POOL])
    folders = Folders(app[USERS], app[STORE], settings.storage.layouts)
    background = Background(app[INDEX_POOL], lambda: app[TRANSFERS].running > 0)
    app[INDEXER] = indexer = Indexer(
        folders, Index(app[DATABASE]), background, app[FILES_POOL], settings.index.patience
    )
    search = SessionSearch(app[DATABASE])
    app[SESSIONS] = Sessions(app[USERS], folders, search, indexer, app[FILES_POOL])
    app[DIRECTORY] = Directory(app[USERS], folders, search, indexer, app[FILES_POOL])
    figures = Figures(app[DATABASE])
    app[ARCHIVES] = Archives(app[DEFLATE_POOL], app[EXPORT_POOL], app[FILES_POOL], figures)
    exports = settings.exports
    app[ADMISSION] = Admission(exports.max_concurrent, exports.max_per_caller, exports.queue_timeout)
    app[TRANSFERS] = Transfers(app[REPLICA], exports.stall_timeout)
    checks = {"catalog": app[REPLICA].check, "store": lambda: app[FILES_POOL].run(app[STORE].check)}
    app[READINESS] = Readiness(checks)
    indexing = None
    if settings.index.enabled:
        indexing = asyncio.create_task(indexer.run(settings.index.interval, app[REPLICA].leads))
    yield
    background.stop()
    if indexing is not None:
        indexing.cancel()
        await settle(indexing)
    await app[ARCHIVES].close()
    store.close()


async def _metrics(app: web.Application) -> AsyncIterator[None]:
    metrics, settings = app[METRICS], app[SETTINGS].metrics
    if metrics is None or settings.port is None:
        yield
        return
    watch_parts(metrics, app)
    watching = [asyncio.create_task(metrics.measure_lag()), asyncio.create_task(app[READINESS].watch())]
    async with served(metrics, settings.host, settings.port) as url:
        log.info("metrics at %s", url)
        yield
    for task in watching:
        task.cancel()


async def _progress(app: web.Application) -> AsyncIterator[None]:
    async def log_progress() -> None:
        while True:
            await asyncio.sleep(PROGRESS_INTERVAL / 4)
            app[TRANSFERS].log_progress()

    logging_progress = asyncio.create_task(log_progress())
    yield
    logging_progress.cancel()


async def _stop(app: web.Application) -> None:
    await app[TRANSFERS].stop(app[SETTINGS].server.shutdown_timeout)
