"""The selection in a query: what it means, and what it cannot."""

from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from pydantic import ValidationError

from service.api.selection import AcrossUsersSelectionQuery, OneUsersSelectionQuery
from service.sessions import Selection

MIDNIGHT = datetime(2026, 5, 10, tzinfo=UTC)


def one_users(query: str) -> Selection:
    return OneUsersSelectionQuery.of(make_mocked_request("GET", f"/?{query}")).selection()


def across_users(query: str) -> Selection:
    return AcrossUsersSelectionQuery.of(make_mocked_request("GET", f"/?{query}")).selection()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("limit=7&errors=false", {}),
        ("since=2026-05-10", {"since": MIDNIGHT}),
        ("since=2026-05-10T00:00:00", {"since": MIDNIGHT}),
        ("until=2026-05-10T02:00:00%2B02:00", {"until": MIDNIGHT}),
        ("since=2026-05-10&until=2026-05-10T00:00:00Z", {"since": MIDNIGHT, "until": MIDNIGHT}),
        ("model=a&model=b", {"models": ("a", "b")}),
        ("errors=true", {"errors": True}),
        ("q=%20shop%20", {"q": "shop"}),
    ],
)
def test_what_is_given_is_selected(query: str, expected: dict[str, Any]) -> None:
    assert one_users(query) == across_users(query) == Selection(**expected)


def test_files_are_selected_for_one_user_and_users_across() -> None:
    assert one_users("session_file=a.jsonl&session_file=b.jsonl").session_files == ("a.jsonl", "b.jsonl")
    assert across_users("user_id=u1&user_id=u2").user_ids == ("u1", "u2")
    with pytest.raises(ValidationError, match="cannot be selected by here"):
        across_users("session_file=a.jsonl")
    with pytest.raises(ValidationError, match="cannot be selected by here"):
        one_users("user_id=u1")


@pytest.mark.parametrize(
    "query",
    [
        "since=2026-02-30",
        "since=",
        "since=1778414400",
        "since=yesterday",
        "since=2026-05-10T25:00:00",
        "since=0001-01-01T00:00:00%2B14:00",
        "since=2026-05-10T02:00:00+02:00",
        "since=2026-05-10&since=2026-05-11",
        "since=2026-05-11&until=2026-05-10",
        "errors=yes",
        "errors=1",
        "q=",
        "q=%20%20",
        "q=a%00b",
        "q=" + "x" * 201,
        "q=a&q=b",
        "model=",
        "&".join(f"model={n}" for n in range(201)),
    ],
)
def test_what_makes_no_sense_is_refused(query: str) -> None:
    for parse in (one_users, across_users):
        with pytest.raises(ValidationError):
            parse(query)


def test_200_files_are_taken_and_201_refused() -> None:
    names = [f"session_file={n}.jsonl" for n in range(201)]
    assert len(one_users("&".join(names[:200])).session_files) == 200
    with pytest.raises(ValidationError):
        one_users("&".join(names))


@pytest.mark.parametrize("name", ["a.txt", "..%2Fa.jsonl", "a.jsonl%0A", ""])
def test_what_is_no_session_files_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        one_users(f"session_file={name}")
