"""One line of a session file, decoded: only the fields that the index needs.

A line that matches the types is decoded in one pass, in which msgspec skips all unknown fields. A line that does not
match is decoded again field by field, and a field of another type counts as missing. No line is ever decoded into a
tree of objects: for a line of 50 MB it could take gigabytes.
"""

import json
import re
from datetime import datetime
from typing import Annotated, Any, TypeVar

from msgspec import Meta, MsgspecError, Raw, Struct, defstruct, field
from msgspec.json import Decoder

T = TypeVar("T")
WholeNumber = Annotated[int, Meta(ge=0)]

LONG = 1024 * 1024  # bytes; of a longer line, and of one that does not fit, at most MOST_BLOCKS blocks are decoded
MOST_BLOCKS = 256  # agents write one to ten
TEXT_START = re.compile(rb'"(?:[^"\\]|\\u[0-9a-fA-F]{4}|\\[^u]){0,16000}')  # as much of a text as is decoded
# A lone surrogate is valid JSON, and JavaScript writes one if a text is cut inside an emoji; msgspec rejects it.
ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<half>u[dD][89a-fA-F]..)|.)", re.DOTALL)
UNDECODABLE = (MsgspecError, UnicodeDecodeError, RecursionError)


class Block(Struct, gc=False):
    """A part of a message. `text` is still JSON, for `text_start`."""

    type: str | None = None
    id: str | None = None
    name: str | None = None
    tool_use_id: str | None = None
    is_error: bool | None = None
    text: Raw = Raw()


class Tokens(Struct, gc=False):
    """`message.usage`."""

    input_tokens: WholeNumber | None = None
    output_tokens: WholeNumber | None = None
    cache_read_input_tokens: WholeNumber | None = None
    cache_creation_input_tokens: WholeNumber | None = None


class Message(Struct, gc=False):
    """A message. Of a `content` that is text, only as much is kept as a title needs."""

    model: str | None = None
    usage: Tokens | None = None
    content: str | list[Block] | None = None


class Line(Struct, gc=False):
    """A line that is a JSON object."""

    type: str | None = None
    timestamp: datetime | None = None
    session_id: str | None = field(default=None, name="sessionId")
    cwd: str | None = None
    is_meta: bool | None = field(default=None, name="isMeta")
    message: Message | None = None
    tool_use_result: Raw = field(default=Raw(), name="toolUseResult")
    tool_use_id: str | None = None
    other_tool_use_id: str | None = field(default=None, name="toolUseId")
    is_error: bool | None = None

    @property
    def blocks(self) -> list[Block] | tuple[()]:
        """The blocks of the message, if it has any."""
        content = self.message and self.message.content
        return content if isinstance(content, list) else ()

    @property
    def reports_error(self) -> bool:
        """Whether it reports a failed tool call."""
        is_failed = self.type == "tool_use_result" and self.is_error
        return bool(is_failed) or any(block.type == "tool_result" and block.is_error for block in self.blocks)

    @property
    def has_result(self) -> bool:
        """Whether a tool's result is part of it."""
        beside = bytes(memoryview(self.tool_use_result)[:5])
        return beside not in (b"", b"null") or any(block.type == "tool_result" for block in self.blocks)


def _undecoded(fits: type[Struct]) -> type[Struct]:
    """The same fields, each still JSON."""
    names = zip(fits.__struct_fields__, fits.__struct_encode_fields__, strict=True)
    fields = [(name, Raw, field(default=Raw(), name=encoded)) for name, encoded in names]
    return defstruct(f"Undecoded{fits.__name__}", fields, gc=False)


FITTING = Decoder(Line)
ANY = Decoder(Raw)
FLAG = Decoder(bool)
NUMBER: Decoder[int] = Decoder(WholeNumber)
TIME = Decoder(datetime)
UNDECODED: dict[type[Struct], Decoder[Any]] = {
    fits: Decoder(_undecoded(fits)) for fits in (Line, Message, Tokens, Block)
}
# The only way to stop after a number of items: the following ones are skipped, like unknown fields.
FIRST_BLOCKS: Decoder[Any] = Decoder(
    defstruct("FirstBlocks", [(f"block_{n}", Raw, Raw()) for n in range(MOST_BLOCKS)], array_like=True)
)


def decode_line(data: bytes | bytearray) -> Line | None:
    """Decode a line, given without its line end; None if it is not a JSON object."""
    if len(data) > LONG:
        return decode_fields(data)
    try:
        return FITTING.decode(data)
    except UNDECODABLE:
        return decode_fields(data)


def decode_fields(data: bytes | bytearray) -> Line | None:
    """The same for a line with fields that do not match their types."""
    line = _fields(Line, data) or _fields(Line, replace_lone_surrogates(data))
    if line is None:
        return None
    return Line(
        type=decode_text(line.type),
        timestamp=_time(line.timestamp),
        session_id=decode_text(line.session_id),
        cwd=decode_text(line.cwd),
        is_meta=_value(FLAG, line.is_meta),
        message=_message(line.message),
        tool_use_result=line.tool_use_result,
        tool_use_id=decode_text(line.tool_use_id),
        other_tool_use_id=decode_text(line.other_tool_use_id),
        is_error=_value(FLAG, line.is_error),
    )


def is_json(data: bytes | bytearray) -> bool:
    """Whether it is a value of JSON, of whatever kind."""
    return _value(ANY, data) is not None


def decode_text(value: Raw) -> str | None:
    """The beginning of a text; None if the value is not a string. Invalid UTF-8 is replaced."""
    start = TEXT_START.match(memoryview(value))
    if start is None:
        return None
    text: str = json.loads(start[0].decode("utf-8", "replace") + '"')
    return text.encode("utf-8", "replace").decode()  # the cut may leave a lone surrogate at the end


def replace_lone_surrogates(data: bytes | bytearray) -> bytes:
    """The data with each lone surrogate replaced by U+FFFD."""
    return ESCAPE.sub(lambda escape: rb"\ufffd" if escape["half"] else escape[0], data)


def _message(value: Raw) -> Message | None:
    message = _fields(Message, value)
    if message is None:
        return None
    tokens = _fields(Tokens, message.usage)
    return Message(
        model=decode_text(message.model),
        usage=tokens and Tokens(*(_value(NUMBER, getattr(tokens, name)) for name in Tokens.__struct_fields__)),
        content=decode_text(message.content) or _blocks(message.content),
    )


def _blocks(value: Raw) -> list[Block] | None:
    first = _value(FIRST_BLOCKS, value)
    if first is None:
        return None
    items = (getattr(first, name) for name in first.__struct_fields__)
    return [block for item in items if (block := _block(item))]


def _block(value: Raw) -> Block | None:
    block = _fields(Block, value)
    if block is None:
        return None
    return Block(
        type=decode_text(block.type),
        id=decode_text(block.id),
        name=decode_text(block.name),
        tool_use_id=decode_text(block.tool_use_id),
        is_error=_value(FLAG, block.is_error),
        text=block.text,
    )


def _time(value: Raw) -> datetime | None:
    moment = _value(TIME, value)
    if moment is None and (text := decode_text(value)):
        try:
            return datetime.fromisoformat(text)  # takes forms of ISO 8601 that RFC 3339 does not have
        except ValueError:
            return None
    return moment


def _fields(fits: type[Struct], data: bytes | bytearray | Raw) -> Any:
    """The fields of the object, with values still in JSON; None if it is not an object."""
    return _value(UNDECODED[fits], data)


def _value(decoder: Decoder[T], data: bytes | bytearray | Raw) -> T | None:
    try:
        return decoder.decode(data)
    except UNDECODABLE:
        return None
