"""The content of a transfer's audit rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from service.catalog import Action
from service.transfers.volume import Volume


@dataclass(frozen=True, slots=True)
class Entry:
    """The part of an audit row that depends on the kind of transfer: its resource and parameters."""

    resource: str
    params: dict[str, Any]


class Record(Protocol):
    """One started entry before the transfer, and at its end one entry or several, written in one transaction."""

    @property
    def action(self) -> Action: ...

    @property
    def announced(self) -> Volume:
        """The volume to be sent, as listed."""

    def volume(self, bytes_sent: int) -> Volume:
        """The volume so far; the transfer counts `bytes_sent`."""

    def started(self) -> Entry: ...

    def ended(self, volume: Volume) -> list[Entry]:
        """At least one entry. `volume` is the final volume."""


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
