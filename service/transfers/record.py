"""What the audit log is to say of a transfer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from service.catalog import Action
from service.transfers.volume import Volume


@dataclass(frozen=True, slots=True)
class Entry:
    """What one audit row says besides who asked, when, and how it ended."""

    resource: str
    params: dict[str, Any]


class Record(Protocol):
    """One started entry before the transfer, and at its end one entry or several, written in one transaction."""

    @property
    def action(self) -> Action: ...

    @property
    def announced(self) -> Volume:
        """What is to come, as listed."""

    def volume(self, bytes_sent: int) -> Volume:
        """What went through so far; the transfer counts `bytes_sent`."""

    def started(self) -> Entry: ...

    def ended(self, volume: Volume) -> list[Entry]:
        """At least one entry. `volume` is what went through in the end."""


@dataclass(frozen=True, slots=True)
class SingleRecord:
    """The record of a transfer with one outcome. `params` are in both rows."""

    action: Action
    resource: str
    params: dict[str, Any]
    announced: Volume
    volume: Callable[[int], Volume]

    def started(self) -> Entry:
        return Entry(self.resource, self.params | _named(self.announced, self.action.announced))

    def ended(self, volume: Volume) -> list[Entry]:
        return [Entry(self.resource, self.params | _named(volume, self.action.counted))]


def _named(volume: Volume, names: tuple[str, ...]) -> dict[str, int]:
    return {name: getattr(volume, name) for name in names}
