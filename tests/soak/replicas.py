"""Three replicas behind nginx, on PostgreSQL and an S3 server: `python -m tests.soak.replicas --minutes 10`.

Every 20 seconds one replica is killed (kill -9) under load, and started again. Then the account: every complete
response is right and has its `success` row, and everything that was begun has exactly one outcome, within a minute of
its replica's death.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.cli.tokens import new_token
from tests.catalog.opened import opened
from tests.postgres import Postgres
from tests.proxies import free_port, nginx_for_replicas
from tests.s3 import CREDENTIALS, s3_server, send
from tests.soak.account import AUDIT_ROWS, Log, contradictions, ends
from tests.soak.files import Objects
from tests.soak.load import USERS, Load
from tests.soak.server import Service

SECTIONS: dict[str, Any] = {
    "exports": {"max_concurrent": 32, "max_per_caller": 32, "queue_timeout": 5, "stall_timeout": 8, "threads": 1},
}
OUTCOMES_WITHIN = 60  # seconds from a death until all that the dead replica left is interrupted
INTERRUPTED = """
    SELECT CAST(extract(epoch FROM min(timestamp)) AS DOUBLE PRECISION) AS began,
           CAST(extract(epoch FROM max(timestamp)) AS DOUBLE PRECISION) AS interrupted
    FROM audit_log GROUP BY correlation_id HAVING max(result) FILTER (WHERE result = 'interrupted') IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Replicas:
    """They listen behind nginx, which is at `url`. `objects` is the URL of Alice's directory in the bucket."""

    services: list[Service]
    url: str
    objects: str
    catalog_url: str

    @property
    def headers(self) -> dict[str, str]:
        return self.services[0].headers

    async def query(self, sql: str) -> list[dict[str, Any]]:
        database = await opened(self.catalog_url, threads=1)
        try:
            return await database.query(sql)
        finally:
            database.close()


@asynccontextmanager
async def replicas(directory: Path, catalog_url: str, **sections: dict[str, Any]) -> AsyncIterator[Replicas]:
    """Three, that serve; they end with the block. `sections` are those of config.yaml."""
    token = new_token("admin1", admin=True, name="soak")
    async with AsyncExitStack() as stack:
        endpoint = stack.enter_context(s3_server())
        send("PUT", f"{endpoint}/sessions")
        storage = {"root": "s3://sessions", "s3": {"endpoint": endpoint, "path_style": True}}
        services = []
        for number in range(3):
            home = directory / str(number)
            home.mkdir()
            server = {"port": free_port(), "trusted_proxies": ["127.0.0.1/32"], "shutdown_timeout": 3}
            places: dict[str, Any] = {
                "server": server,
                "storage": storage,
                "catalog": {"url": catalog_url, "threads": 2},
            }
            services.append(Service(home, token, **places, **sections))
        await services[0].add_users(*USERS)
        for service in services:
            await service.start()
            stack.push_async_callback(service.stop)
        url = await stack.enter_async_context(nginx_for_replicas(directory, [one.port for one in services]))
        yield Replicas(services, url, f"{endpoint}/sessions/alice", catalog_url)


async def soak(directory: Path, catalog_url: str, seconds: float, every: float, seed: int) -> list[str]:
    """What went wrong; prints the account. A replica is killed every so many seconds."""
    chance = random.Random(seed)
    deaths: list[float] = []
    async with replicas(directory, catalog_url, **SECTIONS) as serving:
        (directory / "root").mkdir()
        files = Objects(directory / "root" / "alice", serving.objects, chance, small=20, big=2)
        load = Load(serving, files, chance, clients=6, think=0.2, change_every=0.2)
        async with load.running():
            load.resume()
            for number in range(int(seconds / every)):
                await asyncio.sleep(every)
                victim = serving.services[number % 3]
                load.deaths += 1
                deaths.append(time.time())
                await victim.stop(signal.SIGKILL)
                await victim.start()
            await load.pause()
        wrong = await _wait_for_outcomes(serving)
        rows = await serving.query(AUDIT_ROWS)
        log = Log.of((row["id"], row["action"], row["result"], row["correlation_id"]) for row in rows)
        wrong += contradictions(load.attempts, log, replicas=3) + load.wrong
        wrong += [line for service in serving.services for line in service.lines if "Traceback" in line]
        slowest = _slowest_outcome(await serving.query(INTERRUPTED), deaths)
        if slowest > OUTCOMES_WITHIN:
            wrong.append(f"{slowest:.0f} s from a death to its last interrupted row")
    print(
        f"{seconds / 60:.1f} minutes, {len(deaths)} deaths, {len(load.attempts):,} downloads, {len(rows):,} audit rows"
    )
    print("\n".join(["", *ends(load.attempts, log), ""]))
    print(f"- answers: {', '.join(f'{what} {count:,}' for what, count in sorted(load.answered.items()))}")
    print(f"- broken off by the service: {_causes(serving)}")
    print(f"- from a death to its last interrupted row: at most {slowest:.0f} s")
    print("\n".join([f"- wrong: {len(wrong)}", *(f"  - {line}" for line in wrong[:20])]), flush=True)
    return wrong


async def _wait_for_outcomes(serving: Replicas) -> list[str]:
    """Until nothing is without an outcome."""
    end = time.monotonic() + OUTCOMES_WITHIN
    while left := (await serving.query("SELECT count(*) AS n FROM running"))[0]["n"]:
        if time.monotonic() > end:
            return [f"without an outcome: {left}"]
        await asyncio.sleep(1)
    return []


def _causes(serving: Replicas) -> str:
    """The service's reasons for what it broke off, from its log."""
    lines = [line for service in serving.services for line in service.lines if "is broken off after" in line]
    return ", ".join(
        f"{cause!r} {count}" for cause, count in Counter(line.rpartition(": ")[2] for line in lines).items()
    )


def _slowest_outcome(transfers: list[dict[str, Any]], deaths: list[float]) -> float:
    """Seconds from a death to the interrupted row. A transfer takes less time than lies between two deaths, so the
    first after its beginning is that of its replica."""
    return max((row["interrupted"] - min(at for at in deaths if at > row["began"]) for row in transfers), default=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--every", type=float, default=20, help="seconds between two deaths")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    os.environ |= CREDENTIALS
    postgres = Postgres()
    try:
        with tempfile.TemporaryDirectory() as directory:
            work = soak(Path(directory), postgres.new_url(), options.minutes * 60, options.every, options.seed)
            sys.exit(bool(asyncio.run(work)))
    finally:
        postgres.close()


if __name__ == "__main__":
    main()
