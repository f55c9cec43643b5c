"""Session files as they are found: broken, half written, growing, huge."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.catalog import Facts
from service.sessions import transcript as module
from service.sessions.transcript import Transcript

GOOD = b'{"type":"user","message":{"content":"Hello"},"timestamp":"2026-05-10T12:00:00Z"}'
ANSWER = b'{"type":"assistant","message":{"model":"opus","content":[{"type":"tool_use","id":"t"}]}}'


def facts(data: bytes, *, block: int = 65536) -> Facts:
    transcript = Transcript()
    for start in range(0, len(data), block):
        transcript.feed(data[start : start + block])
    return transcript.finish()


@pytest.mark.parametrize(
    ("line", "bad_lines"),
    [
        (b'"massive error"', 1),
        (b"42", 1),
        (b"[1]", 1),
        (b"null", 1),
        (b'{"type": "user", "mess', 1),
        (b"{} {}", 1),
        (b"\x00" * 4096, 1),
        (b"\xff\xfe", 1),
        (b'{"a": "raw \x01 control"}', 1),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 1),
        (b'{"a": "not UTF-8: \xff", "cwd": "\xff", "timestamp": "\xff"}', 0),
        (b'{"message": "text"}', 0),
        (b'{"type": 1, "message": {"content": [1, null, "x", {"type": 2, "id": 3}], "usage": []}}', 0),
        (b'{"message": {"content": null, "usage": null}}', 0),
        (rb'{"cwd": "\ud83d", "a": "\ude00"}', 0),
        (b"{}\r", 0),
        (b"", 0),
        (b"  ", 0),
    ],
)
def test_a_line_that_is_no_object_is_counted_and_nothing_else_is_lost(line: bytes, bad_lines: int) -> None:
    found = facts(b"\n".join([line, GOOD, line, ANSWER, b""]), block=1 << 20)
    assert found.bad_lines == 2 * bad_lines
    assert (found.title, found.tool_calls, found.primary_model) == ("Hello", 1, "opus")


def test_the_same_line_twice_counts_twice() -> None:
    assert facts(b"\n".join([ANSWER, ANSWER])).tool_calls == 2


@pytest.mark.parametrize(
    ("rest", "answers", "bad_lines"),
    [(ANSWER, 1, 0), (ANSWER[:-1], 0, 0), (b"42", 0, 1), (b'"4', 0, 0), (b"\0\0", 0, 0)],
)
def test_a_line_without_an_end_counts_if_it_parses(rest: bytes, answers: int, bad_lines: int) -> None:
    found = facts(GOOD + b"\n" + rest)
    assert (found.assistant_messages, found.bad_lines) == (answers, bad_lines)


def test_a_line_of_50_mb_is_read_like_any_other() -> None:
    huge: dict[str, Any] = {
        "type": "user",
        "message": {
            "content": [{"type": "tool_result", "tool_use_id": "t", "is_error": True, "content": "x" * 50_000_000}]
        },
    }
    found = facts(b"\n".join([GOOD, ANSWER, json.dumps(huge).encode(), ANSWER, b""]), block=1 << 18)
    assert (found.user_messages, found.tool_errors, found.bad_lines) == (2, 2, 0)


def test_a_line_that_is_too_long_is_broken_and_what_follows_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_LINE", 1000)
    data = b"\n".join([GOOD, b'{"cwd":"' + b"x" * 5000 + b'"}', ANSWER, b""])
    found = facts(data, block=100)
    assert (found.bad_lines, found.user_messages, found.assistant_messages) == (1, 1, 1)


PROGRAM = """
from pathlib import Path
from service.sessions.transcript import Transcript
transcript, block = Transcript(), {block}
transcript.feed({begin})
for _ in range({blocks}):
    transcript.feed(block)
transcript.feed({end})
facts = transcript.finish()
peak = next(line.split()[1] for line in Path("/proc/self/status").open() if line.startswith("VmHWM"))
print(facts.assistant_messages, facts.bad_lines, peak)
"""
MANY_BLOCKS = """b'{"type":"assistant","message":{"content":['"""


@pytest.mark.parametrize(
    ("begin", "block", "blocks", "end", "found"),
    [
        ("b''", "b'x' * 1_000_000", 2000, r"b'\n'", (0, 1)),
        (MANY_BLOCKS, "b'{},' * 300_000", 60, r"b'{}]}}\n'", (1, 0)),
    ],
    ids=["2 GB without a line break", "18 million blocks in a line"],
)
def test_memory_is_bounded(begin: str, block: str, blocks: int, end: str, found: tuple[int, int]) -> None:
    program = PROGRAM.format(begin=begin, block=block, blocks=blocks, end=end)
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    answers, bad, peak = map(int, output.split())
    assert (answers, bad) == found
    assert peak < 200_000  # KB


LINES = st.sampled_from(
    [GOOD, ANSWER, b"", b"42", b'{"half', b'{"cwd": 1}', b'{"cwd": "/a/b"}', b'{"timestamp":"2026-05-10T12:09:00"}']
)


@given(st.lists(LINES), st.lists(st.integers(0, 300)), st.integers(1, 50))
def test_a_file_that_grew_gives_the_same_as_one_read_at_once(lines: list[bytes], steps: list[int], block: int) -> None:
    data = b"\n".join(lines)
    growing, size = Transcript(), 0
    for step in [*steps, len(data)]:
        size = min(size + step, len(data))
        for start in range(growing.position, size, block):
            growing.feed(data[start : min(start + block, size)])
        found = growing.finish()
    assert found == facts(data)


def test_a_file_that_grew_is_read_from_the_last_line_end_on() -> None:
    transcript = Transcript()
    transcript.feed(GOOD + b"\n" + ANSWER[:20])
    assert transcript.finish().assistant_messages == 0
    assert transcript.position == len(GOOD) + 1
    transcript.feed(ANSWER + b"\n")
    assert transcript.finish().assistant_messages == 1
    assert transcript.position == len(GOOD + ANSWER) + 2
