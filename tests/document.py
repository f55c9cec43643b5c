"""The OpenAPI document, and what of an answer it does not allow. Every answer in every test is held against it."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

# Streams that break HTTP on purpose, for `session-export doctor`: an OpenAPI document cannot say that.
NOT_OPERATIONS = {f"/api/admin/doctor/{stream}" for stream in ("broken", "paused", "flood")}
# Headers of the connection, not of an answer, and those that OpenAPI describes by other means.
NOT_DESCRIBED = {"connection", "content-length", "content-type", "date", "server", "transfer-encoding"}


@cache
def document() -> dict[str, Any]:
    """As it is written."""
    content: dict[str, Any] = yaml.safe_load((Path(__file__).parent.parent / "service/api/openapi.yaml").read_text())
    return content


@cache
def operations() -> dict[tuple[str, str], Any]:
    """By method and path, with what they refer to put in its place."""
    return {
        (method.upper(), path): _resolved(operation)
        for path, item in document()["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def violations(method: str, path: str, status: int, headers: Mapping[str, str], body: object) -> Iterator[str]:
    """What the document does not allow in an answer. `body` is the JSON decoded; None is not looked at."""
    where = f"{method} {path} {status}"
    if path in NOT_OPERATIONS:
        return
    operation = operations().get((method, path))
    response = operation and operation["responses"].get(str(status))
    if response is None:
        yield f"{where} is not described"
        return
    described = {name.lower(): header for name, header in response["headers"].items()}
    for name in {header.lower() for header in headers} - NOT_DESCRIBED - described.keys():
        yield f"{where}: the header {name} is not described"
    for name, header in described.items():
        if name in headers:
            yield from _invalid(f"{where}, header {name}", header["schema"], headers[name])
        elif header.get("required"):
            yield f"{where}: the header {name} is missing"
    content = response.get("content", {})
    media_type = headers.get("Content-Type", "").partition(";")[0]
    if content and media_type not in content:
        yield f"{where}: {media_type} is not described"
    elif content and body is not None:
        yield from _invalid(where, content[media_type]["schema"], body)


def examples() -> Iterator[tuple[str, Any, Any]]:
    """Every example of a body: where it stands, the schema it is of, and its value."""
    for (method, path), operation in operations().items():
        for status, response in operation["responses"].items():
            for media_type in response.get("content", {}).values():
                for name, example in media_type.get("examples", {}).items():
                    yield f"{method} {path} {status} {name}", media_type["schema"], example["value"]


def _invalid(where: str, schema: Any, value: object) -> Iterator[str]:
    for error in Draft202012Validator(schema).iter_errors(value):
        yield f"{where}: {error.json_path}: {error.message}"


def _resolved(node: Any) -> Any:
    """Objects are closed besides: the document lets clients expect more members, the service must not have them."""
    if isinstance(node, list):
        return [_resolved(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target: Any = document()
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return _resolved(target)
    closed = {"additionalProperties": False} if "properties" in node else {}
    return closed | {key: _resolved(value) for key, value in node.items()}
