"""Copy a catalog into another, of any engine: users, usage and the audit log.

Rows whose key is in the target already are left unchanged, so a copy can be run again. Tables that the service fills
again by itself are not copied: the session index and the figures of archives.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from service.catalog.audit import AuditLog
from service.catalog.columns import pack, unpack
from service.catalog.database import CatalogError, Database
from service.catalog.replicas import Replica

BATCH = 2000  # rows of one statement


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is copied: its columns with their types, the key first."""

    name: str
    columns: dict[str, str]

    @property
    def key(self) -> str:
        return next(iter(self.columns))

    @property
    def count(self) -> str:
        """The statement that counts the rows."""
        return f"SELECT count(*) AS total FROM {self.name}"

    @property
    def page(self) -> str:
        """The statement for the next rows, ordered by key. Values are text, in a form that both engines share."""
        texts = ", ".join(f"CAST({name} AS VARCHAR) AS {name}" for name in self.columns)
        return f"""
            SELECT {texts} FROM {self.name}
            WHERE CAST($1 AS VARCHAR) IS NULL OR {self.key} > $1
            ORDER BY {self.name}.{self.key} LIMIT $2
        """

    @property
    def add(self) -> str:
        """The statement that adds the missing rows, and returns a row for each. Each parameter is a column."""
        values = ", ".join(
            f"{unpack(number, kind)} AS {name}" for number, (name, kind) in enumerate(self.columns.items(), 1)
        )
        return f"""
            INSERT INTO {self.name} ({", ".join(self.columns)})
            SELECT * FROM (SELECT {values}) AS new
            WHERE NOT EXISTS (SELECT 1 FROM {self.name} AS old WHERE old.{self.key} = new.{self.key})
            RETURNING 1
        """


USERS = Table(
    "users",
    {"id": "VARCHAR", "email": "VARCHAR", "name": "VARCHAR", "active": "BOOLEAN", "created_at": "TIMESTAMP"},
)
USAGE = Table(
    "usage_session_summary",
    {
        "session_file": "VARCHAR",
        "session_id": "VARCHAR",
        "username": "VARCHAR",
        "user_id": "VARCHAR",
        "started_at": "TIMESTAMP",
        "ended_at": "TIMESTAMP",
        "active_seconds": "INTEGER",
        "wall_seconds": "INTEGER",
        "tool_calls": "INTEGER",
        "tool_errors": "INTEGER",
        "primary_model": "VARCHAR",
        "processor_version": "INTEGER",
    },
)
AUDIT = Table(
    "audit_log",
    {
        "id": "VARCHAR",
        "timestamp": "TIMESTAMP",
        "user_id": "VARCHAR",
        "action": "VARCHAR",
        "resource": "VARCHAR",
        "params": "JSON",
        "result": "VARCHAR",
        "duration_ms": "INTEGER",
        "params_before": "JSON",
        "client_ip": "VARCHAR",
        "client_kind": "VARCHAR",
        "correlation_id": "VARCHAR",
    },
)


@dataclass(frozen=True, slots=True)
class Copied:
    """The result for a table: rows copied, rows that were in the target already, rows in the target now."""

    table: str
    copied: int
    present: int
    total: int


async def copy_catalog(source: Database, target: Database) -> AsyncIterator[Copied]:
    """Copy table by table. Raises CatalogError, also if the counts do not add up."""
    if source.exclusive:  # transfers that a dead server left get their outcome, which is copied too
        replica = Replica(source, AuditLog(source))
        await replica.register()
        await replica.leave()
    for table in (USERS, USAGE, AUDIT):
        yield await _copy_table(source, target, table)


async def _copy_table(source: Database, target: Database, table: Table) -> Copied:
    before = await _count(target, table)
    copied = read = 0
    last = None
    while rows := await source.query(table.page, [last, BATCH]):
        last = rows[-1][table.key]
        read += len(rows)
        columns = [pack(row[name] for row in rows) for name in table.columns]
        copied += len(await target.query(table.add, columns))
    in_source, in_target = await _count(source, table), await _count(target, table)
    if read < in_source or in_target < before + copied:
        raise CatalogError(
            f"{table.name}: the counts do not add up: {in_source} rows in the source, {read} read, {copied} copied; "
            f"the target had {before} and has {in_target}. Does something else change them? Run the copy again"
        )
    return Copied(table.name, copied, read - copied, in_target)


async def _count(database: Database, table: Table) -> int:
    (row,) = await database.query(table.count)
    total: int = row["total"]
    return total
