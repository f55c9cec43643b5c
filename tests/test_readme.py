"""What the README says, tried: its commands, its table of settings, and its lines for nginx in a real nginx."""

import asyncio
import io
import json
import os
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
from aiohttp import encode_basic_auth

from service.api.auth import checked
from service.config import Jwt, ProxyHeaders, Settings, Token, load_settings
from tests.nginx import README, location, needs_nginx, nginx
from tests.test_cli import configure, run, running
from tests.world import ADMIN, World

EXPORT = "/api/admin/users/u-1/sessions/download-all"


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
    async with nginx(tmp_path, service, location()) as url:
        assert await curl(url + EXPORT, tmp_path / "out.zip") == (0, "200")
    judge = await asyncio.create_subprocess_exec("unzip", "-tq", tmp_path / "out.zip", stdout=asyncio.subprocess.PIPE)
    await judge.communicate()
    assert judge.returncode == 0


@needs_nginx
@pytest.mark.parametrize("path", [EXPORT, "/api/admin/users/u-1/sessions/a.jsonl/download"])
async def test_a_broken_transfer_is_seen_as_broken_through_nginx(service: World, tmp_path: Path, path: str) -> None:
    file = service.file("a.jsonl", os.urandom(40_000_000))
    output = tmp_path / "out"
    async with nginx(tmp_path, service, location()) as url:
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
    async with nginx(tmp_path, service, block) as url:
        assert await curl(url + EXPORT, tmp_path / "out") == (0, "505")
    assert "proxy_http_version 1.1" in (tmp_path / "out").read_text()


@needs_nginx
async def test_a_browsers_link_to_an_export_works_where_the_proxy_authenticates(service: World, tmp_path: Path) -> None:
    service.file("a.jsonl", b"{}\n")
    passwords = tmp_path / "passwords"
    passwords.write_text("ada:{PLAIN}secret\n")
    mine = f'auth_basic "staff"; auth_basic_user_file {passwords}; proxy_set_header Authorization "Bearer {ADMIN}"; '
    browser = {"Accept": "text/html,*/*;q=0.8", "Accept-Encoding": "gzip, deflate, br", "Sec-Fetch-Mode": "navigate"}
    async with nginx(tmp_path, service, location().replace("{", "{ " + mine, 1)) as url:
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


def test_the_table_of_settings_names_every_key() -> None:
    for section in Settings.model_fields:
        for key in type(getattr(Settings(), section)).model_fields:
            assert f"`{section}.{key}`" in README
    for key in (*Token.model_fields, *Jwt.model_fields, *ProxyHeaders.model_fields):
        assert f"`{key}`" in README


def commands(prompt: str) -> list[str]:
    """Lines of the README's blocks that begin so, without what stands behind a #."""
    return [line.partition("  #")[0].strip() for line in re.findall(rf"^    {prompt}(.*)$", README, re.MULTILINE)]


def test_every_command_with_a_prompt_runs_against_the_demo(tmp_path: Path) -> None:
    """As they are pasted, but for the day in an archive's name."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with running("demo", "--port", "0", cwd=tmp_path, until="activity") as (_, lines):
        exports = [line.strip() for line in lines if line.startswith("  export ")]
        pasted = [re.sub(r"20\d\d-\d\d-\d\d\.zip", "*.zip", command) for command in commands(r"\$ ")]
        assert len(pasted) >= 7
        for command in pasted:
            done = subprocess.run(
                ["bash", "-euc", "\n".join([*exports, command])], env={**os.environ, "PATH": path},
                capture_output=True, text=True, cwd=tmp_path, check=False, timeout=30,
            )  # fmt: skip
            if command.startswith("export "):
                exports.append(command)
            assert (done.returncode, done.stderr) == (0, ""), command
            assert_has_the_keys_that_are_shown(command, done.stdout)
            if command.startswith("unzip"):
                next(tmp_path.glob("*.zip")).unlink()  # curl -J does not overwrite it


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
    block = r"^((?:      (?:server|auth):.*\n(?:       .*\n)*)+)"
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
