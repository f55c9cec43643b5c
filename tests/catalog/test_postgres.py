"""PostgreSQL that is wrong, slow, away, frozen, or behind PgBouncer."""

import asyncio
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from shutil import which

import pytest

from service.catalog import AuditLog, CatalogError, CatalogUnusable, Database, Event, Replica, Result, Users
from service.catalog.actions import ACTIVITY_READ
from service.catalog.database import now
from service.config import Catalog
from service.pools import Pool
from tests.catalog.opened import opened
from tests.postgres import Postgres

pytestmark = pytest.mark.parametrize("catalog_url", ["postgres"], indirect=True)


def event() -> Event:
    return Event("u", ACTIVITY_READ, "resource", {}, Result.SUCCESS, "id")


@pytest.fixture
async def impatient(catalog_url: str) -> AsyncIterator[Database]:
    """A catalog that waits a second at most."""
    from service.catalog.postgres import PostgresDatabase

    pool = Pool("catalog", 4)
    made = await pool.run(PostgresDatabase, catalog_url, "postgresql://shown", pool, 1)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (("/postgres?", "/nowhere?"), "make it with createdb"),
        (("postgres@", "needs_password:secret-1@"), "check the user and the password"),
        (("postgres@", "nobody_here:secret-1@"), 'role "nobody_here" does not exist'),
        (("postgres@", "powerless@"), "grant the role USAGE and CREATE"),
        (("127.0.0.1:", "127.0.0.1:1"), "port"),
        (("?options", "?optoins"), "invalid URI query parameter"),
    ],
)
async def test_a_database_that_cannot_be_used_is_one_clear_line_without_the_password(
    catalog_url: str, postgres: Postgres, changed: tuple[str, str], told: str
) -> None:
    for role in ("powerless", "needs_password"):
        postgres.sql(f"DROP ROLE IF EXISTS {role}", f"CREATE ROLE {role} LOGIN PASSWORD 'another'")
    with pytest.raises(CatalogUnusable) as unusable:
        await opened(catalog_url.replace(*changed))
    line = str(unusable.value)
    assert line.startswith("catalog postgresql://")
    assert told in line
    assert "\n" not in line
    assert "secret-1" not in line
    assert "secret-1" not in Catalog(url=catalog_url.replace(*changed)).shown


async def test_several_replicas_that_start_at_once_make_one_schema(catalog_url: str) -> None:
    databases = await asyncio.gather(*(opened(catalog_url, threads=1) for _ in range(6)))
    assert await databases[0].query("SELECT count(*) AS n FROM schema_version") == [{"n": 1}]
    for database in databases:
        database.close()


async def test_rows_that_came_before_their_counts_are_counted(database: Database, catalog_url: str) -> None:
    """A catalog of version 3, which had no table of counts."""
    for statement in ("DROP TRIGGER audit_log_counted ON audit_log", "DROP TABLE audit_totals"):
        await database.query(statement)
    await AuditLog(database).write(event())
    await database.query("UPDATE schema_version SET version = 3")
    again = await opened(catalog_url)
    await AuditLog(again).write(event())
    assert await AuditLog(again).count("u") == 2
    again.close()


async def test_a_role_that_may_make_nothing_is_enough_once_the_tables_are_there(
    catalog_url: str, postgres: Postgres
) -> None:
    (await opened(catalog_url)).close()
    schema = catalog_url.rpartition("%3D")[2]
    postgres.sql(
        "DROP ROLE IF EXISTS worker",
        "CREATE ROLE worker LOGIN",
        f"GRANT USAGE ON SCHEMA {schema} TO worker",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO worker",
    )
    database = await opened(catalog_url.replace("postgres@", "worker@"))
    await AuditLog(database).write(event())
    database.close()
    postgres.sql("DROP OWNED BY worker", "DROP ROLE worker")


async def test_connections_that_were_killed_go_unnoticed(database: Database) -> None:
    audit = AuditLog(database)
    for _ in range(3):
        await asyncio.gather(*(audit.count("u") for _ in range(8)))
        with pytest.raises(CatalogError):  # this very connection too
            await database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'")
        await audit.write(event())
    assert await audit.count("u") == 3


async def test_a_slow_statement_ends_and_its_connection_stays(impatient: Database) -> None:
    (before,) = await impatient.query("SELECT pg_backend_pid() AS pid")
    with pytest.raises(CatalogError, match="statement timeout"):
        await impatient.query("SELECT CAST(pg_sleep(60) AS VARCHAR)")
    assert await impatient.query("SELECT pg_backend_pid() AS pid") == [before]


async def test_a_standby_is_left_for_the_primary(database: Database, postgres: Postgres) -> None:
    """The connection is read-only, as after a failover; the work runs again on a new one."""
    await database.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    await AuditLog(database).write(event())
    assert await AuditLog(database).count("u") == 1


async def test_a_clock_that_is_ten_minutes_off_does_not_show_in_the_log(
    catalog_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("audit", "postgres", "replicas", "users"):
        monkeypatch.setattr(f"service.catalog.{module}.now", lambda: now() + timedelta(minutes=10))
    database = await opened(catalog_url)
    ahead = Event("u", ACTIVITY_READ, "r", {}, Result.SUCCESS, "id", timestamp=now() + timedelta(minutes=10))
    await AuditLog(database).write(ahead)
    (row,) = await AuditLog(database).page("u", 1, 0)
    assert abs((row.timestamp.replace(tzinfo=None) - now()).total_seconds()) < 30
    database.close()


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    made, key = directory / f"{name}.crt", directory / f"{name}.key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)]
    subprocess.run([*command.split(), *more], check=True, capture_output=True)
    return made, key


@pytest.mark.skipif(which("openssl") is None, reason="openssl is not installed")
async def test_tls_is_as_the_url_says(catalog_url: str, postgres: Postgres, tmp_path: Path) -> None:
    right, key = certificate(tmp_path, "right")
    wrong, _ = certificate(tmp_path, "wrong")
    postgres.use_certificate(right, key)
    database = await opened(f"{catalog_url}&sslmode=verify-full&sslrootcert={right}")
    assert await database.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [{"ssl": True}]
    database.close()
    with pytest.raises(CatalogUnusable, match=r"let sslrootcert in catalog\.url name"):
        await opened(f"{catalog_url}&sslmode=verify-full&sslrootcert={wrong}")
    elsewhere = catalog_url.replace("127.0.0.1", "localhost")
    with pytest.raises(CatalogUnusable, match="use the host name that is in PostgreSQL's certificate"):
        await opened(f"{elsewhere}&sslmode=verify-full&sslrootcert={right}")


@pytest.mark.long
async def test_a_server_that_restarts_is_found_again(impatient: Database, postgres: Postgres) -> None:
    replica = Replica(impatient, AuditLog(impatient))
    await replica.register()
    postgres.stop("fast")
    try:
        with pytest.raises(CatalogError):
            await replica.check()
        with pytest.raises(CatalogError):
            await replica.beat()
    finally:
        postgres.start()
    await replica.beat()
    await replica.check()


@pytest.mark.long
async def test_a_frozen_server_holds_nobody_for_ever(impatient: Database, postgres: Postgres) -> None:
    audit = AuditLog(impatient)
    await asyncio.gather(*(audit.count("u") for _ in range(4)))
    postgres.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        results = await asyncio.gather(*(audit.write(event()) for _ in range(4)), return_exceptions=True)
        assert time.monotonic() - began < 8
        assert all(isinstance(result, CatalogError) for result in results)
    finally:
        postgres.signal(signal.SIGCONT)
    await audit.write(event())
    assert await audit.count("u") >= 1


@contextmanager
def pgbouncer(server: Postgres, database: str, *more: str) -> Iterator[int]:
    """PgBouncer in transaction mode; its port. As root it runs as the user nobody, who must reach its files."""
    if which("pgbouncer") is None:
        pytest.skip("PgBouncer is not installed (Debian: apt-get install pgbouncer)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    lines = [
        "[databases]",
        f"{database} = host=127.0.0.1 port={server.port} user=postgres",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "unix_socket_dir =",
        "auth_type = any",
        "pool_mode = transaction",
        "default_pool_size = 3",
        *more,
    ]
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        file = Path(directory, "pgbouncer.ini")
        file.write_text("\n".join(lines))
        as_nobody = ["-u", "nobody"] if os.geteuid() == 0 else []
        with subprocess.Popen(["pgbouncer", *as_nobody, str(file)], stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            assert any(b"process up" in line for line in process.stderr)
            try:
                yield port
            finally:
                process.terminate()
                process.stderr.read()


@pytest.mark.parametrize("more", [[], ["ignore_startup_parameters = options"]])
async def test_it_runs_behind_pgbouncer(catalog_url: str, postgres: Postgres, more: list[str]) -> None:
    """Each transaction may get another connection: nothing is prepared, and no setting of a session counts."""
    name = catalog_url.rpartition("%3D")[2]
    postgres.sql(f"CREATE DATABASE {name}")
    with pgbouncer(postgres, name, *more) as port:
        database = await opened(f"postgresql://postgres@127.0.0.1:{port}/{name}")
        audit = AuditLog(database)
        replica = Replica(database, audit)
        await replica.register()
        for _ in range(10):
            await asyncio.gather(*(audit.write(event()) for _ in range(8)), Users(database).find("u"), replica.beat())
        assert await audit.count("u") == 80
        database.close()
    postgres.sql(f"DROP DATABASE {name} WITH (FORCE)")
