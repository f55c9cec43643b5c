"""What the process opens and writes, seen by strace from outside; and that an ordinary user is enough to run it."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import Serving, prepare, serving

pytestmark = pytest.mark.long

# Calls that name a file, and calls that change one; what a descriptor is used for was decided when it was opened.
WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND")
CHANGES = {"mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "link", "linkat",
           "symlink", "symlinkat", "chmod", "fchmodat", "chown", "lchown", "fchownat", "truncate", "utimensat", "mknod",
           "mknodat", "setxattr", "creat"}  # fmt: skip
ORDINARY = 65534  # nobody


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that an ordinary user reaches, unlike pytest's."""
    directory = Path(tempfile.mkdtemp(prefix="rights"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def typical_run(service: Serving) -> None:
    """What admins do, and what others try."""
    assert service.get("/healthz")[0] == service.get("/readyz")[0] == 200
    assert service.get("u-1001/sessions")[0] == 200
    status, archive = service.get("u-1001/sessions/download-all")
    assert (status, zipfile.ZipFile(io.BytesIO(archive)).namelist()[0]) == (200, "a.jsonl")
    for compression in ("small", "store"):
        assert service.get(f"u-1001/sessions/download-all?compression={compression}")[0] == 200
    assert service.get("u-1001/sessions/a.jsonl/download") == (200, bytes(range(100)))
    assert service.get("u-1001/sessions/a.jsonl/download", Range="bytes=0-1") == (206, b"\0\1")
    assert service.get("u-1001/sessions/link.jsonl/download")[0] == 400
    assert service.get("u-1001/sessions/..%2f..%2fconfig.yaml/download")[0] == 400
    assert service.get("u-1002/sessions/a.jsonl/download")[0] == 404
    assert service.get("admin1/activity")[0] == 200
    assert service.get("u-1001/sessions", Authorization="Bearer wrong")[0] == 401
    assert service.get("u-1001/sessions", "DELETE")[0] == 405


def reload(service: Serving) -> None:
    service.process.send_signal(signal.SIGHUP)
    while "configuration read again" not in "".join(service.log):  # else the test's limit of time is hit
        time.sleep(0.01)


def make_read_only(root: Path) -> None:
    for path in (*root.rglob("*"), root):
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)


def files_named(trace: Path, directory: Path) -> Iterator[tuple[str, str, Path]]:
    """Call, its whole line, and the absolute path, of each call that succeeded; `-y` shows what descriptors are."""
    for line in trace.read_text(errors="replace").splitlines():
        call = re.search(r'(\w+)\((?:AT_FDCWD<[^>]*>, |\d+<(?P<at>[^>]*)>, )?"(?P<name>[^"]*)"', line)
        if call and " = -1 " not in line:
            yield call[1], line, Path(os.path.normpath(directory / (call["at"] or ".") / call["name"]))


def traceable() -> bool:
    strace = shutil.which("strace")
    return strace is not None and subprocess.run([strace, "-o", "/dev/null", "true"], check=False).returncode == 0


@pytest.mark.skipif(not traceable(), reason="needs strace, and a machine that lets it trace")
def test_it_opens_only_what_it_is_told_of_and_writes_only_beside_the_catalog(place: Path) -> None:
    file = prepare(place, catalog={"url": "catalog/it.duckdb"})
    (file.parent / "link.jsonl").symlink_to(place / "config.yaml")
    trace = place / "trace"
    # -D: strace is the child, so that a signal to stop reaches the service itself.
    prefix = ["strace", "-D", "-f", "-y", "-s", "4096", "-e", "trace=%file", "-e", "signal=none", "-o", str(trace)]
    with serving(place, *prefix, PYTHONDONTWRITEBYTECODE="1") as service:
        typical_run(service)
        reload(service)
    root, catalog = place / "data" / "user_sessions", place / "catalog"
    calls = list(files_named(trace, place))
    assert any(path == file for _, _, path in calls), "the trace sees what is opened"
    assert any(path == catalog / "it.duckdb" for _, _, path in calls)
    for call, line, path in calls:
        if call in CHANGES or (call.startswith("open") and WRITES.search(line)):
            assert path.is_relative_to(catalog) or path == Path("/dev/null"), line
        assert path != file.parent / "link.jsonl" or not call.startswith("open"), line
    code = [Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[2]]  # what is imported late
    served = next(at for at, (_, _, path) in enumerate(calls) if path == file.parent)  # from the first list on
    # glibc's malloc counts the cores once threads compete for memory, and reads the other before it gives some back.
    malloc = {Path("/sys/devices/system/cpu/online"), Path("/proc/sys/vm/overcommit_memory")}
    opened = [(line, path) for call, line, path in calls[served:] if call.startswith("open") and path not in malloc]
    read_again = [line for line, path in opened if path == place / "config.yaml"]
    assert len(read_again) == 1, read_again
    for line, path in opened:
        assert line in read_again or any(path.is_relative_to(one) for one in (root, catalog, *code)), line


@pytest.mark.skipif(
    os.geteuid() != 0, reason="who is no root cannot become somebody else, and runs it without rights anyway"
)
def test_an_ordinary_user_and_a_read_only_root_are_enough(place: Path) -> None:
    file = prepare(place, catalog={"url": "catalog/it.duckdb"})
    (file.parent / "link.jsonl").symlink_to(place / "config.yaml")
    make_read_only(place / "data")
    (place / "catalog").chmod(0o700)
    for path in (place / "catalog", *(place / "catalog").iterdir(), place / "config.yaml"):
        os.chown(path, ORDINARY, ORDINARY)
    (place / "config.yaml").chmod(0o400)
    rights = [f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups", "--no-new-privs", "--bounding-set=-all",
              "--inh-caps=-all"]  # fmt: skip
    reaches = subprocess.run(
        ["setpriv", *rights, sys.executable, "-c", "import service"],
        cwd=Path(__file__).parents[2], check=False, capture_output=True,
    )  # fmt: skip
    if reaches.returncode:
        pytest.skip(f"an ordinary user does not reach this Python: {sys.executable}")
    before = {path: path.stat().st_mtime_ns for path in (place / "data").rglob("*")}
    with serving(place, "setpriv", *rights) as service:
        typical_run(service)
        log = service.stop()
    assert service.process.returncode == 0, log
    assert "Traceback" not in log
    assert {path: path.stat().st_mtime_ns for path in (place / "data").rglob("*")} == before
