"""What the commands import: `--help` is quick, and the client runs without the server's libraries."""

import subprocess
import sys

from tests.command import TOP

HEAVY = ("aiohttp", "duckdb", "isal", "pydantic", "stream_zip", "tqdm", "yaml")


def imported(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=TOP)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_help_needs_none_of_the_heavy_libraries() -> None:
    loaded = imported("from service.cli import main\nmain(['--help'], standalone_mode=False)")
    assert loaded & set(HEAVY) == set()
    assert "click" in loaded


def test_the_client_needs_none_of_the_servers_libraries() -> None:
    loaded = imported("import service.cli.batch, service.client")
    assert loaded & {"duckdb", "pydantic", "pydantic_settings", "stream_zip", "aiofiles", "yaml", "zlib_ng"} == set()
    assert {"aiohttp", "isal", "tqdm"} <= loaded
