"""docs/configuration.md has every key with its default, and the README names keys that exist."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from service.config import Jwt, ProxyHeaders, Settings, Token, load_settings
from tests.docs.pages import PAGES, README, code, page, tables

KEY = re.compile(r"`((?:server|storage|catalog|auth|exports|index|links|console|metrics|logging)\.[a-z0-9_.]+)`")
FILES = {"server.conf"}


def keys() -> dict[str, Any]:
    """Every key with its default."""
    return dict(flat(load_settings(None, {}).model_dump(mode="json")))


def flat(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, None if value == [] else value


def test_the_tables_have_every_key_and_its_default() -> None:
    shown: dict[str, Any] = {}
    for names, defaults, _ in tables(page("configuration"), "key"):
        values = [None if value == "none" else yaml.safe_load(value.strip("`")) for value in code(defaults)]
        shown |= dict(zip([name.strip("`") for name in code(names)], values, strict=True))
    assert shown == keys()


def test_every_section_has_a_heading() -> None:
    assert re.findall(r"^## (.*)$", page("configuration"), re.MULTILINE) == list(Settings.model_fields)


@pytest.mark.parametrize("key, model", [("auth.tokens", Token), ("auth.jwt", Jwt), ("auth.proxy", ProxyHeaders)])
def test_the_tables_name_the_keys_within(key: str, model: type[BaseModel]) -> None:
    (meaning,) = (cells[2] for cells in tables(page("configuration"), "key") if cells[0] == f"`{key}`")
    assert set(code(meaning)) >= {f"`{name}`" for name in model.model_fields}


def test_every_key_that_a_page_names_exists() -> None:
    assert len(tables(README.read_text(), "key")) == 5, "the settings that everybody sets"
    for path in PAGES:
        for key in KEY.findall(path.read_text()):
            assert key in keys().keys() | FILES, f"{path}: {key}"
