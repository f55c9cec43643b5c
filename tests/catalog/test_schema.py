"""The schema is made, kept, and rejected if it is newer; other columns do not matter."""

from datetime import UTC, datetime

import pytest

from service.catalog import AuditLog, CatalogError, CatalogUnusable, Database, Event, Result, SessionSearch, User, Users
from service.catalog.actions import ACTIVITY_READ
from service.catalog.schema import VERSION
from tests.catalog.opened import opened
from tests.engines import both_engines

pytestmark = both_engines

FOREIGN_TABLES = """
    CREATE TABLE users (extra INT, id VARCHAR PRIMARY KEY, email VARCHAR UNIQUE NOT NULL, name VARCHAR,
        team VARCHAR DEFAULT 'x', active BOOLEAN NOT NULL DEFAULT TRUE, created_at TIMESTAMPTZ);
    CREATE TABLE usage_session_summary (cost DOUBLE PRECISION, name VARCHAR DEFAULT 'n', bare_name VARCHAR,
        session_file VARCHAR PRIMARY KEY, session_id VARCHAR, username VARCHAR, user_id VARCHAR,
        started_at TIMESTAMPTZ, ended_at TIMESTAMP, active_seconds INT, wall_seconds INT, tool_calls INT,
        tool_errors INT, primary_model VARCHAR, processor_version INT);
    CREATE TABLE audit_log (id VARCHAR, timestamp TIMESTAMPTZ, user_id VARCHAR, action VARCHAR, resource VARCHAR,
        params JSON, result VARCHAR, duration_ms INT, params_before JSON, client_ip VARCHAR, client_kind VARCHAR,
        correlation_id VARCHAR, tenant VARCHAR, request VARCHAR DEFAULT 'r', is_start BOOLEAN, outcomes INT DEFAULT 9);
    INSERT INTO audit_log (id, timestamp, user_id, action, params)
        VALUES ('1', '2026-05-10 14:00:00+02', 'user9', 'session_download_started', '{}');
    INSERT INTO usage_session_summary (session_file, username, started_at)
        VALUES ('a.jsonl', 'u', '2026-05-10 14:00:00+02'), ('d/a.jsonl', 'u', NULL), ('b.jsonl', 'u', '12000-01-01');
"""


async def test_the_schema_is_made_at_the_first_start_and_kept(catalog_url: str) -> None:
    first = await opened(catalog_url)
    await Users(first).add([User("u", "u@example.com", None)])
    first.close()
    first.close()  # may be called twice
    with pytest.raises(CatalogError, match="closed"):
        await Users(first).find("u")
    second = await opened(catalog_url)
    assert await Users(second).find("u") == User("u", "u@example.com", None)
    second.close()


async def test_a_newer_schema_is_refused_with_what_to_do(database: Database, catalog_url: str) -> None:
    await database.query("DELETE FROM schema_version")
    await database.query("INSERT INTO schema_version VALUES ($1)", [VERSION + 1])
    database.close()
    with pytest.raises(CatalogUnusable, match=f"version {VERSION + 1}, .* a newer release has used it; run that one"):
        await opened(catalog_url)


async def test_tables_with_more_columns_work(database: Database, catalog_url: str) -> None:
    for table in ("users", "usage_session_summary", "audit_log", "schema_version"):
        await database.query(f"DROP TABLE {table}")
    for statement in filter(str.strip, FOREIGN_TABLES.split(";")):
        await database.query(statement)
    database.close()
    database = await opened(catalog_url)
    await Users(database).add([User("u", "u@example.com", "U")])
    names, (late, row) = await SessionSearch(database).page("u", ("u", None), 10, 0)
    assert names == {"a.jsonl", "b.jsonl"}
    assert row.started_at == datetime(2026, 5, 10, 12, tzinfo=UTC)
    assert late.started_at == datetime.max.replace(tzinfo=UTC), "databases hold times that Python does not"
    audit = AuditLog(database)
    await audit.write(Event("user0", ACTIVITY_READ, "resource", {"n": 0}, Result.SUCCESS, "id"))
    (written,) = await audit.page("user0", 10, 0)
    assert written.params == {"n": 0}
    database.close()
