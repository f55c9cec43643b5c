"""kill -9 at random moments under load: `python -m tests.soak.deaths --times 50`.

After each death, before the next start, a copy of the catalog's files is opened: no row that was there after the last
death is gone, every download that had sent a byte has its `_started` row, every complete one its outcome, and all of
earlier lives theirs. The service itself then starts on what the death left.
"""

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.soak.account import Log, contradictions, ends
from tests.soak.files import Files
from tests.soak.load import USERS, Load
from tests.soak.server import Service


async def die_often(directory: Path, times: int, seed: int) -> list[str]:
    """What went wrong; prints the account."""
    chance = random.Random(seed)
    service = Service(directory, exports={"stall_timeout": 2}, server={"port": 0, "shutdown_timeout": 5})
    files = Files(service.root / "alice", chance)
    await service.add_users(*USERS)
    load = Load(service, files, chance)
    seen: set[str] = set()
    finished = 0  # attempts of earlier lives
    wrong: list[str] = []
    async with load.running():
        for _ in range(times):
            await service.start()
            load.resume()
            await asyncio.sleep(chance.uniform(0.05, 1.5))
            load.deaths += 1
            await service.stop(signal.SIGKILL)
            await load.pause()
            log = Log.read(_copy(service.catalog, directory / "copy"))
            wrong += [f"a committed row is gone: {row}" for row in seen - log.ids]
            wrong += contradictions(load.attempts, log, finished=False)
            earlier = {attempt.id for attempt in load.attempts[:finished]}
            wrong += [
                f"an outcome is missing after the next start: {request} {rows}"
                for request, rows in log.rows.items()
                if request in earlier and len(rows) != 2
            ]
            seen, finished = log.ids, len(load.attempts)
    await service.start()
    await service.stop()
    log = Log.read(service.catalog)
    wrong += contradictions(load.attempts, log) + load.wrong
    wrong += [line for line in service.lines if "Traceback" in line]
    wrong = list(dict.fromkeys(wrong))  # each death finds again what an earlier one found
    interrupted = sum(rows[-1][1] == "interrupted" for rows in log.rows.values())
    print(f"{times} deaths, {len(load.attempts):,} downloads, {len(log.ids):,} audit rows, {interrupted:,} interrupted")
    print("\n".join(["", *ends(load.attempts, log), "", f"wrong: {len(wrong)}", *wrong[:20]]))
    return wrong


def _copy(catalog: Path, directory: Path) -> Path:
    """Of the file and its log: to open the original would change what the service finds."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for file in catalog.parent.glob(f"{catalog.name}*"):
        shutil.copy(file, directory)
    return directory / catalog.name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as directory:
        sys.exit(bool(asyncio.run(die_often(Path(directory), options.times, options.seed))))


if __name__ == "__main__":
    main()
