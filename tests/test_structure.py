"""The shape of the code, read from its source: who imports whom, and where threads come from."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "service"
MODULES = sorted(path.relative_to(PACKAGE).with_suffix("").as_posix() for path in PACKAGE.rglob("*.py"))

# Which modules (by the beginning of their path) may import a library.
LIBRARIES = {
    "aiohttp": ("api", "app", "client/answers", "client/client", "doctor/examine", "metrics", "serve"),
    "jwt": ("api/auth",),
    "aiofiles": ("api/download",),
    "duckdb": ("catalog",),
    "stream_zip": ("archive",),
    "isal": ("archive", "client/members"),
    "zlib_ng": ("archive",),
    "click": ("cli", "commands/__init__", "doctor/examine"),
    "prometheus_client": ("metrics",),
    "tqdm": ("commands/show",),
    "yaml": ("config", "api/reference"),
    "openapi_ui_bundles": ("api/reference",),
}
# Which rooms a room may use; those that are not named may use all.
ROOMS = {
    "catalog": {"catalog", "pools"},
    "store": {"store"},
    "archive": {"archive", "store", "pools"},
    "sessions": {"catalog", "store", "pools"},
    "pools": set(),
    "config": {"archive", "logs", "store"},
    "metrics": {"pools"},
    "limits": {"config"},
    "tokens": set(),
    "transcripts": set(),
    "logs": set(),
    "reload": {"config", "pools"},
    "client": {"client", "pools"},
    "commands": {"client", "commands", "doctor"},
    "doctor": {"doctor"},
    "api": {"api", "archive", "catalog", "config", "logs", "metrics", "pools", "sessions", "store"},
}


def source(module: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{module}.py").read_text())


def imports(module: str) -> Iterator[str]:
    for node in ast.walk(source(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_inward(module: str) -> None:
    room = module.split("/", maxsplit=1)[0]
    for name in imports(module):
        top, _, rest = name.partition(".")
        assert top != "tests"
        if top in LIBRARIES:
            assert module.startswith(LIBRARIES[top]), f"{module} imports {name}"
        if top == "service" and room in ROOMS:
            assert rest.split(".")[0] in ROOMS[room] | {""}, f"{module} imports {name}"


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
                assert others <= {"log", "Row", "Result", "Job", "WholeNumber", "__version__", "__all__"}, (
                    f"{module}: {others}"
                )
