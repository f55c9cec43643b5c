"""Which sessions are asked for: what a request may select by, wherever sessions are listed or exported."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Selection:
    """All that is given must hold; of several values any. Nothing given selects everything.

    `since` and `until` are aware, in UTC, and mean the half-open time [since, until). `q` is sought case-insensitively
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
        """Whether a file's name does not tell if the file is selected."""
        return bool(self.since or self.until or self.models or self.errors or self.q)

    def params(self) -> dict[str, object]:
        """What is selected, by the names that the API has: sorted, so that the same selection is the same text."""
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
