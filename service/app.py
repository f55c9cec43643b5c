"""The application: the one place where parts are made, joined and closed again."""

import logging
import os
from collections.abc import AsyncIterator

from aiohttp import web

from service.api import add_routes
from service.api.admission import Admission
from service.api.auth import Tokens, guard
from service.api.errors import problems
from service.api.parts import (
    ADMISSION,
    AUDIT,
    DATABASE,
    DEFLATE_POOL,
    EXPORT_POOL,
    FILES_POOL,
    SESSIONS,
    SETTINGS,
    STORE,
    USERS,
)
from service.api.requests import mark_prepared, request_id
from service.api.transfer import TRANSFERS, Transfers, refuse_while_stopping
from service.catalog import AuditLog, Database, Usage, Users
from service.config import ConfigError, Settings
from service.pools import Pool
from service.sessions import Sessions
from service.store import LocalStore

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
    app[SETTINGS] = settings
    add_routes(app.router)
    app.on_response_prepare.append(mark_prepared)
    app.cleanup_ctx.extend([_pools, _catalog, _sessions])  # closed in the opposite order
    app.on_shutdown.append(_stop)
    return app


async def _pools(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    app[FILES_POOL] = Pool("files", settings.storage.threads)
    app[DEFLATE_POOL] = Pool("deflate", settings.exports.threads or len(os.sched_getaffinity(0)))
    app[EXPORT_POOL] = Pool("export", settings.exports.max_concurrent)
    yield
    app[EXPORT_POOL].close()
    app[DEFLATE_POOL].close()
    app[FILES_POOL].close()


async def _catalog(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS].catalog
    pool = Pool("catalog", settings.threads)
    try:
        database = await pool.run(Database, settings.url, pool, settings.memory_limit)
    except BaseException:
        pool.close()
        raise
    app[DATABASE] = database
    app[USERS] = Users(database)
    app[AUDIT] = AuditLog(database)
    if unfinished := await app[AUDIT].close_unfinished():
        log.warning("downloads that a dead server left unfinished, now in the audit log as interrupted: %d", unfinished)
    yield
    database.close()


async def _sessions(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    app[STORE] = LocalStore(settings.storage.root)
    usage = Usage(app[DATABASE])
    app[SESSIONS] = Sessions(app[USERS], usage, app[STORE], app[FILES_POOL], settings.storage.layouts)
    app[ADMISSION] = Admission(settings.exports.max_concurrent, settings.exports.queue_timeout)
    app[TRANSFERS] = Transfers(app[AUDIT], settings.exports.stall_timeout)
    yield


async def _stop(app: web.Application) -> None:
    await app[TRANSFERS].stop(app[SETTINGS].server.shutdown_timeout)
