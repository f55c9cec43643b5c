"""What no ZIP service can beat: `python -m tests.bench.limit DIRECTORY`.

Every file is read and deflated in the blocks that the service makes too, in as many threads as there are cores. There
is no ZIP, no checksum and no HTTP. Prints the seconds it took and the bytes that came out.
"""

import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from isal import isal_zlib

BLOCK = 256 * 1024
LEVEL = 2


def main(directory: Path) -> None:
    began = time.perf_counter()
    blocks = [(path, offset) for path in sorted(directory.iterdir()) for offset in range(0, path.stat().st_size, BLOCK)]
    cores = os.cpu_count() or 1
    shared = iter(blocks)  # threads may share the iterator of a list
    with ThreadPoolExecutor(cores) as pool:
        size = sum(pool.map(_deflate, [shared] * cores))
    print(time.perf_counter() - began, size)


def _deflate(blocks: Iterable[tuple[Path, int]]) -> int:
    size = 0
    for path, offset in blocks:
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            block = file.read(BLOCK)
        deflater = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)
        size += len(deflater.compress(block)) + len(deflater.flush(isal_zlib.Z_SYNC_FLUSH))
    return size


if __name__ == "__main__":
    main(Path(sys.argv[1]))
