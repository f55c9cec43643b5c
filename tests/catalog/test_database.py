"""What holds for both engines."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.catalog import CatalogError, Database, Event, Result, Users
from service.catalog.actions import ACTIVITY_READ
from tests.engines import both_engines

pytestmark = both_engines


def event() -> Event:
    return Event("user0", ACTIVITY_READ, "resource", {"n": 0}, Result.SUCCESS, "id")


async def test_times_do_not_depend_on_the_hosts_zone(catalog_url: str) -> None:
    program = (
        "import asyncio, sys\nfrom datetime import *\nfrom service.catalog import AuditLog\n"
        "from tests.catalog.opened import opened\nfrom tests.catalog.test_database import event\n"
        "async def main():\n"
        "    database = await opened(sys.argv[1])\n"
        "    await AuditLog(database).write(event())\n"
        "    (row,) = await AuditLog(database).page('user0', 1, 0)\n"
        "    print(abs((datetime.now(timezone.utc) - row.timestamp).total_seconds()) < 60)\n"
        "    database.close()\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, catalog_url],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TZ": "America/New_York"},
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == "True", done.stderr


async def test_a_query_that_fails_leaves_the_catalog_usable(database: Database) -> None:
    with pytest.raises(CatalogError):
        await database.query("SELECT * FROM no_such_table")
    with pytest.raises(CatalogError):
        await Users(database).find("\ud800")
    assert await database.query("SELECT 1 AS one") == [{"one": 1}]
