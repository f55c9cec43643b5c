"""The API's reference: true to the service in both directions, and a page that needs nothing from elsewhere."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from multidict import CIMultiDict
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.api.reference import ASSETS
from service.catalog import User
from tests.document import NOT_OPERATIONS, document, examples, operations, violations
from tests.world import ADMIN, PLAIN, World

SETTINGS = str(Path(__file__).with_name("schemathesis.toml"))
SCHEMATHESIS = (sys.executable, "-m", "schemathesis.cli", "--config-file", SETTINGS, "run", "--checks", "all")
EXAMPLES = [pytest.param(schema, value, id=where) for where, schema, value in examples()]
LIST = ("GET", "/api/admin/users/{user_id}/sessions")
ONE = "b5a9469f-43af-4319-9bdb-5a2fdc8599dc.jsonl"
EVERY = {"X-Request-ID": "a", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
JSON = EVERY | {"Content-Type": "application/json; charset=utf-8"}
PAGE = {"rows": [], "pagination": {"limit": 1, "offset": 0, "total": 0}}


def test_the_document_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(document()).validate()


async def test_every_route_has_an_entry_and_every_entry_a_route(service: World) -> None:
    routes = {(route.method, route.resource.canonical) for route in service.app.router.routes() if route.resource}
    assert routes == operations().keys() | {("GET", path) for path in NOT_OPERATIONS}


async def test_the_document_is_served_as_it_is_written(service: World) -> None:
    answer = await service.get("/openapi.json", token=None)
    assert answer.json == document()


@pytest.mark.parametrize(("method", "path"), operations())
def test_every_operation_is_described(method: str, path: str) -> None:
    operation = operations()[method, path]
    assert operation["summary"]
    for response in operation["responses"].values():
        assert response["description"].strip()
        assert all(header["description"].strip() for header in response["headers"].values())
    for parameter in document()["components"]["parameters"].values():
        assert parameter["description"].strip()


@pytest.mark.parametrize(("schema", "value"), EXAMPLES)
def test_every_example_is_as_its_schema_says(schema: Any, value: object) -> None:
    Draft202012Validator(schema).validate(value)


@pytest.mark.parametrize(
    ("status", "headers", "body", "wrong"),
    [
        (200, JSON, PAGE, []),
        (404, JSON, None, ["application/json is not described"]),
        (418, JSON, None, ["is not described"]),
        (200, JSON | {"X-New": "1"}, PAGE, ["the header x-new is not described"]),
        (200, JSON | {"X-Request-ID": "a b"}, PAGE, ["header x-request-id"]),
        (200, {"Content-Type": "application/json"} | EVERY | {"Cache-Control": "private"}, PAGE, ["cache-control"]),
        (200, EVERY | {"Content-Type": "text/plain"}, None, ["text/plain is not described"]),
        (200, JSON, {"rows": []}, ["'pagination' is a required property"]),
        (200, JSON, PAGE | {"more": 1}, ["'more' was unexpected"]),
        (200, JSON, PAGE | {"rows": [{}]}, ["is a required property"] * 15),
    ],
)
def test_what_the_document_does_not_allow_is_found(
    status: int, headers: dict[str, str], body: object, wrong: list[str]
) -> None:
    found = list(violations(*LIST, status, CIMultiDict(headers), body))
    assert len(found) == len(wrong)
    assert all(expected in sentence for expected, sentence in zip(wrong, found, strict=True))


@pytest.mark.parametrize(
    ("operation", "status", "path", "options"),
    [
        (LIST, 401, "u-1001/sessions", {"token": None}),
        (LIST, 403, "u-1001/sessions", {"token": PLAIN}),
        (LIST, 404, "nobody/sessions", {}),
        (LIST, 422, "u-1001/sessions?limit=201", {}),
        (("GET", f"{LIST[1]}/download-all"), 404, "u-1003/sessions/download-all", {}),
        (("GET", f"{LIST[1]}/{{session_file}}/download"), 400, "u-1001/sessions/..%2Fetc%2Fpasswd/download", {}),
        (("GET", f"{LIST[1]}/{{session_file}}/download"), 400, "u-1001/sessions/link.jsonl/download", {}),
        (("GET", f"{LIST[1]}/{{session_file}}/download"), 404, "u-1001/sessions/gone.jsonl/download", {}),
        (("GET", f"{LIST[1]}/{{session_file}}/download"), 412, f"u-1001/sessions/{ONE}/download",
         {"headers": {"If-Match": '"other"'}}),
        (("GET", f"{LIST[1]}/{{session_file}}/download"), 416, f"u-1001/sessions/{ONE}/download",
         {"headers": {"Range": "bytes=99-"}}),
        (("GET", "/docs/{asset}"), 404, "/docs/nothing.js", {}),
    ],
)  # fmt: skip
async def test_the_example_of_a_problem_is_what_the_service_answers(
    service: World, operation: tuple[str, str], status: int, path: str, options: dict[str, Any]
) -> None:
    await service.add_users(User("u-1001", "ann@example.com", "Ann"), User("u-1003", "carol@example.com", "Carol"))
    service.file(ONE, folder="ann").with_name("link.jsonl").symlink_to(ONE)
    answer = await service.get(path, **options)
    content = operations()[operation]["responses"][str(status)]["content"]["application/problem+json"]
    title = {"title": answer.json["title"]}  # the words for a status are Python's, and change with it
    assert answer.status == status
    assert answer.json in [example["value"] | title for example in content["examples"].values()]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("asset", ASSETS)
async def test_what_the_page_is_made_of_is_served(service: World, method: str, asset: str) -> None:
    answer = await service.get(f"/docs/{asset}", method, token=None)
    content = ASSETS[asset][0].read_bytes()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == f"{ASSETS[asset][1]}; charset=utf-8"
    assert answer.headers["Content-Length"] == str(len(content))
    assert answer.body == (content if method == "GET" else b"")


async def test_the_page_gets_everything_from_the_service_and_may_get_nothing_else(service: World) -> None:
    answer = await service.get("/docs", token=None)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    page = answer.body.decode()
    references = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert references
    for reference in references:
        path = f"/{reference.removeprefix('./')}"
        assert reference == "data:," or (await service.get(path, token=None)).status == 200
    assert not re.search(r"<script>|<style|style=|\son\w+=", page), "the policy allows nothing inline"
    policy = dict(part.split(maxsplit=1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert set(policy.values()) == {"'none'", "'self'", "data:"}


async def test_the_page_loads_the_document_and_asks_no_validator(service: World) -> None:
    script = (await service.get("/docs/page.js", token=None)).body.decode()
    assert 'url: "openapi.json"' in script
    assert "validatorUrl: null" in script
    assert "persistAuthorization: false" in script


@pytest.mark.parametrize(
    ("token", "most_examples"), [(ADMIN, 20), (PLAIN, 5), (None, 5)], ids=["admin", "no admin", "nobody"]
)
@pytest.mark.long
@pytest.mark.timeout(600)  # seconds, for a machine that has other work
async def test_schemathesis_finds_nothing_that_the_document_does_not_say(
    service: World, tmp_path: Path, token: str | None, most_examples: int
) -> None:
    await service.add_users(User("u-1001", "ann@example.com", "Ann"))
    service.file(ONE, b"x" * 2000, folder="ann")
    url = service.url("/openapi.json")
    authorized = [] if token is None else ["-H", f"Authorization: Bearer {token}"]
    process = await asyncio.create_subprocess_exec(
        *SCHEMATHESIS, url, *authorized, "--max-examples", str(most_examples),
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    rows = await service.audit("session_%download")
    assert bool(rows) == (token == ADMIN)
