"""The selection of sessions, for lists, exports and links."""

from dataclasses import dataclass
from datetime import UTC, datetime

from service.client.connection import Params


@dataclass(frozen=True, slots=True)
class Selection:
    """A session must match all fields that are given, and any value of a field with several. An empty selection selects
    everything.

    `since` and `until` mean the half-open time [since, until); without a zone they are in UTC. `q` is text in the
    file's name, the session id, the title or the project. `user_ids` is for all users' sessions, `session_files` for
    those of one user.
    """

    session_files: tuple[str, ...] = ()
    user_ids: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    models: tuple[str, ...] = ()
    errors: bool = False
    q: str | None = None

    def params(self) -> Params:
        """The API's query parameters."""
        params = [("session_file", name) for name in self.session_files]
        params += [("user_id", user_id) for user_id in self.user_ids]
        params += [("model", model) for model in self.models]
        params += [("errors", "true")] if self.errors else []
        texts = {"since": format_moment(self.since), "until": format_moment(self.until), "q": self.q}
        return [*params, *((name, text) for name, text in texts.items() if text is not None)]


EVERYTHING = Selection()


def format_moment(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC, as query parameters have it."""
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
