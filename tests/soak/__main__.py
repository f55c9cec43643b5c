"""A soak: mixed load, restarts by SIGTERM and kill -9, then an account. `python -m tests.soak --minutes 15`.

In the first half the service is restarted again and again. The second half is one life: after some load all clients
pause, and what the process holds is counted; at the end it is counted again, and the memory must have stayed flat.
"""

import argparse
import asyncio
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.soak.account import Log, contradictions, ends
from tests.soak.files import Files
from tests.soak.load import USERS, Load
from tests.soak.server import Service

# Small pools, so that all of their threads have begun before they are first counted.
SECTIONS: dict[str, Any] = {
    "server": {"port": 0, "shutdown_timeout": 3},
    "storage": {"threads": 2},
    "catalog": {"threads": 2, "memory_limit": "64MB"},
    "exports": {"max_concurrent": 3, "queue_timeout": 5, "stall_timeout": 4, "threads": 1},
}
SAMPLE = 0.5  # seconds between two looks at the memory
NOISE = 32  # MiB that the memory may grow by in the last half and still be called flat: DuckDB's own, fragments


@dataclass(frozen=True, slots=True)
class Held:
    """What the process has while no client asks for anything."""

    descriptors: list[str]
    threads: int

    @classmethod
    async def by(cls, service: Service, load: Load) -> "Held":
        """Pauses the load; goes on once the numbers stand still: the last client's end may not be noticed yet."""
        await load.pause()
        before, now = None, None
        while now is None or now != before:
            await asyncio.sleep(1.5)
            before, now = now, cls(service.descriptors(), service.threads())
        load.resume()
        return now


class Soak:
    """One run of `seconds` in an empty directory."""

    def __init__(self, directory: Path, seconds: float, seed: int) -> None:
        self._chance = random.Random(seed)
        self._seconds = seconds
        self._service = Service(directory, **SECTIONS)
        self._load = Load(self._service, Files(self._service.root / "alice", self._chance), self._chance)
        self._restarts: Counter[str] = Counter()
        self._memory: list[tuple[float, float]] = []  # seconds, MiB
        self._wrong: list[str] = []

    async def run(self) -> list[str]:
        """What went wrong; prints the account."""
        await self._service.add_users(*USERS)
        await self._service.start()
        async with self._load.running():
            self._load.resume()
            await self._restart_often(self._seconds / 2)
            await asyncio.sleep(self._seconds / 8)
            first = await Held.by(self._service, self._load)
            await self._watch_memory(self._seconds * 3 / 8)
            last = await Held.by(self._service, self._load)
            await self._load.pause()
        await self._stop(signal.SIGTERM)
        self._compare(first, last)
        log = Log.read(self._service.catalog)
        self._wrong += contradictions(self._load.attempts, log) + self._load.wrong
        self._wrong += [line for line in self._service.lines if "Traceback" in line]
        self._print(log, first, last)
        return self._wrong

    async def _restart_often(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        signals = [signal.SIGTERM, signal.SIGKILL]
        while time.monotonic() < end:
            await asyncio.sleep(self._chance.uniform(0.5, min(seconds / 4, 10)))
            await self._stop(signals[self._restarts.total() % 2])
            await self._service.start()

    async def _stop(self, number: signal.Signals) -> None:
        self._load.deaths += number == signal.SIGKILL
        self._restarts[number.name] += 1
        code = await self._service.stop(number)
        if code != (0 if number == signal.SIGTERM else -number):
            self._wrong.append(f"exit code {code} after {number.name}")

    async def _watch_memory(self, seconds: float) -> None:
        begin = time.monotonic()
        while (now := time.monotonic() - begin) < seconds:
            self._memory.append((now, self._service.memory() / 2**20))
            await asyncio.sleep(SAMPLE)

    def _slope(self) -> float:
        """MiB a minute, by least squares over the last half of what was watched."""
        half = self._memory[len(self._memory) // 2 :]
        slope, _ = statistics.linear_regression([at for at, _ in half], [size for _, size in half])
        return slope * 60

    def _compare(self, first: Held, last: Held) -> None:
        more = Counter(last.descriptors) - Counter(first.descriptors)
        if more:
            self._wrong.append(f"descriptors that stayed open: {more}")
        if last.threads > first.threads:
            self._wrong.append(f"threads: {first.threads}, at the end {last.threads}")
        grown = self._slope() / 60 * (self._memory[-1][0] - self._memory[0][0]) / 2
        if grown > NOISE:
            self._wrong.append(f"the memory grew by {grown:.1f} MiB in the last half")

    def _print(self, log: Log, first: Held, last: Held) -> None:
        sizes = [size for _, size in self._memory]
        slope = f"{self._slope():+.2f} MiB a minute over the last half"
        stops = ", ".join(f"{name} {count}" for name, count in self._restarts.items())
        lines = [
            f"{self._seconds / 60:.1f} minutes, stopped by {stops}; {len(self._load.attempts):,} downloads, "
            f"{len(log.ids):,} audit rows",
            "",
            *ends(self._load.attempts, log),
            "",
            f"- answers: {', '.join(f'{what} {count:,}' for what, count in sorted(self._load.answered.items()))}",
            f"- open descriptors: {len(first.descriptors)} after warming up, {len(last.descriptors)} at the end; "
            f"threads: {first.threads}, {last.threads}",
            f"- memory: {min(sizes):.0f} to {max(sizes):.0f} MiB resident, {slope}",
            f"- wrong: {len(self._wrong)}",
            *(f"  - {line}" for line in self._wrong[:20]),
        ]
        print("\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        sys.exit(bool(asyncio.run(Soak(Path(directory), options.minutes * 60, options.seed).run())))


if __name__ == "__main__":
    main()
