"""The systemd unit: what systemd says of it, and whether the service can live with it."""

import asyncio
import configparser
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from service.config import Server
from tests.command import TOP, configure, curl, run
from tests.proxies import DEPLOY

pytestmark = pytest.mark.long

UNIT = DEPLOY / "systemd" / "session-export.service"
FILTERED = re.compile(r"^SystemCallFilter=(.*)$", re.MULTILINE)

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def settings(section: str) -> dict[str, str]:
    """Of keys that stand there more than once, the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return dict(parser[section])


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


@needs_systemd
def test_systemd_finds_nothing_to_say_against_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(settings("Service")["ExecStart"].split()[0], "/bin/true"))
    done = analyze("verify", unit)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_its_exposure_is_low() -> None:
    done = analyze("security", "--offline=true", "--threshold=15", UNIT)
    assert done.returncode == 0, done.stdout
    assert "Overall exposure level" in done.stdout


def test_systemd_waits_longer_than_the_service() -> None:
    config = yaml.safe_load((DEPLOY / "config.yaml").read_text())
    service = settings("Service")
    assert int(service["TimeoutStopSec"]) > config["server"]["shutdown_timeout"] + 5
    assert config["server"]["shutdown_timeout"] == Server().shutdown_timeout
    assert service["ReadOnlyPaths"] == config["storage"]["root"]
    assert config["catalog"]["url"].startswith(f"/var/lib/{service['StateDirectory']}/")


def allowed() -> set[str]:
    """The system calls that the unit leaves."""
    names: set[str] = set()
    for words in FILTERED.findall(UNIT.read_text()):
        listed = {name for word in words.lstrip("~").split() for name in calls_of(word)}
        names = names - listed if words.startswith("~") else names | listed
    return names


def calls_of(word: str) -> set[str]:
    if not word.startswith("@"):
        return {word}
    lines = analyze("syscall-filter", word).stdout.split("\n")[1:]
    return {name for line in lines if (inner := line.strip()) and inner[0] != "#" for name in calls_of(inner)}


@needs_systemd
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_service_lives_with_what_the_unit_leaves_it(tmp_path: Path) -> None:
    """It is started with the unit's command under strace, exports, and is told to stop."""
    sessions = tmp_path / "data" / "user_sessions" / "alice"
    sessions.mkdir(parents=True)
    (sessions / "a.jsonl").write_bytes(b"{}\n" * 500_000)
    configure(tmp_path)
    (tmp_path / "users.csv").write_text("id,email,name\nu1,alice@example.com,\n")
    run("users", "import", "users.csv", cwd=tmp_path)
    _, *arguments = shlex.split(settings("Service")["ExecStart"].replace("/etc/session-export", str(tmp_path)))
    command = ["strace", "-f", "-qq", "-o", str(tmp_path / "trace"), sys.executable, "-m", "service", *arguments]
    environ = os.environ | {"PYTHONPATH": str(TOP), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environ) as process:
        try:
            assert process.stderr is not None
            lines = iter(process.stderr)
            url = next(found[0] for line in lines if (found := re.findall(r"listening on (http://\S+)", line)))
            header = f"Authorization: Bearer {(tmp_path / 'token').read_text()}"
            archive = asyncio.run(curl(f"{url}/api/admin/users/u1/sessions/download-all", "-H", header))
            (tmp_path / "a.zip").write_bytes(archive)
            child = int((tmp_path / "trace").read_text().split(maxsplit=1)[0])
            os.kill(child, signal.SIGTERM)
            process.communicate(timeout=40)
        finally:
            process.kill()
    assert process.returncode == 0
    with zipfile.ZipFile(tmp_path / "a.zip") as opened:
        assert opened.namelist() == ["a.jsonl"]
    trace = (tmp_path / "trace").read_text()
    called = set(re.findall(r"^\d+ +(\w+)\(", trace, re.MULTILINE))
    assert "openat" in called
    assert called - allowed() == set(), "SystemCallFilter"
    assert not re.search(r"PROT_WRITE\|PROT_EXEC|mprotect\([^)]*PROT_EXEC", trace), "MemoryDenyWriteExecute"
    assert set(re.findall(r"socket\((\w+)", trace)) <= set(settings("Service")["RestrictAddressFamilies"].split())
    written = set(re.findall(r'openat\(\w+, "([^"]+)", [^)]*O_(?:WRONLY|RDWR|CREAT)', trace))
    assert {path for path in written if (tmp_path / path).parent != tmp_path / "data"} == set(), (
        "only the catalog is written to"
    )
