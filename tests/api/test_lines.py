"""Reading a session line by line."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.world import PLAIN, Answer, World, assert_problem

LINES = "u-1/sessions/a.jsonl/lines"
MIB = 1024 * 1024


async def read(service: World, query: str = "") -> Any:
    answer = await service.get(f"{LINES}{query}")
    assert answer.status == 200, answer.body
    return answer.json


async def test_a_page_has_lines_with_their_place_and_value(service: World) -> None:
    service.file("a.jsonl", b'{"n": 1}\n[2]\n\nbroken {\n"three"')
    assert await read(service) == {
        "lines": [
            {"offset": 0, "length": 9, "value": {"n": 1}},
            {"offset": 9, "length": 4, "value": [2]},
            {"offset": 13, "length": 1, "value": None, "text": ""},
            {"offset": 14, "length": 9, "value": None, "text": "broken {"},
            {"offset": 23, "length": 7, "value": "three"},
        ],
        "next": None,
        "size": 30,
    }


async def test_from_and_limit_choose_the_page(service: World) -> None:
    service.file("a.jsonl", b"".join(b"%d\n" % n for n in range(10, 400)))
    for start, limit, first, more in ((0, 1, 10, 3), (3, 2, 11, 9), (4, 1, 12, 9), (5, 1, 12, 9), (6, 1, 12, 9)):
        page = await read(service, f"?from={start}&limit={limit}")
        assert (page["lines"][0]["value"], len(page["lines"]), page["next"]) == (first, limit, more)
    assert len((await read(service))["lines"]) == 100
    assert len((await read(service, "?limit=200"))["lines"]) == 200
    for beyond in (page["size"] - 1, page["size"], page["size"] + 1, 2**63 - 1):
        assert (await read(service, f"?from={beyond}"))["lines"] == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "from=-1",
        "from=1_0",
        "from=1e3",
        f"from={2**63}",
        "from=0&from=0",
        "limit=",
        "errors=1",
    ],
)
async def test_anything_else_is_a_422(service: World, query: str) -> None:
    service.file("a.jsonl")
    answer = await service.get(f"{LINES}?{query}")
    assert_problem(answer, 422)
    assert answer.json["errors"][0]["loc"] == ["query", query.partition("=")[0]]
    assert await service.audit() == []


HOSTILE = [b'{"a": NaN}', b"Infinity", b"1e999", b"9" * 5000, b"[" * 5000 + b"]" * 5000, b"\xff\xfe\x00",
           b'"\xed\xa0\x80"', b"</script><script>alert(1)</script>", b"\x1b[2J", b'", "next": 5, "x": "',
           b"\xe2\x80\xa8", b'{"\\u0000": "\\ud83d"}']  # fmt: skip


async def test_whatever_is_in_a_line_the_answer_is_json(service: World) -> None:
    service.file("a.jsonl", b"\n".join(HOSTILE))
    answer = await service.get(LINES)
    page = json.loads(answer.body, parse_constant=pytest.fail)
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert page["next"] is None
    *others, last = page["lines"]
    assert [line["text"] for line in others] == [text.decode("utf-8", "backslashreplace") for text in HOSTILE[:-1]]
    assert last["value"] == {"\0": "\ud83d"}


async def test_of_a_long_line_the_beginning_is_given(service: World) -> None:
    exact, longer = b'"' + b"a" * (MIB - 2) + b'"', ("ä" * MIB).encode()
    service.file("a.jsonl", exact + b"\n" + b" " + longer + b"\n{}\n")
    first, second, third = (await read(service))["lines"]
    assert first["value"] == "a" * (MIB - 2)
    assert (second["value"], second["cut"], second["length"]) == (None, True, 2 * MIB + 2)
    assert second["text"] == " " + "ä" * (MIB // 2 - 1), "no half of a character"
    assert third == {"offset": 3 * MIB + 3, "length": 3, "value": {}}


async def test_a_page_has_at_most_four_mebibytes(service: World) -> None:
    service.file("a.jsonl", (b'"' + b"a" * (MIB - 3) + b'"\n') * 9)
    sizes, start = [], 0
    while start is not None:
        answer = await service.get(f"{LINES}?from={start}")
        sizes.append(len(answer.json["lines"]))
        start = answer.json["next"]
    assert sizes == [4, 4, 1]


async def test_the_lines_at_the_end_of_a_large_session_are_read_where_they_are(service: World) -> None:
    file = service.file("a.jsonl", b'{"n": 1}\n')
    with file.open("r+b") as large:  # sparse: a gibibyte of NUL bytes lies between
        large.seek(1024 * MIB)
        large.write(b'\n{"n": 2}\n')
    page = await read(service, f"?from={1024 * MIB}")
    assert page["lines"] == [{"offset": 1024 * MIB + 1, "length": 9, "value": {"n": 2}}]
    page = await read(service)
    assert [(line["value"], line.get("cut")) for line in page["lines"]] == [({"n": 1}, None)]
    page = await read(service, f"?from={page['next']}")
    assert (page["lines"][0]["cut"], page["next"]) == (True, 9 + 64 * MIB)


async def test_reading_is_audited_before_a_line_is_sent(service: World) -> None:
    service.file("a.jsonl", b'{"n": 1}\n{"n": 2}\n')
    answer = await service.get(f"{LINES}?from=1&limit=1")
    (row,) = await service.audit()
    assert (row["action"], row["resource"], row["user_id"], row["result"]) == (
        "session_view", "users/u-1/sessions/a.jsonl", "admin1", "success",
    )  # fmt: skip
    assert json.loads(row["params"]) == {"username": "alice", "session_file": "a.jsonl", "from": 1, "bytes": 8}
    assert row["correlation_id"] == answer.headers["X-Request-ID"]


async def test_only_lines_with_errors_are_given_and_the_audit_row_says_so(service: World) -> None:
    failed = b'{"message": {"content": [{"type": "tool_result", "is_error": true}]}}\n'
    service.file("a.jsonl", b'{"n": 1}\n' * 1000 + failed + b'{"n": 2}\n')
    page = await read(service, "?errors=true")
    assert ([line["offset"] for line in page["lines"]], page["next"]) == ([9000], None)
    assert len((await read(service, "?errors=false"))["lines"]) == 100
    first, second = [json.loads(row["params"]) for row in await service.audit()]
    assert first == {
        "username": "alice",
        "session_file": "a.jsonl",
        "from": 0,
        "bytes": len(failed) - 1,
        "errors": True,
    }
    assert "errors" not in second


async def test_no_row_no_lines(service: World) -> None:
    service.file("a.jsonl", b'{"secret": 1}\n')
    await service.sql("DROP TABLE audit_log")
    answer = await service.get(LINES)
    assert_problem(answer, 503)
    assert b"secret" not in answer.body


async def refused(service: World, path: str, status: int, **options: Any) -> Answer:
    answer = await service.get(path, **options)
    assert_problem(answer, status)
    assert await service.audit() == []
    return answer


@pytest.mark.parametrize(("token", "status"), [(None, 401), (PLAIN, 403)])
async def test_only_admins_read(service: World, token: str | None, status: int) -> None:
    service.file("a.jsonl")
    await refused(service, LINES, status, token=token)


@pytest.mark.parametrize(
    ("name", "status"),
    [("..%2Fa.jsonl", 400), ("sub/a.jsonl", 400), ("a.json", 400), ("gone.jsonl", 404), ("link.jsonl", 400),
     ("fifo.jsonl", 400), ("directory.jsonl", 400)],
)  # fmt: skip
async def test_only_session_files_are_read(service: World, tmp_path: Path, name: str, status: int) -> None:
    folder = service.file("a.jsonl").parent
    (folder / "link.jsonl").symlink_to("a.jsonl")
    os.mkfifo(folder / "fifo.jsonl")
    (folder / "directory.jsonl").mkdir()
    await refused(service, f"u-1/sessions/{name}/lines", status)


async def test_another_users_session_is_not_found(service: World) -> None:
    service.file("b.jsonl", folder="bob")
    await refused(service, "u-1/sessions/b.jsonl/lines", 404)
    await refused(service, "nobody/sessions/b.jsonl/lines", 404)
