"""The progress of a transfer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Progress:
    """In bytes. For an export, `done` and `total` are uncompressed, and `received` is what came over the network."""

    received: int
    done: int
    total: int | None


OnProgress: TypeAlias = Callable[[Progress], None]


def no_progress(progress: Progress) -> None:
    """The default callback: does nothing."""
