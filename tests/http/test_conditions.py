"""Ranges and conditions over HTTP against a model that was written from RFC 9110, not from the code."""

import re
from datetime import UTC, datetime
from typing import Any

from aiohttp.test_utils import make_mocked_request
from hypothesis import example, given
from hypothesis import strategies as st

from service.http.conditions import NotSatisfiable, Validators, byte_range, failed_precondition

SIZE = 100
CHANGED = datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)
VALIDATORS = Validators("tag", CHANGED)
UNDATED = Validators("tag")  # as an archive has

DATES = {"Wed, 08 Oct 2025 08:53:20 GMT": -1, "Thu, 09 Oct 2025 08:53:20 GMT": 0, "Fri, 10 Oct 2025 08:53:20 GMT": 1}
TAGS = st.lists(st.sampled_from(['"tag"', 'W/"tag"', '"other"', 'W/"other"']), min_size=1, max_size=3).map(", ".join)
NUMBERS = st.one_of(st.just(""), st.integers(0, 120).map(str), st.integers(10**17, 10**20).map(str))


def asked(headers: dict[str, str]) -> Any:
    return make_mocked_request("GET", "/", headers=headers)


def outcome(headers: dict[str, str], validators: Validators = VALIDATORS) -> object:
    try:
        return byte_range(asked(headers), validators, SIZE)
    except NotSatisfiable:
        return 416


@given(first=NUMBERS, last=NUMBERS)
@example(first="0", last="0")
@example(first="", last="0")
@example(first="99", last="")
@example(first="100", last="")
def test_one_range_means_the_bytes_that_the_rfc_says(first: str, last: str) -> None:
    """Section 14.1.2: which positions of the representation are in the range, one by one."""
    if first == "":
        selected = [] if last == "" else [at for at in range(SIZE) if at >= SIZE - int(last)]
    else:
        selected = [at for at in range(SIZE) if at >= int(first) and (last == "" or at <= int(last))]
    invalid = (first, last) == ("", "") or (first != "" and last != "" and int(last) < int(first))
    found = outcome({"Range": f"bytes={first}-{last}"})
    if invalid:
        assert found is None
    elif not selected:
        assert found == 416
    else:
        assert isinstance(found, range)
        assert list(found) == selected


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_any_other_range_is_ignored(value: str) -> None:
    if not re.fullmatch(r"(?i)bytes=\s*\d*-\d*\s*", value):
        assert outcome({"Range": value}) is None


@given(TAGS, st.sampled_from(sorted(DATES)))
def test_if_range_needs_an_exact_strong_match(tags: str, date: str) -> None:
    """Section 13.1.5."""
    matches = {'"tag"': True, date: DATES[date] == 0, tags: tags == '"tag"'}
    for value, same in matches.items():
        assert (outcome({"Range": "bytes=0-0", "If-Range": value}) is not None) == same, value


def fails(headers: dict[str, str]) -> int | None:
    """Section 13.2.2, step by step."""
    tags = {name: re.findall(r'(W/)?"(\w+)"', headers.get(name, "")) for name in ("If-Match", "If-None-Match")}
    if "If-Match" in headers:
        if headers["If-Match"] != "*" and ("", "tag") not in tags["If-Match"]:
            return 412
    elif "If-Unmodified-Since" in headers and DATES[headers["If-Unmodified-Since"]] < 0:
        return 412
    if "If-None-Match" in headers:
        if headers["If-None-Match"] == "*" or "tag" in [tag for _, tag in tags["If-None-Match"]]:
            return 304
    elif "If-Modified-Since" in headers and DATES[headers["If-Modified-Since"]] >= 0:
        return 304
    return None


CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "If-Match": TAGS | st.just("*"),
        "If-None-Match": TAGS | st.just("*"),
        "If-Modified-Since": st.sampled_from(sorted(DATES)),
        "If-Unmodified-Since": st.sampled_from(sorted(DATES)),
    },
)


@given(CONDITIONS)
def test_preconditions_are_evaluated_in_the_order_of_the_rfc(headers: dict[str, str]) -> None:
    assert failed_precondition(asked(headers), VALIDATORS) == fails(headers)


@given(CONDITIONS)
def test_without_a_time_of_change_only_tags_are_conditions(headers: dict[str, str]) -> None:
    """Sections 13.1.3 and 13.1.4: a date is ignored where the representation has no modification time."""
    tags = {name: value for name, value in headers.items() if not name.endswith("Since")}
    assert failed_precondition(asked(headers), UNDATED) == fails(tags)


def test_without_a_time_of_change_the_tag_is_the_only_validator() -> None:
    assert UNDATED.headers == {"ETag": '"tag"'}
    for value, whole in {'"tag"': False, 'W/"tag"': True, '"x"': True, **dict.fromkeys(DATES, True), "": True}.items():
        assert (outcome({"Range": "bytes=0-0", "If-Range": value}, UNDATED) is None) == whole, value
