"""Fixtures: few, and real. What each run has in common."""

import os
import shutil
import signal
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from service.config import ProxyHeaders, Server
from tests.postgres import Postgres
from tests.s3 import CREDENTIALS
from tests.scratch import abandoned, in_memory, new_directory
from tests.world import World

# No deadline: other work on the machine is no mistake. The long run takes `--hypothesis-profile=full`. It and the
# default try the same examples each time, so that a change fails for what it changed; `search` looks for new ones.
settings.register_profile("few", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("full", max_examples=500, deadline=None, derandomize=True)
settings.register_profile("search", max_examples=2000, deadline=None)
settings.load_profile("few")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--nothing-missing", action="store_true", help="a test that skips since something is not installed fails"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and item.config.getoption("--nothing-missing") and "installed" in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"skipped: {report.longrepr}"
    return report


def pytest_configure(config: pytest.Config) -> None:
    """Give children what they need, whatever the environment: Ctrl-C, and compiled modules.

    A child inherits an ignored SIGINT, as `nohup` and `&` leave it. Without compiled modules each start of the command,
    of some hundred, compiles the whole service; where they may not lie in the tree, they lie in pytest's cache.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        os.environ.setdefault("PYTHONPYCACHEPREFIX", str(config.rootpath / ".pytest_cache" / "bytecode"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server of this test session; the test is skipped where PostgreSQL is missing."""
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="session")
def catalogs() -> Iterator[Path]:
    """A directory for catalogs. In memory: on a disk, DuckDB's fsync takes longer than all else in most tests."""
    parent = in_memory()
    for directory in abandoned("catalogs", parent):
        shutil.rmtree(directory, ignore_errors=True)
    directory = new_directory("catalogs", parent)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def catalog_url(request: pytest.FixtureRequest, catalogs: Path) -> Iterator[str]:
    """A new catalog on the engine that `tests.engines` chooses; DuckDB if nobody does."""
    if getattr(request, "param", "duckdb") == "duckdb":
        with TemporaryDirectory(dir=catalogs) as directory:
            yield f"{directory}/catalog.duckdb"
        return
    server: Postgres = request.getfixturevalue("postgres")
    yield server.new_url()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of tests.s3, for this process and its children."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
async def world(tmp_path: Path, catalog_url: str) -> AsyncIterator[World]:
    """A world that is not started yet, for tests that change it first."""
    async with AsyncExitStack() as stack:
        world = World(tmp_path, stack)
        world.catalog_url = catalog_url
        yield world
    assert not world.violations


@pytest.fixture
async def service(world: World) -> World:
    """A world whose service runs."""
    return await world.start()


@pytest.fixture
async def behind(world: World) -> World:
    """A world whose service knows that a proxy stands before it, and that it may say who calls."""
    world.server = Server.model_validate({"shutdown_timeout": 1, "trusted_proxies": ["127.0.0.1/32"]})
    headers = {"user_header": "X-Auth-Request-User", "groups_header": "X-Auth-Request-Groups", "admin_group": "admins"}
    world.proxy = ProxyHeaders.model_validate(headers)
    return await world.start()
