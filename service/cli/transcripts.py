"""Made-up session files that look like real ones: an agent's messages, tool calls and their results, line by line.

For the demo, tests and benchmarks. The same seed gives the same bytes.
"""

import json
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

WORDS = """
the a to of in and is it that for on with this as are be not by from or an at if we you can will should when which
file test error function class value return path line change update check run build call server client request
response data model user session token config option default import module package version release branch commit
merge review fix bug feature refactor cleanup log message warning trace stack debug print format parse write read
open close stream buffer chunk byte size length index list dict set tuple string integer float boolean null empty
missing wrong right first last next previous new old same different large small fast slow before after between
inside outside because however therefore instead already still again also only just maybe probably clearly simply
database query table column row key cache lock thread process queue worker task event loop async await timeout retry
directory folder name type object method attribute argument parameter variable constant result output input
handler router middleware header body status code endpoint socket connection proxy balancer container image cluster
looks seems works fails passes breaks needs uses makes takes gives keeps holds finds shows adds removes moves
schema migration permission account password secret certificate domain address network interface protocol packet
implementation behaviour coverage assertion fixture mock dependency requirement documentation example explanation
""".split()  # noqa: SIM905 - two hundred quoted words are harder to read

CODE = (
    '    if {a} is None:\n        raise ValueError(f"{a} is missing in {{{b}}}")\n',
    "def {a}_{b}({c}: str, *, {d}: int = {n}) -> dict[str, int]:\n    return {{{c}: {d} for {c} in self._{b}}}\n",
    "async with self.{a}.{b}(timeout={n}) as {c}:\n    await {c}.{d}()\n",
    "{a} = [{b}.{c} for {b} in {d}s if {b}.{c} > {n}]\n",
    '    assert {a}.{b} == {n}, "{c} {d}"\n',
    "  {n}\\t- {a}: {b}\n  {n}\\t+ {a}: {c}_{d}\n",
    'src/{a}/{b}_{c}.py:{n}: error: Argument "{d}" has incompatible type\n',
    "$ git diff --stat\n src/{a}/{b}.py | {n} ++--\n tests/test_{c}_{d}.py | 12 +++\n",
    "tests/{a}/test_{b}.py::test_{c}_{d} PASSED [ {n}%]\n",
)


PIECES = 2000  # enough that few repeat within deflate's window


class Writer:
    """Makes sessions, one after the other."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - not for secrets
        self._texts = [_prose(self._chance) for _ in range(PIECES)]
        self._codes = [_code(self._chance) for _ in range(PIECES)]

    def session(self, size: int, begin: datetime = datetime(2026, 5, 10, 12, tzinfo=UTC)) -> Iterator[bytes]:
        """The lines of a session that began at `begin`: `size` bytes in all, or up to one line more."""
        session_id = self.new_id()
        parent = None
        written = 0
        moment = begin
        while written < size:
            own = self.new_id()
            moment += timedelta(milliseconds=self._chance.randrange(200, 20_000))
            line = {
                "parentUuid": parent,
                "isSidechain": False,
                "userType": "external",
                "cwd": "/home/dev/project",
                "sessionId": session_id,
                "version": "1.0.43",
                **self._turn(),
                "uuid": own,
                "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            }
            parent = own
            data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
            written += len(data)
            yield data

    def _turn(self) -> dict[str, object]:
        kind = self._chance.random()
        if kind < 0.15:
            return {"type": "user", "message": {"role": "user", "content": self._chance.choice(self._texts)}}
        if kind < 0.55:
            path = f"/home/dev/project/src/{self._chance.choice(WORDS)}.py"
            call: dict[str, object] = {
                "type": "tool_use",
                "id": self._id("toolu"),
                "name": self._chance.choice(("Read", "Edit", "Bash", "Grep")),
                "input": {"file_path": path, "new_string": self._some(self._codes)},
            }
            return self._assistant([{"type": "text", "text": self._chance.choice(self._texts)}, call])
        if kind < 0.7:
            return self._assistant([{"type": "text", "text": self._some(self._texts)}])
        result = {"tool_use_id": self._id("toolu"), "type": "tool_result", "content": self._some(self._codes)}
        return {"type": "user", "message": {"role": "user", "content": [result]}}

    def _assistant(self, content: list[dict[str, object]]) -> dict[str, object]:
        usage = {
            "input_tokens": self._chance.randrange(5, 5000),
            "cache_read_input_tokens": self._chance.randrange(100_000),
            "output_tokens": self._chance.randrange(20, 2000),
            "service_tier": "standard",
        }
        message = {
            "id": self._id("msg"),
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-20250514",
            "content": content,
            "stop_reason": "tool_use",
            "usage": usage,
        }
        return {"type": "assistant", "message": message, "requestId": self._id("req")}

    def _some(self, pieces: list[str]) -> str:
        return "\n".join(self._chance.choices(pieces, k=self._chance.randrange(1, 12)))

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._chance.getrandbits(96):024x}"

    def new_id(self) -> str:
        """A session's id, which is also its file's name."""
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))


def _prose(chance: random.Random) -> str:
    words = chance.choices(WORDS, k=chance.randrange(12, 60))
    return " ".join(words).capitalize() + "."


def _code(chance: random.Random) -> str:
    names = dict(zip("abcd", chance.sample(WORDS, 4), strict=True))
    return chance.choice(CODE).format(n=chance.randrange(1000), **names)
