"""The example in Python that docs/client.md shows."""

import asyncio
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

from service.catalog import User
from tests.command import TOP
from tests.world import ADMIN, World

PAGE = (TOP / "docs" / "client.md").read_text()
EXAMPLE = re.compile(r"^    import asyncio\n.*?^    asyncio\.run\(main\(\)\)\n", re.MULTILINE | re.DOTALL)


async def test_the_documented_program_saves_an_export(service: World, tmp_path: Path) -> None:
    await service.add_users(User("u-1001", "zoe@example.com", None))
    service.file("a.jsonl", b"x" * 10, folder="zoe")
    (example,) = EXAMPLE.findall(PAGE)
    program = textwrap.dedent(example).replace("http://127.0.0.1:8080", service.url("/"))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(TOP), "SESSION_EXPORT_TOKEN": ADMIN},
        stdout=subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert (process.returncode, out.decode()) == (0, "1 10 ()\n")
    assert (tmp_path / "u-1001.zip").is_file()
