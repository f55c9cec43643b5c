"""What deploy/README.md says, as far as it can be tried without root, a container engine and a cluster."""

import asyncio
import re
import shlex
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import click
import pytest
import yaml

from service.cli import main
from tests.command import COMMAND, TOP, curl, environment
from tests.deploy.image import environment as image_environment
from tests.proxies import DEPLOY

pytestmark = pytest.mark.long

README = (DEPLOY / "README.md").read_text()
COMMANDS = [
    line.strip()
    for block in re.findall(r"(?:^    .*\n)+", README, re.MULTILINE)
    for line in re.sub(r"\\\n\s*", "", block).splitlines()
]


def test_every_file_of_this_repository_in_its_commands_is_there() -> None:
    named = {
        word.removeprefix("$PWD/").split(":")[0] for line in COMMANDS for word in line.split() if "deploy/" in word
    }
    named = {word.strip("\"'").removeprefix("$PWD/") for word in named}
    assert named
    for name in named:
        assert (TOP / name).exists(), name


def test_every_shipped_file_is_told_of() -> None:
    for file in DEPLOY.rglob("*"):
        if file.is_file() and file.name != "README.md":
            assert file.name in README or file.parent.name in ("compose",), file


@pytest.mark.parametrize(
    "line", sorted({line for line in COMMANDS if re.search(r"session-export (serve|token|users|doctor)", line)})
)
def test_its_commands_of_the_program_can_be_parsed(line: str) -> None:
    """Their names and options are the program's."""
    words = shlex.split(re.split(r"session-export (?=serve|token|users|doctor)", line)[-1])
    command: click.Command = main
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_same_places_stand_everywhere() -> None:
    """What the README says to copy where is what the files expect there."""
    unit = (DEPLOY / "systemd" / "session-export.service").read_text()
    assert "/etc/session-export/config.yaml" in README
    assert "/etc/session-export/config.yaml" in unit
    assert "/opt/session-export/bin/session-export" in unit
    assert "/etc/nginx/snippets/session-export.conf" in (DEPLOY / "nginx" / "server.conf").read_text()
    assert yaml.safe_load((DEPLOY / "traefik" / "static.yaml").read_text())["providers"]["file"]["filename"] in README


class Docker:
    """In its place: runs the program with the image's environment, what a line mounts linked into a new directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.top = directory / "top"  # of the repository, where the lines are typed
        self._runs = 0

    def start(self, line: str) -> "subprocess.Popen[str]":
        words = shlex.split(line.replace("$PWD", str(self.top)), comments=True)
        at = len(words) - words[::-1].index("session-export")  # the image; before it options, after it arguments
        options, arguments = words[:at], words[at:] or ["serve"]
        self._runs += 1
        root = self._directory / f"container{self._runs}"
        for option, value in pairwise(options):
            if option == "-v":
                self._mount(root, *value.split(":")[:2])
        (here := root / "etc" / "session-export").mkdir(parents=True, exist_ok=True)
        environ = image_environment(Path(), root) | {"SESSION_EXPORT__SERVER__PORT": "0"}
        environ |= {"SESSION_EXPORT__METRICS__PORT": "0"}
        environ |= dict(value.split("=", 1) for option, value in pairwise(options) if option == "-e")
        return subprocess.Popen(
            COMMAND + [str(root) + word if word.startswith("/") else word for word in arguments],
            cwd=here, env=environment(environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def _mount(self, root: Path, source: str, target: str) -> None:
        """A file of the repository as it is, a volume or another directory as an empty one that stays."""
        path = Path(source)
        if not path.is_relative_to(self.top):
            path = self._directory / "volumes" / source.strip("/")
            path.mkdir(parents=True, exist_ok=True)
        (root / target[1:]).parent.mkdir(parents=True, exist_ok=True)
        (root / target[1:]).symlink_to(path)

    def run(self, line: str) -> str:
        process = self.start(line)
        output, _ = process.communicate(timeout=50)
        assert process.returncode == 0, output
        return output


def test_who_follows_the_containers_lines_gets_a_service_that_knows_its_users(tmp_path: Path) -> None:
    docker = Docker(tmp_path)
    (docker.top / "deploy").mkdir(parents=True)
    shutil.copy(DEPLOY / "config.yaml", docker.top / "deploy")
    (docker.top / "users.csv").write_text("id,email,name\nu1,alice@example.com,Alice\n")
    section = README.partition("## A container")[2].partition("###")[0]
    lines = re.findall(r"^    (docker run .*)$", re.sub(r"\\\n\s*", "", section), re.MULTILINE)
    token_line, import_line, serve_line = lines

    made = docker.run(token_line)
    (token,) = re.findall(r"^  (\S+)$", made, re.MULTILINE)
    config = docker.top / "deploy" / "config.yaml"
    config.write_text(config.read_text().replace("[] ", "\n" + made.partition("config.yaml:\n")[2]))
    assert "1 added" in docker.run(import_line)
    with docker.start(serve_line) as process:
        try:
            assert process.stdout is not None
            said = (re.search(r"listening on http://0.0.0.0:(\d+)", line) for line in process.stdout)
            port = next(found[1] for found in said if found)
            url = f"http://127.0.0.1:{port}/api/admin/users/u1/sessions"
            assert b'"total": 0' in asyncio.run(curl(url, "-H", f"Authorization: Bearer {token}"))
        finally:
            process.kill()
