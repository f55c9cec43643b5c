"""Measures a plan's members whose figures are unknown: they are deflated, their figures are remembered, and the bytes
are discarded. Afterwards the archive's length is known."""

from collections.abc import Mapping
from contextlib import closing

from service.archive.blocks import Blocks
from service.archive.members import Opener, Source
from service.archive.plan import Plan
from service.archive.remembered import Remembered
from service.pools import Pool


class Sizing:
    def __init__(self, plan: Plan, sources: Mapping[str, Source], pool: Pool, remembered: Remembered) -> None:
        self._opener = Opener(plan, sources, strict=True)
        self._pool = pool
        self._remembered = remembered
        self._stopped = False

    def run(self) -> None:
        """Blocks. Raises Changed or another StoreError if a file has changed since the plan, or cannot be read."""
        plan = self._opener.plan
        figures = self._remembered.all_of(plan.keys())
        missing = [row for row, found in enumerate(figures) if not plan.is_known(found)]
        with closing(Blocks(self._opener, missing, self._pool, self._remembered)) as blocks:
            for _ in blocks:
                if self._stopped:
                    return

    def stop(self) -> None:
        """Make `run`, in another thread, return soon. The figures measured until then are remembered."""
        self._stopped = True
