"""Decoding a line in one pass and field by field must come to the same."""

import json
import random
from typing import Any

import pytest

from service.sessions.lines import LONG, MOST_BLOCKS, Line, decode_fields, decode_line

TEXTS = ("", "text", "naïve ✓ \U0001f600", '"\\\n\t\x00', "2026-05-10T12:00:00.5Z", "assistant", None)
NUMBERS = (0, 7, 2**70, None)
FLAGS = (True, False, None)


def any_line(chance: random.Random) -> dict[str, Any]:
    """An object that fits the types, with some of the fields."""

    def some(**values: Any) -> dict[str, Any]:
        return {name: value for name, value in values.items() if chance.random() < 0.7}

    def text() -> str | None:
        return chance.choice(TEXTS)

    def flag() -> bool | None:
        return chance.choice(FLAGS)

    tokens = some(input_tokens=chance.choice(NUMBERS), cache_read_input_tokens=chance.choice(NUMBERS), tier="x")
    blocks = [
        some(type=text(), id=text(), name=text(), tool_use_id=text(), is_error=flag(), text=text(), input={"a": [1]})
        for _ in range(chance.randrange(4))
    ]
    message = some(model=text(), usage=chance.choice([None, tokens]), content=chance.choice([None, "text", blocks]))
    return some(
        type=text(),
        timestamp=chance.choice(["2026-05-10T12:00:00.5Z", "2026-05-10T12:00:00", None]),
        sessionId=text(),
        cwd=text(),
        isMeta=flag(),
        toolUseResult=text(),
        tool_use_id=text(),
        toolUseId=text(),
        is_error=flag(),
        message=chance.choice([None, message]),
    )


@pytest.mark.parametrize("seed", range(300))
def test_one_pass_and_field_by_field_give_the_same(seed: int) -> None:
    data = json.dumps(any_line(random.Random(seed))).encode()
    assert plain(decode_line(data)) == plain(decode_fields(data))


def plain(line: Line | None) -> Any:
    """Comparable: values that are still JSON are equal only as bytes."""
    assert line is not None
    blocks = [(b.type, b.id, b.name, b.tool_use_id, b.is_error, bytes(b.text)) for b in line.blocks]
    message = line.message
    said = message and (message.model, message.usage, message.content if isinstance(message.content, str) else blocks)
    beside = (line.tool_use_id, line.other_tool_use_id, line.is_error, bytes(line.tool_use_result))
    return line.type, line.timestamp, line.session_id, line.cwd, line.is_meta, said, beside


def test_of_a_long_line_the_first_blocks_are_decoded() -> None:
    content = [{"type": "text", "text": "x" * LONG}, *[{"type": "tool_use"}] * (2 * MOST_BLOCKS)]
    line = decode_line(json.dumps({"message": {"content": content}}).encode())
    assert line is not None
    assert len(line.blocks) == MOST_BLOCKS
