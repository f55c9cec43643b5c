"""The catalog's engines side by side: a million audit rows."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from statistics import median

from service.catalog import AuditLog, Database, Event, Replica, Result, Users, open_catalog
from service.catalog.actions import ACTIVITY_READ, EXPORT
from service.config import Catalog
from service.pools import Pool
from tests.bench import table
from tests.bench.run import Run
from tests.bench.table import Table
from tests.postgres import Postgres

ROWS = 1_000_000
TIMES = 40  # each, in each round
# One statement each for both engines; a million rows at once take longer than the service allows a statement.
SLICE = 20_000
ADD_AUDIT = """
    INSERT INTO audit_log (id, timestamp, user_id, action, resource, params, result, duration_ms, client_ip,
                           client_kind, correlation_id)
    SELECT md5(concat('row', n)), CAST($3 AS TIMESTAMP) + n * INTERVAL '7 seconds',
        CASE WHEN n % 4 < 2 THEN 'bench-admin' ELSE concat('admin', n % 20) END,
        CASE WHEN n % 2 = 0 THEN 'session_bulk_download_started' ELSE 'session_bulk_download' END,
        concat('users/u-', n % 5000, '/sessions'),
        CAST(concat('{"username": "user', n % 5000, '", "file_count": 200, "total_bytes": 281000000}') AS JSON),
        CASE WHEN n % 2 = 0 THEN 'started' ELSE 'success' END, 700, '10.0.0.1', 'curl', md5(concat('request', n / 2))
    FROM generate_series(CAST($1 AS BIGINT), CAST($2 AS BIGINT)) AS numbers(n)
"""
FIRST = datetime(2026, 1, 1)


def engines(run: Run) -> Iterator[Table]:
    """One table."""
    server = Postgres(durable=True)
    try:
        urls = {"DuckDB": str(run.scratch / "engines.duckdb"), "PostgreSQL": server.new_url()}
        measured = {name: asyncio.run(_measure(url, run.runs)) for name, url in urls.items()}
    finally:
        server.close()
    yield Table(
        f"catalog: engines, {ROWS:,} audit rows",
        "In the process of the service, without HTTP. A transfer is its started row and its outcome, both on disk.",
        ("what", *measured, "PostgreSQL / DuckDB"),
        [
            [what, *(table.time(times[what]) for times in measured.values()), table.digits(postgres / duckdb)]
            for what, duckdb, postgres in (
                (what, measured["DuckDB"][what], measured["PostgreSQL"][what]) for what in measured["DuckDB"]
            )
        ],
    )


async def _measure(url: str, rounds: int) -> dict[str, float]:
    database = await open_catalog(Catalog(url=url, memory_limit="1GB"), Pool("catalog", 4))
    try:
        await _fill(database)
        works = await _works(database)
        times: dict[str, list[float]] = {what: [] for what in works}
        for _ in range(rounds * TIMES):
            for what, work in works.items():
                began = time.perf_counter()
                await work()
                times[what].append(time.perf_counter() - began)
        return {what: median(taken) for what, taken in times.items()}
    finally:
        database.close()


async def _fill(database: Database) -> None:
    for first in range(0, ROWS, SLICE):
        await database.query(ADD_AUDIT, [first, first + SLICE - 1, FIRST])
    if not database.exclusive:
        await database.query("VACUUM ANALYZE")


async def _works(database: Database) -> dict[str, Callable[[], Awaitable[object]]]:
    audit, users = AuditLog(database), Users(database)
    replica = Replica(database, audit)
    await replica.register()

    async def transfer() -> None:
        started = _event(Result.STARTED)
        await replica.begin(started)
        await replica.end(started.id, [_event(Result.SUCCESS)])

    return {
        "user by id": lambda: users.find("u-1"),
        "audit row": lambda: audit.write(Event("a", ACTIVITY_READ, "users/u/activity", {}, Result.SUCCESS, "r")),
        "a transfer's rows": transfer,
        "activity page": lambda: audit.page("bench-admin", 50, 0),
        "activity count": lambda: audit.count("bench-admin"),
    }


def _event(result: Result) -> Event:
    return Event("bench", EXPORT, "users/u-1/sessions", {"username": "alice"}, result, "request")
