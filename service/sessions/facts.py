"""The facts of a session, found in its file; docs/session-index.md defines them."""

import re
from collections.abc import Iterator
from datetime import timedelta

from service.catalog import Facts
from service.sessions.lines import Block, Line, Message, decode_text
from service.sessions.stretches import Stretches

TITLE = 120  # characters
LONGEST_NAME = 200  # characters of an id, a model or a project
MOST_MODELS = 100  # a session has one to five
MOST_CALLS = 200_000  # tool calls that are matched with their results; a session has up to some ten thousand
LARGEST = 2**63 - 1  # the largest number that the catalog holds
SUBAGENTS = ("Task", "Agent")

# The text between these tags was written by a program, not by a human.
OUTPUT = {"local-command-stdout", "local-command-stderr", "bash-stdout", "bash-stderr", "system-reminder"}
ELEMENT = re.compile(r"\s*<([A-Za-z][\w-]*)>(.*?)</\1>\s*", re.DOTALL)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Tally:
    """Accumulates facts. `add` takes half of the time of indexing, so it is optimized for speed."""

    def __init__(self) -> None:
        self.bad_lines = 0
        self._stretches = Stretches()
        self._user_messages = self._assistant_messages = 0
        self._tool_calls = self._mcp_calls = self._subagents = 0
        self._input = self._output = self._cache_read = self._cache_creation = 0  # tokens
        self._models: dict[str, int] = {}  # assistant messages of each, in order of first appearance
        self._calls: dict[int, int] = {}  # tool calls, by the hash of their id
        self._failed: set[int] = set()  # hashes of the ids of calls whose result says that they failed
        self._session_id: str | None = None
        self._title: str | None = None
        self._cwd: str | None = None

    @property
    def weight(self) -> int:
        """Bytes of memory that this takes, roughly."""
        return 2000 + 120 * (len(self._calls) + len(self._failed) + len(self._stretches))

    def add(self, line: Line) -> None:
        if line.timestamp is not None:
            self._stretches.add(line.timestamp)
        if self._session_id is None:
            self._session_id = line.session_id or None
        if self._cwd is None:
            self._cwd = line.cwd or None
        kind, message = line.type, line.message
        if kind == "user":
            self._user_messages += 1
            if self._title is None:
                self._title = next(human_texts(line), None)
        elif kind == "assistant":
            self._assistant_messages += 1
        elif kind == "tool_use_result" and line.is_error:
            self._add_failure(line.tool_use_id or line.other_tool_use_id)
        if message is not None:
            self._add_message(message, is_answer=kind == "assistant")

    def _add_message(self, message: Message, *, is_answer: bool) -> None:
        if is_answer:
            if message.model:
                self._add_model(message.model)
            if (tokens := message.usage) is not None:
                self._input += tokens.input_tokens or 0
                self._output += tokens.output_tokens or 0
                self._cache_read += tokens.cache_read_input_tokens or 0
                self._cache_creation += tokens.cache_creation_input_tokens or 0
        if isinstance(message.content, list):
            for block in message.content:
                if block.type == "tool_result":
                    if block.is_error:
                        self._add_failure(block.tool_use_id)
                elif is_answer and block.type == "tool_use":
                    self._add_call(block)

    def _add_model(self, model: str) -> None:
        answers = self._models.get(model, 0)
        if answers or len(self._models) < MOST_MODELS:
            self._models[model] = answers + 1

    def _add_call(self, block: Block) -> None:
        name = block.name or ""
        if name.startswith("mcp__"):
            self._mcp_calls += 1
        elif name in SUBAGENTS:
            self._subagents += 1
        else:
            self._tool_calls += 1
        if block.id is not None:
            call = hash(block.id)
            before = self._calls.get(call, 0)
            if before or len(self._calls) < MOST_CALLS:
                self._calls[call] = before + 1

    def _add_failure(self, call_id: str | None) -> None:
        if call_id is not None and len(self._failed) < MOST_CALLS:
            self._failed.add(hash(call_id))

    def facts(self) -> Facts:
        began, ended = self._stretches.first, self._stretches.last
        return Facts(
            session_id=_name(self._session_id),
            started_at=began,
            ended_at=ended,
            active_seconds=self._stretches.seconds,
            wall_seconds=(ended - began) // timedelta(seconds=1) if began and ended else None,
            user_messages=self._user_messages,
            assistant_messages=self._assistant_messages,
            tool_calls=self._tool_calls,
            mcp_calls=self._mcp_calls,
            subagents=self._subagents,
            tool_errors=sum(self._calls[call] for call in self._failed & self._calls.keys()),
            primary_model=_name(max(self._models, key=self._models.__getitem__, default=None)),
            models=tuple(name for model in self._models if (name := _name(model))),
            input_tokens=min(self._input, LARGEST),
            output_tokens=min(self._output, LARGEST),
            cache_read_tokens=min(self._cache_read, LARGEST),
            cache_creation_tokens=min(self._cache_creation, LARGEST),
            title=self._title,
            project=_name(re.split(r"[/\\]", self._cwd.rstrip("/\\"))[-1]) if self._cwd else None,
            bad_lines=self.bad_lines,
        )


def human_texts(line: Line) -> Iterator[str]:
    """The texts that a human wrote in a line of type `user`, each cut to the length of a title."""
    if line.is_meta or line.has_result or line.message is None:
        return
    content = line.message.content
    written = [content] if isinstance(content, str) else [decode_text(b.text) for b in line.blocks if b.type == "text"]
    for text in written:
        if text and (words := _without_tags(text)):
            yield words


def _without_tags(text: str) -> str:
    """The text on one line, without the tags around it and without the output of programs between tags."""
    parts, position = [], 0
    while element := ELEMENT.match(text, position):
        if element[1] not in OUTPUT:
            parts.append(element[2])
        position = element.end()
    parts.append(text[position:])
    return CONTROL.sub("", " ".join(" ".join(parts).split()))[:TITLE].rstrip()


def _name(text: str | None) -> str | None:
    return (CONTROL.sub("", text)[:LONGEST_NAME] or None) if text else None
