"""What the README says, tried: its commands, its table of settings, and its lines for nginx in a real nginx."""

import asyncio
import io
import json
import logging
import os
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import encode_basic_auth
from pydantic import BaseModel

from service.auth import checked
from service.config import Jwt, ProxyHeaders, Token, load_settings
from service.server.logs import JsonFormatter
from tests.command import TOP, configure, run, running
from tests.proxies import LOCATIONS, needs_nginx, nginx
from tests.world import ADMIN, World

README = (TOP / "README.md").read_text()
EXPORT = "/api/admin/users/u-1/sessions/download-all"


def location() -> str:
    """The README's block for nginx, before the service of a test."""
    (block,) = re.findall(r"^    (location /api/admin/ \{.*?^    \})$", README, re.MULTILINE | re.DOTALL)
    return str(block).replace("http://127.0.0.1:8080", "http://session_export")


def directives(config: str) -> set[str]:
    """Without comments, however they are set out."""
    plain = re.sub(r"#.*", "", config)
    return {" ".join(directive.split()) for directive in re.split(r"[;{}]", plain)}


def test_its_lines_for_nginx_are_those_that_are_shipped() -> None:
    assert directives(location()) == directives(LOCATIONS)


async def curl(url: str, output: Path, *more: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "curl", "-s", "-o", output, "-w", "%{http_code}", "-H", f"Authorization: Bearer {ADMIN}", *more, url,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


@needs_nginx
async def test_a_whole_export_comes_through_nginx(service: World, tmp_path: Path) -> None:
    service.file("a.jsonl", b"x" * 1_000_000)
    async with nginx(tmp_path, service.running.port or 0, location()) as url:
        assert await curl(url + EXPORT, tmp_path / "out.zip") == (0, "200")
    judge = await asyncio.create_subprocess_exec("unzip", "-tq", tmp_path / "out.zip", stdout=asyncio.subprocess.PIPE)
    await judge.communicate()
    assert judge.returncode == 0


@needs_nginx
@pytest.mark.parametrize("path", [EXPORT, "/api/admin/users/u-1/sessions/a.jsonl/download"])
async def test_a_broken_transfer_is_seen_as_broken_through_nginx(service: World, tmp_path: Path, path: str) -> None:
    file = service.file("a.jsonl", os.urandom(40_000_000))
    output = tmp_path / "out"
    async with nginx(tmp_path, service.running.port or 0, location()) as url:
        reading = asyncio.create_task(curl(url + path, output, "--limit-rate", "4M"))
        while not output.exists() or output.stat().st_size < 100_000:
            await asyncio.sleep(0.01)
        os.truncate(file, 1000)
        code, _ = await reading
    assert code == 18, "curl: transfer closed with outstanding data remaining"
    assert [row["result"] for row in await service.audit("session%download")] == ["error"]


@needs_nginx
async def test_without_http_1_1_to_the_service_exports_are_refused(service: World, tmp_path: Path) -> None:
    service.file("a.jsonl")
    block = re.sub(r"proxy_http_version.*", "proxy_http_version 1.0;", location())
    async with nginx(tmp_path, service.running.port or 0, block) as url:
        assert await curl(url + EXPORT, tmp_path / "out") == (0, "505")
    assert "proxy_http_version 1.1" in (tmp_path / "out").read_text()


@needs_nginx
async def test_a_browsers_link_to_an_export_works_where_the_proxy_authenticates(service: World, tmp_path: Path) -> None:
    service.file("a.jsonl", b"{}\n")
    passwords = tmp_path / "passwords"
    passwords.write_text("ada:{PLAIN}secret\n")
    mine = f'auth_basic "staff"; auth_basic_user_file {passwords}; proxy_set_header Authorization "Bearer {ADMIN}"; '
    browser = {"Accept": "text/html,*/*;q=0.8", "Accept-Encoding": "gzip, deflate, br", "Sec-Fetch-Mode": "navigate"}
    async with nginx(tmp_path, service.running.port or 0, location().replace("{", "{ " + mine, 1)) as url:
        async with service.client.get(url + EXPORT, headers=browser) as refused:
            assert refused.status == 401
        async with service.client.get(
            url + EXPORT, headers=browser | {"Authorization": encode_basic_auth("ada", "secret")}
        ) as answer:
            assert answer.status == 200
            assert re.fullmatch(
                r'attachment; filename="alice-sessions-[0-9-]{10}\.zip"', answer.headers["Content-Disposition"]
            )
            assert "Content-Encoding" not in answer.headers
            assert zipfile.ZipFile(io.BytesIO(await answer.read())).namelist() == ["a.jsonl"]


def rows() -> list[list[str]]:
    """The cells of the table of settings."""
    table = re.findall(r"^\| key in .*\n\| ---.*\n((?:\|.*\n)+)", README, re.MULTILINE)[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]


def test_the_table_of_settings_has_every_key_and_its_default() -> None:
    shown: dict[str, Any] = {}
    for keys, defaults, _ in rows():
        values = [None if value == "none" else yaml.safe_load(value.strip("`")) for value in split(defaults)]
        shown |= dict(zip([key.strip("`") for key in split(keys)], values, strict=True))
    settings = load_settings(None, {}).model_dump(mode="json")
    real = {
        f"{section}.{key}": value if value != [] else None
        for section in settings
        for key, value in settings[section].items()
    }
    assert shown == real


def split(cell: str) -> list[str]:
    """What is in backticks, or none."""
    return re.findall(r"`[^`]+`|none", cell)


@pytest.mark.parametrize("key, model", [("auth.tokens", Token), ("auth.jwt", Jwt), ("auth.proxy", ProxyHeaders)])
def test_the_table_of_settings_names_the_keys_within(key: str, model: type[BaseModel]) -> None:
    (meaning,) = (cells[2] for cells in rows() if cells[0] == f"`{key}`")
    assert set(split(meaning)) >= {f"`{name}`" for name in model.model_fields}


async def test_the_line_of_the_log_has_the_keys_that_are_shown(
    service: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "service.http.access")
    await service.get(EXPORT)
    (record,) = (record for record in caplog.records if record.name == "service.http.access")
    (example,) = re.findall(r"^    (\{\"time\".*?\})$", README, re.MULTILINE | re.DOTALL)
    assert json.loads(example).keys() == json.loads(JsonFormatter().format(record)).keys()


def commands(prompt: str) -> list[str]:
    """Lines of the README's blocks that begin so, without what stands behind a #."""
    return [line.partition("  #")[0].strip() for line in re.findall(rf"^    {prompt}(.*)$", README, re.MULTILINE)]


def test_every_command_with_a_prompt_runs_against_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are pasted, but for the minute that the doctor waits."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # as it is killed in the end, its samples stay
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with running("demo", "--port", "0", cwd=tmp_path, until="/docs") as (_, lines):
        exports = [line.strip() for line in lines if line.startswith("  export ")]
        pasted = [re.sub("(session-export doctor)", r"\1 --silence 1 2>wait", command) for command in commands(r"\$ ")]
        assert len(pasted) >= 9
        for command in pasted:
            done = subprocess.run(
                ["bash", "-euc", "\n".join([*exports, command])], env={**os.environ, "PATH": path},
                capture_output=True, text=True, cwd=tmp_path, check=False, timeout=30,
            )  # fmt: skip
            if command.startswith("export "):
                exports.append(command)
            assert (done.returncode, done.stderr) == (0, ""), command
            assert_has_the_keys_that_are_shown(command, done.stdout)


def assert_has_the_keys_that_are_shown(command: str, output: str) -> None:
    """Where the answer is JSON."""
    if output.startswith("{"):
        shown = README.replace("\n      ", " ").partition(f"$ {command}\n    ")[2]
        expected, _ = json.JSONDecoder().raw_decode(shown)
        answered = json.loads(output)
        assert answered.keys() == expected.keys()
        for row, example in zip(answered.get("rows", []), expected.get("rows", []), strict=True):
            assert row.keys() == example.keys()


def test_every_command_of_the_service_runs(tmp_path: Path) -> None:
    """In a directory with a configuration and a list of users, in the order in which they stand there."""
    configure(tmp_path)
    (tmp_path / "users.csv").write_text("id,email,name\nu-1,alice@example.com,Alice\n")
    (tmp_path / "data" / "user_sessions").mkdir(parents=True)
    lines = commands("session-export ")
    assert {line.split()[0] for line in lines} >= {"token", "users", "serve"}
    for line in lines:
        if line.startswith("serve"):
            with running(*line.split(), cwd=tmp_path, until="listening on") as (_, said):
                assert "listening on" in said[-1], said
        else:
            done = run(*line.split(), cwd=tmp_path)
            assert done.returncode == 0, done.stderr


def test_the_examples_of_authentication_are_settings_that_work(tmp_path: Path) -> None:
    block = r"^((?:    (?:server|auth):.*\n(?:     .*\n)*)+)"
    examples = re.findall(block, README, re.MULTILINE)
    found = []
    for example in examples:
        (tmp_path / "config.yaml").write_text(textwrap.dedent(example))
        found.append(checked(load_settings(tmp_path / "config.yaml", {})).auth)
    assert [auth.jwt is not None for auth in found] == [True, False]
    assert [auth.proxy is not None for auth in found] == [False, True]


def test_the_two_command_lines_do_all_set_up() -> None:
    venv = "    python3 -m venv .venv && .venv/bin/pip install -q -e "
    assert f"{venv}. && .venv/bin/session-export demo\n" in README
    assert f"{venv}'.[test]' && .venv/bin/pytest\n" in README
