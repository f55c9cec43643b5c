"""What deploy/README.md says, as far as it can be tried without root and without a cluster."""

import re
import shlex

import click
import pytest
import yaml

from service.cli import main
from tests.proxies import DEPLOY
from tests.test_cli import TOP

README = (DEPLOY / "README.md").read_text()
COMMANDS = [
    line.strip()
    for block in re.findall(r"(?:^    .*\n)+", README, re.MULTILINE)
    for line in re.sub(r"\\\n\s*", "", block).splitlines()
]


def test_every_file_that_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (DEPLOY / target).is_file(), target


def test_every_file_of_this_repository_in_its_commands_is_there() -> None:
    named = {
        word.removeprefix("$PWD/").split(":")[0] for line in COMMANDS for word in line.split() if "deploy/" in word
    }
    named = {word.strip("\"'").removeprefix("$PWD/") for word in named}
    assert named
    for name in named:
        assert (TOP / name).exists(), name


def test_every_shipped_file_is_told_of() -> None:
    parts = ("grafana", "prometheus")  # have words of their own
    for file in DEPLOY.rglob("*"):
        if file.is_file() and not set(parts) & set(file.relative_to(DEPLOY).parts) and file.name != "README.md":
            assert file.name in README or file.parent.name in ("compose",), file


@pytest.mark.parametrize(
    "line", sorted({line for line in COMMANDS if re.search(r"session-export (serve|token|users|doctor)", line)})
)
def test_its_commands_of_the_program_can_be_parsed(line: str) -> None:
    """They are not run; their names and options are the program's."""
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
