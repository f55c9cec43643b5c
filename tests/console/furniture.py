"""Users and sessions for the console's tests: small, known, and some of them hostile."""

import json
from datetime import UTC, datetime, timedelta

from service.catalog import User
from tests.world import World

BOB = User("u-2", "bob@example.com", "Bob")
OCTOBER = datetime(2026, 10, 5, 9, tzinfo=UTC)
# Markup, a link that would run, an escape of a terminal, and a mark that turns the direction round.
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> javascript:alert(3) \x1b[31mred\x1b[0m \u202egpj.exe"


def line(kind: str, content: object, at: datetime, **message: object) -> bytes:
    """A line of a transcript."""
    fields = {
        "type": kind,
        "timestamp": at.isoformat(),
        "sessionId": "s-1",
        "cwd": "/home/dev/shop",
        "message": {"role": kind, "content": content} | message,
    }
    return json.dumps(fields).encode() + b"\n"


def transcript(
    title: str, begin: datetime = OCTOBER, *, model: str = "claude-sonnet-4", errors: int = 0, calls: int = 2
) -> bytes:
    """A session with that first message; each call takes a minute, and the last ones fail."""
    lines = [line("user", title, begin)]
    for number in range(max(calls, errors)):
        at = begin + timedelta(minutes=number + 1)
        failed = number >= max(calls, errors) - errors
        call = {"type": "tool_use", "id": f"t-{number}", "name": "Bash", "input": {"command": f"make step-{number}"}}
        result = {
            "type": "tool_result",
            "tool_use_id": f"t-{number}",
            "content": f"output {number}",
            "is_error": failed,
        }
        lines += [
            line("assistant", [{"type": "text", "text": f"Step {number}."}, call], at, model=model),
            line("user", [result], at + timedelta(seconds=5)),
        ]
    return b"".join(lines)


async def furnish(world: World) -> None:
    """Alice has three sessions in October, of which two have errors, and one in November; Bob has one."""
    await world.add_users(BOB)
    world.file("a1.jsonl", transcript("Fix the checkout", OCTOBER, errors=1))
    world.file("a2.jsonl", transcript("Speed up the search", OCTOBER + timedelta(days=3), model="claude-opus-4"))
    world.file("a3.jsonl", transcript("Why does the build fail?", OCTOBER + timedelta(days=9), errors=2))
    world.file("a4.jsonl", transcript("Tidy the tests", OCTOBER + timedelta(days=40), errors=1))
    world.file("b1.jsonl", transcript("Write the release notes", OCTOBER + timedelta(days=4)), folder="bob")
    world.file("n1.jsonl", transcript("Nobody's"), folder="nobody")
    await index(world)


async def index(world: World) -> None:
    """Have the service read all files: a filter by time needs it."""
    assert (await world.get("/api/admin/sessions?since=2000-01-01")).status == 200
