"""The shape of the code, read from its source: who imports whom, where threads come from, what tests what."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sources import MODULES, source

# The rooms, each with those that it may use besides itself: imports point inward. `config` and `pools` are for all.
# A test below holds that the folders of the package are these rooms.
ROOMS: dict[str, set[str]] = {
    "cli": {"server", "client", "doctor", "catalog", "store"},
    "server": {"http", "auth", "api", "console", "transfers", "sessions", "catalog", "store", "archive"},
    "api": {"http", "auth", "transfers", "sessions", "catalog", "store", "archive"},
    "console": {"http"},
    "auth": {"http", "catalog"},
    "transfers": {"http", "catalog", "store"},
    "http": set(),
    "sessions": {"catalog", "store"},
    "catalog": set(),
    "archive": {"store"},
    "store": set(),
    "client": set(),
    "doctor": set(),
}
# What lies beside the rooms, with the rooms that it may use.
FILES: dict[str, set[str]] = {
    "__init__": set(),
    "__main__": {"cli"},
    "config": {"archive", "store"},
    "pools": set(),
}
FOR_ALL = {"", "config", "pools"}
# The folders of tests that are no room's.
TESTS_FROM_OUTSIDE = {"attacks", "bench", "clients", "deploy", "docs", "faults", "soak"}
TESTS = Path(__file__).parent

# The test of `service/<room>/<module>.py` is `tests/<room>/test_<module>.py`, that of a command
# `tests/cli/test_<command>.py`. Any other module is named here beside the test that fails if the module is wrong; its
# room is that of the test unless it is given.
TESTED_THROUGH = {
    "api/test_activity.py": "reads",
    "api/test_all_sessions.py": "catalog/statement",
    "api/test_archive.py": "archive/archives",
    "api/test_audit.py": "catalog/audit_search",
    "api/test_download.py": "errors session_file",
    "api/test_export_across.py": "across_record archive/counts",
    "api/test_health.py": "parts",
    "api/test_links.py": "http/body",
    "api/test_reference.py": "routes",
    "api/test_sessions.py": "catalog/merged sessions/sessions",
    "api/test_users.py": "http/pages sessions/directory",
    "archive/test_archive.py": "blocks gather prefetch stream",
    "archive/test_manifest.py": "members",
    "archive/test_part.py": "framing layout sizing",
    "attacks/test_limits.py": "http/protocol server/descriptors",
    "auth/test_authentication.py": "method proxy",
    "auth/test_jwt.py": "keys",
    "auth/test_tokens.py": "bearer",
    "cli/test_catalog.py": "catalog_copy",
    "cli/test_demo.py": "transcripts",
    "cli/test_exit_codes.py": "process",
    "cli/test_main.py": "__main__ user_import",
    "cli/test_serve.py": "configuration",
    "cli/test_sessions.py": "options",
    "cli/test_token.py": "tokens",
    "cli/test_users.py": "user_upload",
    "client/test_client.py": "archive_file connection errors exported extraction pages rows",
    "client/test_partial_file.py": "disk",
    "client/test_reader.py": "chunks directory members zip_format",
    "client/test_selection.py": "audit_query options",
    "client/test_verification.py": "progress steps",
    "doctor/test_examine.py": "api/doctor cli/commands/doctor findings received remedies",
    "http/test_problems.py": "requests",
    "server/test_logs.py": "http/access",
    "server/test_metrics.py": "readings",
    "server/test_startup.py": "app",
    "sessions/test_indexer.py": "reading",
    "store/test_local.py": "local_file",
    "store/test_objects.py": "object_file opening",
    "transfers/test_interrupted.py": "catalog/actions",
    "transfers/test_transfer.py": "events record",
}

# Which modules (by the beginning of their path) may import a library.
LIBRARIES = {
    "aiohttp": ("http", "auth", "api", "console", "transfers", "server", "client", "doctor/examine"),
    "msgspec": ("sessions",),
    "jwt": ("auth",),
    "aiofiles": ("store/local_file",),
    "duckdb": ("catalog/duckdb",),
    "psycopg": ("catalog/postgres",),
    "obstore": ("store/bucket",),
    "botocore": ("store/bucket",),
    "urllib3": ("store/bucket",),
    "stream_zip": ("archive",),
    "isal": ("archive", "client/reader"),
    "zlib_ng": ("archive",),
    "click": ("cli", "doctor/examine"),
    "prometheus_client": ("server/metrics",),
    "tqdm": ("cli/output",),
    "yaml": ("config", "api/reference"),
    "openapi_ui_bundles": ("api/reference",),
}


def imports(module: str) -> Iterator[str]:
    for node in ast.walk(source(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""


def test_the_folders_of_the_package_are_the_rooms() -> None:
    assert {module.partition("/")[0] for module in MODULES} == ROOMS.keys() | FILES.keys()


def test_the_tests_of_a_room_lie_in_a_folder_of_its_name() -> None:
    folders = {path.name for path in TESTS.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert folders == ROOMS.keys() | TESTS_FROM_OUTSIDE


def named_test(module: str) -> str:
    """The path of the module's test of its name."""
    *room, name = module.replace("cli/commands/", "cli/").split("/")
    return "/".join([*room, f"test_{name}.py"])


def test_each_module_has_a_test_of_its_name_or_is_tested_through_another() -> None:
    modules = {module for module in MODULES if not module.endswith("__init__")}
    through = [
        name if "/" in name or name in FILES else f"{test.partition('/')[0]}/{name}"
        for test, names in TESTED_THROUGH.items()
        for name in names.split()
    ]
    assert sorted(through) == sorted(module for module in modules if not (TESTS / named_test(module)).is_file())
    assert [test for test in TESTED_THROUGH if not (TESTS / test).is_file()] == []
    assert list(TESTED_THROUGH) == sorted(TESTED_THROUGH)
    assert all(names.split() == sorted(names.split()) for names in TESTED_THROUGH.values())


def test_what_tests_share_lies_in_modules_that_are_no_tests() -> None:
    for path in TESTS.rglob("*.py"):
        assert not re.search(r"^from tests[\w.]*\.test_\w+ import", path.read_text(), re.MULTILINE), path


def test_no_two_rooms_use_each_other() -> None:
    for room, others in ROOMS.items():
        for other in others:
            assert room not in ROOMS[other], f"{room} and {other}"


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_inward(module: str) -> None:
    room = module.partition("/")[0]
    allowed = {room} | FOR_ALL | (ROOMS | FILES)[room]
    for name in imports(module):
        top, _, rest = name.partition(".")
        assert top != "tests"
        if top in LIBRARIES:
            assert module.startswith(LIBRARIES[top]), f"{module} imports {name}"
        if top == "service":
            assert rest.split(".")[0] in allowed, f"{module} imports {name}"


@pytest.mark.parametrize("module", MODULES)
def test_no_thread_comes_from_the_default_executor(module: str) -> None:
    for node in ast.walk(source(module)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        assert called.rpartition(".")[2] not in ("to_thread", "run_in_executor", "async_stream_zip"), called
        assert called != "ThreadPoolExecutor" or module == "pools"
        if called == "aiofiles.open":
            assert "executor" in [keyword.arg for keyword in node.keywords]


def test_sql_stands_in_the_catalog_only() -> None:
    for module in MODULES:
        if not module.startswith("catalog/"):
            for node in ast.walk(source(module)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    words = node.value.split()[:1]
                    assert words not in (["INSERT"], ["UPDATE"], ["DELETE"], ["CREATE"]), f"{module}: {node.value}"


def test_no_module_holds_state() -> None:
    """At the top of a module stand constants, in capitals, its logger, and definitions."""
    for module in MODULES:
        for node in source(module).body:
            if isinstance(node, ast.Assign):
                names = {target.id for target in node.targets if isinstance(target, ast.Name)}
                others = {name for name in names if not name.isupper()}
                assert others <= {
                    "log",
                    "Row",
                    "Result",
                    "Job",
                    "WholeNumber",
                    "Text",
                    "SearchText",
                    "Moment",
                    "Flag",
                    "__version__",
                    "__all__",
                }, f"{module}: {others}"
