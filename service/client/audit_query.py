"""The filters for a search in the audit log."""

from dataclasses import dataclass
from datetime import datetime

from service.client.connection import Params
from service.client.selection import format_moment


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """A row must match all fields that are given. `actor` is the user who did it, `about` the user whose sessions it
    concerns. `since` and `until` mean the half-open time [since, until); without a zone they are in UTC."""

    actor: str | None = None
    about: str | None = None
    action: str | None = None
    result: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def params(self) -> Params:
        """The API's query parameters."""
        texts = {
            "actor": self.actor,
            "about": self.about,
            "action": self.action,
            "result": self.result,
            "since": format_moment(self.since),
            "until": format_moment(self.until),
        }
        return [(name, text) for name, text in texts.items() if text is not None]
