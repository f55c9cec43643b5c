"""The soak and the deaths, shorter than by hand; and that their account would find what is wrong."""

from pathlib import Path

import pytest

from tests.proxies import needs_nginx
from tests.soak.__main__ import Soak
from tests.soak.account import Log, contradictions
from tests.soak.deaths import die_often
from tests.soak.load import Attempt
from tests.soak.replicas import soak

pytestmark = pytest.mark.long

BEGAN, WHOLE, BROKEN_OFF = ("a_started", "started"), ("a", "success"), ("a", "aborted")


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_half_a_minute_of_mixed_load_and_restarts_leaves_nothing_wrong(tmp_path: Path) -> None:
    assert await Soak(tmp_path, 30, seed=1).run() == []


@needs_nginx
@pytest.mark.timeout(300)
@pytest.mark.parametrize("catalog_url", ["postgres"], indirect=True)
async def test_replicas_that_are_killed_one_after_the_other_leave_nothing_wrong(
    tmp_path: Path, catalog_url: str, credentials: None
) -> None:
    assert await soak(tmp_path, catalog_url, seconds=14, every=7, seed=1) == []


@pytest.mark.timeout(180)
@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.long)])
async def test_whoever_is_killed_at_any_moment_loses_no_row(tmp_path: Path, times: int) -> None:
    assert await die_often(tmp_path, times, seed=1) == []


@pytest.mark.parametrize(
    ("end", "received", "rows", "problem"),
    [
        ("complete", 9, [BEGAN, WHOLE], None),
        ("complete", 9, [BEGAN, BROKEN_OFF], "a complete response without its row"),
        ("complete", 0, [], "a complete response without its row"),
        ("broken", 1, [], "bytes without a row"),
        ("broken", 1, [BEGAN], "no outcome"),
        ("broken", 1, [BEGAN, WHOLE], "another outcome than the client saw"),
        ("left", 1, [BEGAN, BROKEN_OFF], None),
        ("left", 1, [BEGAN, BROKEN_OFF, BROKEN_OFF], "an outcome too many"),
        ("left", 1, [BEGAN, BEGAN, BROKEN_OFF], "rows that do not belong together"),
        ("left", 1, [BEGAN, ("b", "aborted")], "rows that do not belong together"),
        ("refused", 0, [], None),
        ("refused", 0, [BEGAN, ("a", "error")], None),
        ("refused", 0, [BEGAN, WHOLE], "another outcome than the client saw"),
        ("unanswered", 0, [], None),
        ("unanswered", 0, [BEGAN], "no outcome"),
    ],
)
def test_the_account_finds_where_log_and_client_disagree(
    end: str, received: int, rows: list[tuple[str, str]], problem: str | None
) -> None:
    log = Log()
    log.rows["id"] = rows
    found = contradictions([Attempt("id", "a", 0, end, received)], log)
    assert [line.partition(":")[0] for line in found] == ([problem] if problem else [])


def test_the_account_finds_rows_that_nobody_asked_for() -> None:
    log = Log()
    log.rows["other"] = [BEGAN, WHOLE]
    assert "nobody made" in contradictions([], log)[0]
