"""The keys of the parts in `request.app`, for handlers; `build_app` creates the parts."""

from aiohttp import web

from service.api.readiness import Readiness
from service.archive import Archives
from service.catalog import AuditLog, AuditSearch, Database, Replica
from service.config import Settings
from service.pools import Pool
from service.sessions import Directory, Indexer, Sessions
from service.store import SessionStore

SETTINGS = web.AppKey("settings", Settings)
AUDIT = web.AppKey("audit", AuditLog)
AUDIT_SEARCH = web.AppKey("audit_search", AuditSearch)
DATABASE = web.AppKey("database", Database)
CONFIG_POOL = web.AppKey("config_pool", Pool)
FILES_POOL = web.AppKey("files_pool", Pool)
ARCHIVES = web.AppKey("archives", Archives)
INDEX_POOL = web.AppKey("index_pool", Pool)
DEFLATE_POOL = web.AppKey("deflate_pool", Pool)
EXPORT_POOL = web.AppKey("export_pool", Pool)
READINESS = web.AppKey("readiness", Readiness)
REPLICA = web.AppKey("replica", Replica)
INDEXER = web.AppKey("indexer", Indexer)
DIRECTORY = web.AppKey("directory", Directory)
SESSIONS = web.AppKey("sessions", Sessions)
STORE = web.AppKey("store", SessionStore)
