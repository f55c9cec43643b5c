"""What the start says: what is on, and what an operator may not have meant."""

import os
from pathlib import Path
from typing import Any

import pytest

from service.config import Catalog, Exports, Metrics, Server, Settings
from service.server.descriptors import descriptors_needed, descriptors_of_an_export
from service.server.startup import file_system, is_loopback, startup_summary, startup_warnings
from tests.world import World

ENOUGH = 100_000
# Lines as proc(5) describes them; the last two stand on one point, of which the later one is seen.
MOUNTS = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:5 / /proc rw shared:2 master:3 - proc proc rw
24 22 0:40 / /srv/with\040space rw - nfs4 server:/export rw,vers=4.2
25 22 0:41 / /srv/catalog rw - ext4 /dev/sdb1 rw
26 22 0:42 / /srv/catalog rw - cifs //server/share rw
27 26 0:43 / /srv/catalog/local rw - xfs /dev/sdc1 rw
""".strip()


def told(descriptors: int = ENOUGH, mounts: str = MOUNTS, **sections: Any) -> list[str]:
    return list(startup_warnings(Settings(**sections), descriptors, mounts))


def test_the_startup_summary_names_what_is_in_effect(world: World) -> None:
    lines = "\n".join(startup_summary(world.settings, "http://127.0.0.1:8080"))
    for words in (
        "Session Export 0.",
        "listening on http://127.0.0.1:8080",
        f"session root {world.root}",
        "layouts {email_local}, {user_id}",
        f"catalog {world.catalog}",
        "32 exports at once, 8 of one caller",
        "1000 connections at once, each closed after it was idle for 75 s",
        "(server.trusted_proxies): off",
    ):
        assert words in lines


def test_an_open_address_behind_a_trusted_proxy_is_no_danger() -> None:
    assert told(server=Server.model_validate({"host": "0.0.0.0", "trusted_proxies": ["10.0.0.8"]})) == []


def test_the_defaults_are_no_danger() -> None:
    assert told() == []


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"server": Server(host="0.0.0.0")}, ["server.host is 0.0.0.0", "TLS"]),
        ({"server": Server(host="::")}, ["server.host is ::"]),
        ({"server": Server(host="export.internal")}, ["server.host is export.internal"]),
        ({"metrics": Metrics(host="0.0.0.0", port=9464)}, ["metrics.host is 0.0.0.0", "no token"]),
        ({"catalog": Catalog(url=Path("/srv/catalog/c.duckdb"))}, ["catalog.url", "(cifs)", "local disk"]),
        ({"catalog": Catalog(url=Path("/srv/with space/new/c.duckdb"))}, ["catalog.url", "(nfs4)"]),
    ],
)
def test_each_danger_is_told_with_what_to_do(sections: dict[str, Any], words: list[str]) -> None:
    (warning,) = told(**sections)
    for word in words:
        assert word in warning


@pytest.mark.parametrize(
    "sections",
    [
        {"metrics": Metrics(host="0.0.0.0")},
        {"server": Server(host="localhost")},
        {"server": Server(host="::1")},
        {"catalog": Catalog(url=Path("/srv/catalog/local/c.duckdb"))},
        {"catalog": Catalog(url=Path("/srv/catalogue/c.duckdb"))},
    ],
)
def test_what_is_no_danger_is_not_told(sections: dict[str, Any]) -> None:
    assert told(**sections) == []


@pytest.mark.parametrize(
    ("exports", "needed", "room"),
    [
        (Exports(max_concurrent=2, threads=4), 256 + 100 * 4, 99),  # what the connections need is more
        (Exports(max_concurrent=256, threads=4), 256 + 256 * 64, 100),
    ],
)
def test_fewer_descriptors_than_are_needed_are_told(exports: Exports, needed: int, room: int) -> None:
    server = Server(max_connections=100)
    assert descriptors_needed(Settings(server=server, exports=exports)) == needed
    assert told(needed, server=server, exports=exports) == []
    (warning,) = told(needed - 1, server=server, exports=exports)
    assert (
        f"may have {needed - 1} files open, and 100 connections with {exports.max_concurrent} exports at once may need "
        f"{needed}; there is room for {room} connections"
    ) in warning


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_an_export_holds_no_more_descriptors_than_the_start_reckons_with(world: World) -> None:
    """Counted while big files are read ahead for a client that does not read."""
    world.exports = Exports(max_concurrent=1, threads=4)
    service = await world.start()
    for number in range(20):
        service.file(f"{number}.jsonl", os.urandom(3_000_000))
    await service.get("u-1/sessions")
    before = descriptors()
    most = 0
    async with service.request("u-1/sessions/download-all") as response:
        while await response.content.read(100_000):
            most = max(most, descriptors())
    assert 0 < most - before <= descriptors_of_an_export(world.settings) + 1, (
        "one is the test's own end of the connection"
    )


def test_the_file_system_of_a_path_is_read_from_the_mounts_here() -> None:
    assert file_system(Path("/proc/self/nothing"), Path("/proc/self/mountinfo").read_text()) == "proc"
    assert file_system(Path("/anywhere"), "") == ""


def test_loopback_is_all_of_127() -> None:
    assert is_loopback("127.0.0.2")
