"""The table `session_index`: rows that replace each other, on both engines."""

import asyncio
from datetime import UTC, datetime

import pytest

from service.catalog import AuditLog, Database, Facts, Figures, FileState, Index, IndexRow, Replica, RowsChanged
from tests.catalog.opened import opened
from tests.engines import both_engines
from tests.postgres import Postgres

NOON = datetime(2026, 5, 10, 12, tzinfo=UTC)
FACTS = Facts("s", NOON, None, 1, None, 2, 3, 4, 5, 6, 7, "opus", ("opus", "a b"), 8, 9, 10, 2**63 - 1, "É", None, 0)


STATE = FileState(2**40, 1_778_414_400_123_456_789, "ab01")
LATER = FileState(2**40 + 1, 1_778_414_400_123_456_790, "ab01")


def row(name: str, facts: Facts | None = FACTS, state: FileState = STATE) -> IndexRow:
    return IndexRow(name, state, facts)


@both_engines
async def test_a_row_is_kept_as_it_was_given(database: Database) -> None:
    index = Index(database)
    await index.replace("u", [row("a.jsonl"), row("b.jsonl", None)], {})
    assert await index.known("u") == {
        "a.jsonl": (row("a.jsonl").state, True),
        "b.jsonl": (row("b.jsonl").state, False),
    }
    kept = (await database.query("SELECT * FROM session_index WHERE session_file = 'a.jsonl'"))[0]
    assert (kept["title"], kept["models"], kept["project"]) == ("É", "\nopus\na b\n", None)
    assert (kept["cache_creation_tokens"], kept["ended_at"]) == (2**63 - 1, None)
    assert kept["started_at"] == kept["span_begin"] == NOON.replace(tzinfo=None)
    assert kept["span_end"] == datetime(2026, 5, 10, 12, 0, 0, 123456)


@both_engines
async def test_rows_replace_those_of_the_same_files_and_what_is_gone_goes(database: Database) -> None:
    index = Index(database)
    await index.replace("u", [row("a.jsonl"), row("b.jsonl")], {})
    await index.replace("other", [row("a.jsonl")], {})
    await index.replace("u", [row("a.jsonl", None)], {"a.jsonl": STATE, "b.jsonl": STATE})
    assert {name: read for name, (_, read) in (await index.known("u")).items()} == {"a.jsonl": False}
    await database.query("INSERT INTO users (id, email, active) VALUES ('u', 'u@example.com', TRUE)")
    assert await index.forget_missing_users() == {"other"}
    assert await index.known("other") == {}
    assert len(await index.known("u")) == 1


@both_engines
async def test_figures_of_a_missing_user_go_even_if_the_user_has_no_rows(database: Database) -> None:
    index, figures = Index(database), Figures(database)
    await database.query("INSERT INTO users (id, email, active) VALUES ('u', 'u@example.com', TRUE)")
    await figures.write({"u": b"kept", "other": b"figures"}, b"dialect.")
    await figures.write({"other": b"figures"}, b"another!")
    assert await index.forget_missing_users() == {"other"}
    assert await figures.read(["u", "other"], b"dialect.") == [("u", b"kept")]
    assert await figures.read(["u", "other"], b"another!") == []
    assert await index.forget_missing_users() == set()


@both_engines
async def test_rows_that_were_written_since_they_were_read_stay_and_the_others_are_written(database: Database) -> None:
    index = Index(database)
    await index.replace("u", [row(name) for name in ("deleted", "replaced", "same", "gone")], {})
    known = {name: state for name, (state, _) in (await index.known("u")).items()}
    later = [row(name, None, LATER) for name in ("deleted", "replaced", "new")]
    await index.replace("u", later, {name: known[name] for name in ("deleted", "replaced")})
    with pytest.raises(RowsChanged):
        await index.replace("u", [row(name) for name in ("replaced", "same", "new", "another")], known)
    after = {name: state for name, (state, _) in (await index.known("u")).items()}
    assert after == {"deleted": LATER, "replaced": LATER, "new": LATER, "same": STATE, "another": STATE}


async def test_two_replicas_that_replace_a_row_at_once_leave_one(postgres: Postgres) -> None:
    url = postgres.new_url()
    databases = [await opened(url), await opened(url)]
    try:
        replacing = [Index(databases[n % 2]).replace("u", [row("a.jsonl")], {}) for n in range(20)]
        results = await asyncio.gather(*replacing, return_exceptions=True)
        assert sum(isinstance(result, RowsChanged) for result in results) == 19
        assert (await databases[0].query("SELECT count(*) AS rows FROM session_index")) == [{"rows": 1}]
    finally:
        for database in databases:
            database.close()


async def test_of_several_replicas_one_leads(postgres: Postgres) -> None:
    url = postgres.new_url()
    databases = [await opened(url) for _ in range(3)]
    replicas = [Replica(database, AuditLog(database)) for database in databases]
    try:
        for replica in replicas:
            await replica.register()
        leading = [await replica.leads() for replica in replicas]
        assert sorted(leading) == [False, False, True]
        await replicas[leading.index(True)].leave()
        assert sum([await replica.leads() for replica in replicas]) == 1
    finally:
        for database in databases:
            database.close()
