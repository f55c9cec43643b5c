"""What every group gets: the corpora, a directory for what it writes, and how often to measure."""

from dataclasses import dataclass
from pathlib import Path

from tests.bench.corpora import Corpora


@dataclass(frozen=True, slots=True)
class Run:
    """`runs` is how often each row is measured; a table shows the medians."""

    corpora: Corpora
    scratch: Path
    runs: int
