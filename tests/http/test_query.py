"""How the text of a query becomes values."""

from datetime import UTC, datetime

import pytest
from aiohttp.test_utils import make_mocked_request
from pydantic import ValidationError

from service.http.query import Flag, Moment, Query, SearchText, Text, WholeNumber

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)


class Wanted(Query):
    number: WholeNumber = 1
    text: Text = "x"
    search: SearchText = "x"
    moment: Moment | None = None
    flag: Flag = False
    several: tuple[Text, ...] = ()


def parsed(query: str) -> Wanted:
    return Wanted.of(make_mocked_request("GET", f"/?{query}"))


@pytest.mark.parametrize(
    ("query", "name", "value"),
    [
        ("number=-12", "number", -12),
        ("text=%20a", "text", " a"),
        ("search=%20a%20", "search", "a"),
        ("moment=2026-10-01", "moment", NOON.replace(hour=0)),
        ("moment=2026-10-01T12:00:00", "moment", NOON),
        ("moment=2026-10-01T14:00:00%2B02:00", "moment", NOON),
        ("flag=true", "flag", True),
        ("flag=false", "flag", False),
        ("several=a&several=b", "several", ("a", "b")),
        ("several=a", "several", ("a",)),
        ("unknown=1&unknown=2", "number", 1),
    ],
)
def test_what_is_valid_has_its_value(query: str, name: str, value: object) -> None:
    assert getattr(parsed(query), name) == value


@pytest.mark.parametrize(
    "query",
    [
        *(f"number={text}" for text in ("1_0", "%2B10", "%2010", "1.0", "", "٣", "0x1")),
        *(f"text={text}" for text in ("", "a%00", "a%0Ab", "x" * 201)),
        *(f"search={text}" for text in ("", "%20", "a%1Fb", "x" * 201)),
        *(f"moment={text}" for text in ("", "1760000000", "2026-13-01", "0001-01-01T00:00:00%2B02:00")),
        *(f"flag={text}" for text in ("", "1", "True", "yes")),
        "number=1&number=1",
        "flag=true&flag=true",
        "several=a&several=",
    ],
)
def test_anything_else_is_refused_and_says_where(query: str) -> None:
    with pytest.raises(ValidationError) as refused:
        parsed(query)
    assert {error["loc"][0] for error in refused.value.errors()} == {query.partition("=")[0]}
