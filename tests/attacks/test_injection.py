"""Whatever comes from outside and is echoed: it stays a value, in a header, a log line, a body, the audit log, SQL."""

import ast
import json
import logging
import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from aiohttp.multipart import content_disposition_filename, parse_content_disposition
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from service.catalog import After, Selection, User
from service.catalog.statement import Statement
from service.server.logs import TextFormatter
from tests.raw import Reply, wire
from tests.sources import MODULES, source
from tests.world import World

pytestmark = pytest.mark.long

HOSTILE = {
    "CR LF": "a\r\nX-Injected: 1\r\n\r\n<html>",
    "LF": "a\nX-Injected: 1",
    "other line ends": "a\x0b\x0c\x1c\x85\u2028\u2029X-Injected: 1",
    "quotes": 'a"; filename="evil.exe"; x=\'\\',
    "a log line": "a\n2026-05-10T12:00:00.000Z INFO service.http.access: forged",
    "escape sequences": "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "right to left": "a\u202egnp.exe",
    "NUL": "a\0b",
    "emoji": "a😀\u200d🔥",
    "format": "%s %(levelname)s {0.__class__} ${jndi:ldap://x}",
    "HTML": "<script>alert(1)</script>",
    "SQL": "'; DROP TABLE users; DELETE FROM audit_log; --",
    "SQL, union": "x' UNION SELECT id, email, name, active FROM users --",
    "SQL, wildcards": "%_*?",
    "JSON": '{"$ne": null}, "x": "',
    "100 KB": "ab" * 50_000,
    "100 KB of line ends": "\r\n" * 50_000,
}

HEADERS = ["X-Request-ID", "User-Agent", "Range", "If-None-Match", "If-Range", "If-Modified-Since", "Accept", "Cookie",
           "X-Forwarded-For", "Forwarded", "Referer", "Origin", "Content-Type", "Host"]  # fmt: skip
PLACES = ["{}/sessions", "{}/activity", "u-1/sessions?limit={}", "u-1/sessions?{}=1", "u-1/sessions/{}/download",
          "u-1/{}", "u-1/sessions/download-all?compression={}"]  # fmt: skip
NAMES = [text for text in HOSTILE.values() if len(text) < 200 and not set(text) & set("/\\\r\n\0\x1b\x0b")]


@pytest.fixture
async def noted(service: World, caplog: pytest.LogCaptureFixture) -> World:
    caplog.set_level(logging.INFO)
    service.file("a.jsonl", b"0123456789")
    return service


@pytest.fixture
def formatted(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What the service's own formatter made of each record, filled when the test is over with its requests."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(TextFormatter().format(record))

    handler = Lines()
    logging.getLogger("service").addHandler(handler)
    yield lines
    logging.getLogger("service").removeHandler(handler)
    assert lines
    for line in lines:
        assert line.isprintable()
        assert len(line) < 20_000


def harmless(reply: Reply) -> None:
    assert "X-Injected" not in reply.headers
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "text/html" not in reply.headers["Content-Type"]
    for name, value in reply.headers.items():
        assert f"{name}{value}".isascii()
        assert f"{name}{value}".isprintable()
        assert len(value) < 2000


@pytest.mark.parametrize("header", HEADERS)
async def test_no_header_gets_out_of_its_value(noted: World, formatted: list[str], header: str) -> None:
    """A line end in it makes two headers of it, or no HTTP: what counts is that the answer has neither."""
    answered = set()
    for text in HOSTILE.values():
        sent = f"{header}: {text}".encode()
        async with wire(noted.running.port) as line:
            reply = await line.ask("/api/admin/users/u-1/sessions/a.jsonl/download", sent, "Connection: close")
        harmless(reply)
        assert reply.status in (200, 400), text
        answered.add(reply.headers["X-Request-ID"])
    for row in await noted.audit():
        assert row["client_kind"] is None or (row["client_kind"].isprintable() and len(row["client_kind"]) <= 64)
        assert row["correlation_id"] in answered
        assert len(json.loads(row["params"]).get("range", "")) <= 1000
        assert len(row["params"]) < 2000


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_no_user_of_the_catalog_gets_out_of_a_value(noted: World, formatted: list[str], text: str) -> None:
    """Its id in the path, the problem, the log and the audit log; its e-mail in a download's name."""
    user = User(f"id{text[:1000]}", f"{text}@example.com", text)
    await noted.add_users(user)
    found = quote(user.id, safe="")
    async with wire(noted.running.port) as line:
        for path in ("sessions", "sessions/download-all", "activity", "nothing", "sessions?limit=0"):
            for method in ("GET", "HEAD"):
                harmless(await line.ask(f"/api/admin/users/{found}/{path}", method=method))
    rows = await noted.audit("admin.user_activity_read")
    assert {row["resource"] for row in rows} == {f"users/{user.id}/activity"}
    assert {json.loads(row["params"])["target_user_id"] for row in rows} == {user.id}


@pytest.mark.parametrize("text", NAMES)
async def test_an_export_of_a_user_with_an_odd_name_says_it_in_its_header_and_row(noted: World, text: str) -> None:
    await noted.add_users(User("odd", f"{text}@example.com", None))
    noted.file("b.jsonl", folder=text)
    async with wire(noted.running.port) as line:
        reply = await line.ask("/api/admin/users/odd/sessions/download-all")
    harmless(reply)
    assert reply.status == 200
    filename = content_disposition_filename(parse_content_disposition(reply.headers["Content-Disposition"])[1])
    assert re.fullmatch(rf"{re.escape(text)}-sessions-\d{{4}}-\d\d-\d\d\.zip", filename or "")
    started, ended = await noted.audit("session_bulk_download%")
    assert json.loads(started["params"])["username"] == json.loads(ended["params"])["username"] == text


async def test_a_username_of_100_kb_makes_a_short_header(noted: World) -> None:
    await noted.add_users(User("long", f"{'ü' * 50_000}@example.com", None))
    noted.file("b.jsonl", folder="long")
    async with wire(noted.running.port) as line:
        reply = await line.ask("/api/admin/users/long/sessions/download-all")
    assert reply.status == 200
    harmless(reply)


@pytest.mark.parametrize("place", PLACES)
async def test_what_stands_in_a_url_comes_back_encoded_or_as_json(
    noted: World, formatted: list[str], place: str
) -> None:
    before = await noted.sql("SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM audit_log) AS audit")
    async with wire(noted.running.port) as line:
        for text in (text for text in HOSTILE.values() if len(text) < 1000):
            target = f"/api/admin/users/{place.format(quote(text, safe=''))}"
            reply = await line.ask(target)
            harmless(reply)
            assert reply.status in (200, 400, 404, 422)
            assert reply.status == 200 or reply.json["instance"] == target.partition("?")[0]
            assert reply.status != 200 or "=1" in place
            assert reply.body.isascii()
            assert b"\x1b" not in reply.body
    after = await noted.sql("SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM audit_log) AS audit")
    assert after == before


@settings(suppress_health_check=[HealthCheck.differing_executors])
@given(st.text(max_size=60), st.sampled_from(["%s", "user %r", "%s and %s"]))
@example("a\r\nforged\x1b[31m\u2028", "%s")
def test_no_text_breaks_a_log_line(text: str, form: str) -> None:
    arguments = (text,) * form.count("%")
    line = TextFormatter().format(logging.LogRecord("service", logging.INFO, "", 0, form, arguments, None))
    assert line.isprintable()


# Statements that are passed on: by the cursors, `Database.query`, and the reader of the schema's files.
PASSED_ON = {
    ("catalog/database", "sql"),
    ("catalog/duckdb", "sql"),
    ("catalog/postgres", "sql"),
    ("catalog/postgres", "f'{sql} ON CONFLICT DO NOTHING'"),
    ("catalog/schema", "statements"),
    # Made of the names of a dataclass's fields; and by `Statement`, of which the next test but one asks more.
    ("catalog/index", "ADD"),
    ("catalog/search", "sql"),
    ("catalog/audit_search", "sql"),
    # Made of the tables and columns that `copy.py` names.
    ("catalog/copy", "table.page"),
    ("catalog/copy", "table.add"),
    ("catalog/copy", "table.count"),
    ("catalog/audit", "ADD_MANY"),
}
# What runs SQL, in DuckDB's Python or through the catalog's own door.
RUNS_SQL = {"query", "execute", "executemany", "sql", "from_query", "query_df", "read_csv", "read_json", "read_parquet"}


@pytest.mark.parametrize("module", MODULES)
def test_every_statement_is_a_constant(module: str) -> None:
    """Read from the source: a literal, or a name in capitals that got a literal once, at the top of the module, or one
    that is put together from such names.

    The cursors and `Database.query` pass on what they were given, and their callers are read here too; the schema is a
    file of the package.
    """
    tree = source(module)
    given = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    constants = {
        node.targets[0].id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and _is_text(node.value)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in RUNS_SQL:
            statement = node.args[0]
            if isinstance(statement, ast.Name) and statement.id in constants:
                assert given.count(statement.id) == 1, f"{statement.id} is given a value twice"
            else:
                assert _is_text(statement) or (module, ast.unparse(statement)) in PASSED_ON, ast.unparse(node)


def test_no_value_of_a_selection_gets_into_the_text_of_a_statement() -> None:
    hostile = "x') OR 1=1 --"
    selection = Selection(session_files=(hostile,), user_ids=(hostile,), models=(hostile,), errors=True, q=hostile)
    for with_usage in (True, False):
        statement = Statement(with_usage=with_usage)
        after = After(0, hostile, hostile)
        text = statement.sessions(selection.user_ids) + statement.condition(selection, after, "span_begin")
        assert hostile not in text
        assert sum(hostile in str(value) for value in statement.values) == 7


def _is_text(node: ast.expr) -> bool:
    """A literal, or an f-string of constants: names in capitals, and attributes and formats of these."""
    if isinstance(node, ast.JoinedStr):
        values = [value.value for value in node.values if isinstance(value, ast.FormattedValue)]
        return all(isinstance(inner, ast.Name) and inner.id.isupper() for inner in map(_innermost, values))
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _innermost(node: ast.expr) -> ast.expr:
    if isinstance(node, ast.Call) and all(isinstance(argument, ast.Constant) for argument in node.args):
        return _innermost(node.func)
    return _innermost(node.value) if isinstance(node, ast.Attribute) else node


def test_the_reading_of_statements_would_find_one_that_is_made() -> None:
    for made in ('query(f"SELECT {x}")', 'query("SELECT " + x)', 'query("SELECT %s" % x)', 'query("".join(x))'):
        call = ast.parse(f"c.{made}").body[0]
        assert isinstance(call, ast.Expr)
        assert isinstance(call.value, ast.Call)
        assert not _is_text(call.value.args[0])
