"""The catalog: users, usage and the audit log, in DuckDB. SQL stands in this room only."""

from service.catalog.actions import Action, Result
from service.catalog.audit import AuditLog, AuditRow, Event
from service.catalog.database import CatalogError, CatalogUnusable, Database, utc
from service.catalog.usage import Usage, UsageRow
from service.catalog.users import User, Users

__all__ = [
    "Action",
    "AuditLog",
    "AuditRow",
    "CatalogError",
    "CatalogUnusable",
    "Database",
    "Event",
    "Result",
    "Usage",
    "UsageRow",
    "User",
    "Users",
    "utc",
]
