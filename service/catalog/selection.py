"""The selection of sessions, for all requests that list or export them."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Selection:
    """A session must match all fields that are given, and any value of a field with several. An empty selection selects
    everything.

    `since` and `until` are aware, in UTC, and mean the half-open time [since, until). `q` is a case-insensitive search
    in the file's name, the session id, the title and the project.
    """

    session_files: tuple[str, ...] = ()
    user_ids: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    models: tuple[str, ...] = ()
    errors: bool = False
    q: str | None = None

    @property
    def is_everything(self) -> bool:
        return self == Selection()

    @property
    def needs_facts(self) -> bool:
        """Whether it takes the facts of a file, and not only its name, to tell if it is selected."""
        return bool(self.since or self.until or self.models or self.errors or self.q)

    def params(self) -> dict[str, object]:
        """The selection as parameters of the API; sorted, so that equal selections give the same text."""
        given: dict[str, object] = {
            "errors": self.errors,
            "model": sorted(set(self.models)),
            "q": self.q,
            "session_file": sorted(set(self.session_files)),
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "user_id": sorted(set(self.user_ids)),
        }
        return {name: value for name, value in given.items() if value}
