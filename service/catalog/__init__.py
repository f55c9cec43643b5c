"""The catalog: users, usage and the audit log, in DuckDB or PostgreSQL. SQL stands in this room only."""

from service.catalog.actions import Action, Result
from service.catalog.audit import AuditLog, AuditRow, Event
from service.catalog.database import CatalogError, CatalogUncertain, CatalogUnusable, Database, utc
from service.catalog.opening import open_catalog
from service.catalog.replicas import Replica, Superseded
from service.catalog.usage import Usage, UsageRow
from service.catalog.users import User, Users

__all__ = [
    "Action",
    "AuditLog",
    "AuditRow",
    "CatalogError",
    "CatalogUncertain",
    "CatalogUnusable",
    "Database",
    "Event",
    "Replica",
    "Result",
    "Superseded",
    "Usage",
    "UsageRow",
    "User",
    "Users",
    "open_catalog",
    "utc",
]
