"""Small session files whose facts are easy to tell."""

import json
from typing import Any


def session(
    *,
    title: str = "Fix the tests",
    began: str = "2026-05-10T12:00:00Z",
    ended: str = "2026-05-10T12:05:00Z",
    model: str = "opus",
    cwd: str = "/home/dev/shop",
    error: bool = False,
    session_id: str = "s-1",
) -> bytes:
    """Two messages and a tool call, which fails on request."""
    call = {"type": "tool_use", "id": "t1", "name": "Bash"}
    result = {"type": "tool_result", "tool_use_id": "t1", "is_error": error}
    return lines(
        {"type": "user", "message": {"content": title}, "timestamp": began, "cwd": cwd, "sessionId": session_id},
        {"type": "assistant", "message": {"model": model, "content": [call]}, "timestamp": began},
        {"type": "user", "message": {"content": [result]}, "timestamp": ended},
    )


def lines(*values: Any) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)
