"""Searches among many sessions, within a limit of memory that several of them at once exceed."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from service.catalog import Selection, SessionSearch, Sort, open_catalog
from service.config import Catalog
from service.pools import Pool

USERS = tuple(f"u-{number}" for number in range(500))
FILL = """
    INSERT INTO users (id, email) SELECT concat('u-', n), concat('user', n, '@example.com') FROM range(500) AS made(n);
    INSERT INTO session_index (user_id, session_file, size_bytes, modified_ns, modified_at, identity, revision,
        facts_version, span_begin, span_end, wall_seconds, title)
    SELECT concat('u-', n % 500), concat(md5(CAST(n AS VARCHAR)), '.jsonl'), n, n, began, 'x', 1, 1, began, began, 60,
        CASE WHEN n % 1000 = 7 THEN 'Seven' END
    FROM (SELECT n, TIMESTAMP '2026-01-01' + to_seconds(n * 7919 % 25920000) AS began FROM range(60000) AS made(n));
    INSERT INTO usage_session_summary (session_file, session_id, username, user_id, started_at, tool_errors,
        processor_version)
    SELECT concat(user_id, '/', session_file), session_file, concat(replace(user_id, '-', 'ser'), '@example.com'),
        user_id, span_begin, 1, 3
    FROM session_index
"""


async def test_searches_that_together_need_more_memory_than_there_is_all_succeed(tmp_path: Path) -> None:
    """Each of them alone needs some 40 MB."""
    settings = Catalog(url=str(tmp_path / "catalog.duckdb"), memory_limit="50MB")
    database = await open_catalog(settings, Pool("catalog", 4))
    await database.query(FILL)
    search = SessionSearch(database)
    everything = Selection(since=datetime(2020, 1, 1, tzinfo=UTC), user_ids=USERS, errors=True)
    selections, lists = await asyncio.gather(
        asyncio.gather(*(search.selected_files(everything) for _ in range(4))),
        asyncio.gather(*(search.across(Selection(q="seven"), Sort.STARTED_AT, None, 50) for _ in range(2))),
    )
    database.close()
    assert search.usage_failures == 0
    assert [sum(map(len, names.values())) for names in selections] == [60_000] * 4
    assert [(len(rows), total, rows[0].tool_errors) for rows, _, total in lists] == [(50, 60, 1)] * 2
