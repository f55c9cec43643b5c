"""Pages of lines against the whole file, split by Python."""

import json
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from service.sessions import line_pages
from service.sessions.line_pages import LinePage, PageLine, json_value, read_page
from tests.archive.memory import MemoryFile

CONTENTS = st.lists(st.sampled_from([b"\n", b"a", b"\r", b"\xff", b"{}", b"line", b"\n\n", b"x" * 30]), max_size=40)

MAX_READ = 200


def small_limits() -> Any:
    """So that small files meet them."""
    return patch.multiple(line_pages, BLOCK=4, MAX_LINE=20, MAX_PAGE=50, MAX_READ=MAX_READ)


def page(data: bytes, start: int = 0, limit: int = 200, record: list[str] | None = None) -> LinePage:
    return read_page(MemoryFile("a.jsonl", data, [] if record is None else record), start, limit)  # type: ignore[arg-type]


def begins(data: bytes) -> list[int]:
    ends = [at + 1 for at, byte in enumerate(data) if byte == ord("\n")]
    return [begin for begin in [0, *ends] if begin < len(data)]


def assume_that_a_page_can_read_each_line(data: bytes) -> None:
    """What happens to longer ones, tests of their own say."""
    assume(all(len(line) < MAX_READ for line in data.split(b"\n")))


@given(CONTENTS.map(b"".join), st.integers(1, 5))
def test_pages_one_after_the_other_are_the_whole_file(data: bytes, limit: int) -> None:
    assume_that_a_page_can_read_each_line(data)
    with small_limits():
        found: list[PageLine] = []
        start: int | None = 0
        while start is not None and data:
            one = page(data, start, limit)
            assert 0 < len(one.lines) <= limit
            assert one.content_bytes <= 50
            assert one.size == len(data)
            found += one.lines
            assert one.next is None or one.next > start
            start = one.next
    assert [line.offset for line in found] == begins(data)
    assert b"".join(data[line.offset : line.offset + line.length] for line in found) == data
    for line in found:
        whole = data[line.offset : line.offset + line.length].removesuffix(b"\n")
        assert (line.content, line.is_cut) == (whole[:20], len(whole) > 20)


@given(CONTENTS.map(b"".join), st.integers(0, 300))
def test_from_any_byte_on_the_lines_are_those_that_begin_there_or_later(data: bytes, start: int) -> None:
    assume_that_a_page_can_read_each_line(data)
    with small_limits():
        found = page(data, start).lines
    expected = [begin for begin in begins(data) if begin >= start]
    assert [line.offset for line in found] == expected[: len(found)]
    assert bool(found) == bool(expected)


def test_a_file_without_bytes_has_no_lines() -> None:
    for start in (0, 1, 2**62):
        assert page(b"", start) == LinePage([], None, 0)


def test_a_line_without_an_end_at_the_end_of_the_file_is_a_line() -> None:
    """An agent may be writing it."""
    (line,) = page(b'a\n{"half":', 2).lines
    assert (line.offset, line.length, line.content) == (2, 8, b'{"half":')


def test_a_line_longer_than_what_is_read_for_a_page_is_given_so_far_and_its_rest_is_skipped() -> None:
    with small_limits():
        data = b"x" * 450 + b"\nend\n"
        first = page(data)
        assert [(line.offset, line.length, line.is_cut) for line in first.lines] == [(0, 200, True)]
        starts = [first.next]
        while starts[-1] is not None and not (found := page(data, starts[-1])).lines:
            starts.append(found.next)
        assert starts == [200, 399]
        assert [line.content for line in found.lines] == [b"end"]


def test_a_long_line_after_another_is_given_when_the_page_begins_with_it() -> None:
    with small_limits():
        data = b"x\n" + b"y" * 450 + b"\n"
        first = page(data)
        assert ([line.length for line in first.lines], first.next) == ([2], 2)
        assert [(line.length, line.is_cut) for line in page(data, 2).lines] == [(200, True)]


def test_a_line_in_which_the_reading_ends_begins_the_next_page() -> None:
    with small_limits():
        data = b"x" * 150 + b"\n" + b"y" * 60 + b"\nend\n"
        first = page(data)
        assert ([line.length for line in first.lines], first.next) == ([151], 151)
        assert [line.length for line in page(data, 151).lines] == [61, 4]


def test_a_page_reads_nothing_before_it_and_little_after_it() -> None:
    record: list[str] = []
    data = b'{"n": 1}\n' * 1_000_000
    assert len(page(data, 9 * 500_000, 100, record).lines) == 100
    assert record == [f"read a.jsonl {9 * 500_000 - 1}"]


FAILED = b'{"message": {"content": [{"type": "tool_result", "is_error": true}]}}'
FAILED_TOO = b'{"type": "tool_use_result", "is_error": true}'
NOT_FAILED = [b"{}", b"is_error", b'{"is_error": true}', FAILED.replace(b"true", b"false"),
              FAILED.replace(b"true", b"1"), FAILED.replace(b"tool_result", b"text")]  # fmt: skip


@given(st.lists(st.sampled_from([FAILED, FAILED_TOO, *NOT_FAILED]), max_size=40), st.integers(1, 3))
def test_pages_of_errors_are_all_lines_that_report_one(lines: list[bytes], limit: int) -> None:
    data = b"".join(line + b"\n" for line in lines)
    found: list[PageLine] = []
    with patch.multiple(line_pages, BLOCK=64, MAX_READ=300):
        start: int | None = 0
        while start is not None:
            one = read_page(MemoryFile("a.jsonl", data, []), start, limit, errors=True)  # type: ignore[arg-type]
            assert len(one.lines) <= limit
            found += one.lines
            start = one.next
    assert [line.content for line in found] == [line for line in lines if line in (FAILED, FAILED_TOO)]
    assert all(data[line.offset :].startswith(line.content) for line in found)


VALUES = [b"{}", b"[]", b"1", b"null", b'"a"', b" true \r", b'{"a": [1, {"b": "\xc3\xa4"}]}', b'{"a": 1, "a": 2}',
          b'{"cut in an emoji": "\\ud83d"}', b"123456789012345678901234567890", b"[" * 190 + b"]" * 190]  # fmt: skip
OTHERS = [b"", b"{", b"nul", b"NaN", b"Infinity", b"-Infinity", b'{"a": NaN}', b"1e400", b"9" * 5000,
          b"[" * 300 + b"]" * 300,
          b'{"a":' * 5000 + b"1" + b"}" * 5000, b'"\xff"', b"'a'", b'{"a": 1,}', b"{} {}", b'"\x00"', b"\xef\xbb\xbf{}",
          b'"a', b"01", b"\x00" * 10, b'"\xed\xa0\x80"', b"]" * 300]  # fmt: skip


@pytest.mark.parametrize("content", VALUES)
def test_json_is_given_as_it_is_written(content: bytes) -> None:
    assert json_value(PageLine(0, 1, content, is_cut=False)) == content
    json.loads(content)


@pytest.mark.parametrize("content", OTHERS, ids=lambda content: repr(content[:20]))
def test_what_a_parser_may_choke_on_is_no_value(content: bytes) -> None:
    assert json_value(PageLine(0, 1, content, is_cut=False)) is None


def test_a_line_that_is_cut_is_no_value_even_where_its_beginning_is_one() -> None:
    assert json_value(PageLine(0, 1, b"1", is_cut=True)) is None


@given(st.binary(max_size=40))
def test_a_value_is_json_for_pythons_own_parser(content: bytes) -> None:
    value = json_value(PageLine(0, 1, content, is_cut=False))
    if value is not None:
        json.loads(value, parse_constant=pytest.fail)
