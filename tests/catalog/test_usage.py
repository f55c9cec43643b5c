"""The mark of a user's rows changes with each of them."""

import pytest

from service.catalog import Database, Usage, UsageRow
from service.catalog.usage import usage_mark
from tests.engines import both_engines

OWNER = ("u-1", "ann", "ann@example.com")


@both_engines
@pytest.mark.parametrize(("username", "user_id"), [("x", "u-1"), ("ann", None), ("ann@example.com", None)])
async def test_the_mark_changes_with_each_row_of_the_user_and_no_others(
    database: Database, username: str, user_id: str | None
) -> None:
    async def add(name: str, username: str, user_id: str | None) -> None:
        row = UsageRow(name, "s", None, None, 1, 1, 1, 1, None)
        await Usage(database).add(row, username=username, user_id=user_id, processor_version=1)

    async def mark() -> object:
        return await database.run(lambda cursor: usage_mark(cursor, OWNER))

    marks = [await mark()]
    await add("a.jsonl", username, user_id)
    marks.append(await mark())
    await database.query("UPDATE usage_session_summary SET tool_errors = 2")
    marks.append(await mark())
    assert len(set(marks)) == 3
    await add("b.jsonl", "bob", "u-2")
    assert await mark() == marks[-1]
