"""What a session file says of its session, worked out by hand."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest

from service.catalog import Facts
from service.sessions.transcript import Transcript


def facts(*lines: Any) -> Facts:
    """Of a file with these lines; what is no bytes is written as JSON."""
    transcript = Transcript()
    for line in lines:
        transcript.feed((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")
    return transcript.finish()


def user(content: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "user", "message": {"role": "user", "content": content}, **fields}


def assistant(*content: Any, model: Any = "opus", usage: Any = None, **fields: Any) -> dict[str, Any]:
    message = {"role": "assistant", "model": model, "content": list(content), "usage": usage}
    return {"type": "assistant", "message": message, **fields}


def call(call_id: str, name: str = "Bash") -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": {"command": "ls"}}


def result(call_id: str, *, is_error: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "is_error": is_error, "content": "…"}


def test_a_session_gives_all_of_its_facts() -> None:
    found = facts(
        {"type": "summary", "summary": "Fixing the tests", "leafUuid": "6"},
        user("Fix\n the <b>tests</b>", sessionId="s-1", cwd="/home/dev/shop", timestamp="2026-05-10T12:00:00Z"),
        assistant(
            {"type": "text", "text": "Yes."},
            call("t1"),
            usage={"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 100},
            timestamp="2026-05-10T12:00:30.5Z",
        ),
        user([result("t1", is_error=True)], toolUseResult="Error", timestamp="2026-05-10T14:00:31+02:00"),
        assistant(call("t2", "mcp__git__log"), call("t3", "Task"), call("t4", "Read"), model="sonnet"),
        user([result("t3", is_error=True), result("t4", is_error=False)], sessionId="s-2", cwd="/tmp"),
        assistant(usage={"input_tokens": 1, "cache_creation_input_tokens": 7}, timestamp="2026-05-10T13:00:00"),
    )
    assert asdict(found) == {
        "session_id": "s-1",
        "started_at": datetime(2026, 5, 10, 12, tzinfo=UTC),
        "ended_at": datetime(2026, 5, 10, 13, tzinfo=UTC),
        "active_seconds": 31,
        "wall_seconds": 3600,
        "user_messages": 3,
        "assistant_messages": 3,
        "tool_calls": 2,
        "mcp_calls": 1,
        "subagents": 1,
        "tool_errors": 2,
        "primary_model": "opus",
        "models": ("opus", "sonnet"),
        "input_tokens": 11,
        "output_tokens": 5,
        "cache_read_tokens": 100,
        "cache_creation_tokens": 7,
        "title": "Fix the <b>tests</b>",
        "project": "shop",
        "bad_lines": 0,
    }


def test_a_file_like_a_real_one_with_edge_cases() -> None:
    """The shapes of a public sample of Claude Code's files, where another processor stops."""
    found = facts(
        user([{"type": "text", "text": "Some **markdown**"}], timestamp="2025-06-14T11:00:00Z", sessionId="edge"),
        assistant(call("e1", "FailingTool"), usage={"input_tokens": 200, "output_tokens": 25, "service_tier": "x"}),
        user([result("e1", is_error=True)], toolUseResult="Error: not found", timestamp="2025-06-14T11:00:31Z"),
        user([{"type": "text", "text": "<local-command-stdout>out</local-command-stdout>"}]),
        {"type": "user", "message": {"role": "user", "contenst": [result("e1", is_error=False)]}},
        {"type": "user", "timesstamp": "2025-06-14T11:03:30Z", "message": "error"},
        "massive error",
        {"silly": "this"},
        42,
        [1],
        assistant({"type": "tool_use", "id": "e2", "name": "TodoWrite", "input": {"todos": ["broken", {"id": "2"}]}}),
        user(["wow error"], toolUseResult="created", timestamp="2025-06-14T10:00:00Z"),
        {"type": "summary", "summary": "No time", "leafUuid": "edge_011"},
    )
    assert (found.bad_lines, found.user_messages, found.assistant_messages) == (3, 6, 2)
    assert (found.tool_calls, found.tool_errors, found.title) == (2, 1, "Some **markdown**")
    assert (found.active_seconds, found.wall_seconds, found.input_tokens) == (31, 3631, 200)


def test_nothing_is_made_up_for_an_empty_file() -> None:
    found = asdict(facts())
    assert [name for name, value in found.items() if value is None] == [
        *("session_id", "started_at", "ended_at", "wall_seconds", "primary_model", "title", "project")
    ]
    assert not any(found.values())


@pytest.mark.parametrize("failure", [{"tool_use_id": "t1"}, {"toolUseId": "t1"}])
def test_a_line_of_its_own_can_say_that_a_call_failed(failure: dict[str, str]) -> None:
    failed = {"type": "tool_use_result", "is_error": True, **failure}
    assert facts(failed, assistant(call("t1"), call("t2"))).tool_errors == 1
    assert facts(failed | {"is_error": False}, assistant(call("t1"))).tool_errors == 0
    assert facts(failed | {"type": "system"}, assistant(call("t1"))).tool_errors == 0


def test_a_result_counts_wherever_it_stands_and_a_call_as_often_as_it_does() -> None:
    lines = [assistant(call("t1")), {"type": "system", "message": {"content": [result("t1", is_error=True)]}}]
    assert facts(*lines).tool_errors == 1
    assert facts(*lines, *lines).tool_errors == 2
    assert facts(user([call("t1"), result("t1", is_error=True)])).tool_errors == 0


@pytest.mark.parametrize("is_error", ["true", 1, None])
def test_only_true_is_an_error(is_error: Any) -> None:
    assert facts(assistant(call("t1")), user([result("t1", is_error=is_error)])).tool_errors == 0


def test_the_primary_model_has_most_answers_and_of_several_came_first() -> None:
    assert facts(*(assistant(model=model) for model in ("a", "b", "b", "a", "<synthetic>"))).primary_model == "a"
    assert facts(assistant(model="a"), assistant(model="<synthetic>")).models == ("a", "<synthetic>")


@pytest.mark.parametrize("number", [None, "7", 1.5, -3, True, [], {}])
def test_tokens_that_are_no_whole_number_count_as_none(number: Any) -> None:
    found = facts(assistant(usage={"input_tokens": number, "output_tokens": 5}))
    assert (found.input_tokens, found.output_tokens, found.assistant_messages) == (0, 5, 1)


def test_tokens_beyond_what_the_catalog_holds_are_the_most_that_it_does() -> None:
    assert facts(assistant(usage={"input_tokens": 10**30})).input_tokens == 2**63 - 1


@pytest.mark.parametrize(
    ("line", "title"),
    [
        (user("  Fix it,\n\tplease "), "Fix it, please"),
        (user([{"type": "image"}, {"type": "text", "text": "What is this?"}]), "What is this?"),
        (user("x" * 130), "x" * 120),
        (user("<user_query>\nFix it\n</user_query>"), "Fix it"),
        (user("<command-name>/review</command-name>\n<command-args>PR 12</command-args>"), "/review PR 12"),
        (user([{"type": "text", "text": "<system-reminder>Be nice</system-reminder>\nFix it"}]), "Fix it"),
        (user("Why is <div> open?"), "Why is <div> open?"),
        (user("a\x00b\x1b[31mc"), "ab[31mc"),
        (user("half a pair: \ud83d, \\ud83d, \U0001f600"), "half a pair: \ufffd, \\ud83d, \U0001f600"),
        (user("Caveat", isMeta=True), None),
        (user("done", toolUseResult={"stdout": "x"}), None),
        (user("not a result", toolUseResult=None), "not a result"),
        (user([result("t1", is_error=False), {"type": "text", "text": "[interrupted]"}]), None),
        (user("<local-command-stdout>total 0</local-command-stdout>"), None),
        (user(""), None),
        (user(17), None),
        (assistant({"type": "text", "text": "I am no human"}), None),
        (b'{"type":"user","message":{"content":"caf\xc3\xa9 \xff"}}', "café \ufffd"),
        ({"type": "user", "message": {"content": "Ol\u00e9", "model": 7}, "cwd": 1}, "Olé"),
    ],
)
def test_the_title_is_the_first_thing_that_a_human_wrote(line: Any, title: str | None) -> None:
    assert facts(line).title == title
    assert facts(line, user("later")).title == (title or "later")


@pytest.mark.parametrize(
    ("cwd", "project"),
    [
        ("/home/dev/shop", "shop"),
        ("/home/dev/shop/", "shop"),
        ("C:\\work\\shop", "shop"),
        ("/", None),
        ("a\x00b", "ab"),
    ],
)
def test_the_project_is_the_last_part_of_the_first_directory(cwd: str, project: str | None) -> None:
    assert facts({"cwd": 7}, {"cwd": cwd}, {"cwd": "/other"}).project == project


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-05-10T12:00:00.123Z", datetime(2026, 5, 10, 12, 0, 0, 123000, tzinfo=UTC)),
        ("2026-05-10T12:00:00", datetime(2026, 5, 10, 12, tzinfo=UTC)),
        ("2026-05-10T12:00:00+02:00", datetime(2026, 5, 10, 10, tzinfo=UTC)),
        ("20260510T120000Z", datetime(2026, 5, 10, 12, tzinfo=UTC)),
        ("2026-05-10", datetime(2026, 5, 10, tzinfo=UTC)),
        ("yesterday", None),
        (1778414400, None),
        (None, None),
    ],
)
def test_times_are_iso_8601(text: Any, moment: datetime | None) -> None:
    found = facts({"timestamp": text})
    assert (found.started_at, found.ended_at, found.bad_lines) == (moment, moment, 0)
