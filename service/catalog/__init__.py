"""The catalog: users, usage and the audit log, in DuckDB or PostgreSQL. Only this room contains SQL."""

from service.catalog.actions import Action, Result
from service.catalog.audit import AuditLog, AuditRow, Event
from service.catalog.audit_search import AfterRow, AuditQuery, AuditSearch
from service.catalog.database import CatalogError, CatalogUncertain, CatalogUnusable, Database, utc
from service.catalog.figures import Figures
from service.catalog.index import Facts, FileState, Index, IndexRow, RowsChanged
from service.catalog.merged import SessionRow
from service.catalog.opening import open_catalog
from service.catalog.replicas import Replica, Superseded
from service.catalog.search import DayCount, SessionSearch, Sort, Totals
from service.catalog.selection import Selection
from service.catalog.statement import After
from service.catalog.usage import Usage, UsageRow
from service.catalog.users import EmailTaken, User, Users

__all__ = [
    "Action",
    "After",
    "AfterRow",
    "AuditLog",
    "AuditQuery",
    "AuditRow",
    "AuditSearch",
    "CatalogError",
    "CatalogUncertain",
    "CatalogUnusable",
    "Database",
    "DayCount",
    "EmailTaken",
    "Event",
    "Facts",
    "Figures",
    "FileState",
    "Index",
    "IndexRow",
    "Replica",
    "Result",
    "RowsChanged",
    "Selection",
    "SessionRow",
    "SessionSearch",
    "Sort",
    "Superseded",
    "Totals",
    "Usage",
    "UsageRow",
    "User",
    "Users",
    "open_catalog",
    "utc",
]
