"""A cursor is good for the query that gave it, and for no other text."""

import base64

import pytest
from pydantic import ValidationError

from service.http.cursors import CursorQuery, new_cursor

QUERY = {"q": "text", "user_id": ["u-1", "u-2"]}


def test_a_cursor_gives_its_position_back_in_any_order_of_the_query() -> None:
    cursor = CursorQuery(cursor=new_cursor([5, "ü", "a.jsonl"], QUERY))
    assert cursor.place(dict(reversed(QUERY.items())), int, str, str) == [5, "ü", "a.jsonl"]


def test_without_a_cursor_there_is_no_position() -> None:
    assert CursorQuery().place(QUERY, int, str) is None


@pytest.mark.parametrize(
    ("cursor", "query"),
    [
        (new_cursor([5, "a"], QUERY), QUERY | {"q": "other"}),
        (new_cursor([5, "a"], QUERY), {}),
        (new_cursor([5], QUERY), QUERY),
        (new_cursor(["5", "a"], QUERY), QUERY),
        (new_cursor([True, "a"], QUERY), QUERY),
        (new_cursor([2**62, "a"], QUERY), QUERY),
        (new_cursor([-(2**62), "a"], QUERY), QUERY),
        (new_cursor({"5": "a"}, QUERY), QUERY),  # type: ignore[arg-type]
        (new_cursor([5, "a"], QUERY)[:-4], QUERY),
        (base64.urlsafe_b64encode(bytes(12) + b'[5,"a"]').decode(), QUERY),
        ("é", QUERY),
        ("x", QUERY),
        ("", QUERY),
    ],
)
def test_anything_else_is_refused(cursor: str, query: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="Not a cursor that this query gave"):
        CursorQuery(cursor=cursor).place(query, int, str)
