"""The actions of the audit log. The name of each is defined here and nowhere else.

A transfer writes two rows or more: `<name>_started` before its first byte, and `<name>` with the result.
"""

from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    """How an action ended; `STARTED` is the result of a row that announces a transfer."""

    STARTED = "started"
    SUCCESS = "success"
    ABORTED = "aborted"  # the client disconnected or stalled
    ERROR = "error"  # a source failed
    INTERRUPTED = "interrupted"  # the service stopped or died


OUTCOMES = (Result.SUCCESS, Result.ABORTED, Result.ERROR, Result.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Action:
    """One action. A transfer has a `kind`, its label in the metrics.

    `announced` and `counted` name the numeric parameters of a transfer: those of its started row, as listed, and those
    of its final row, as counted.
    """

    name: str
    kind: str | None = None
    announced: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()

    def row_name(self, result: str) -> str:
        """The column `action` of a row with this result."""
        return f"{self.name}_started" if result == Result.STARTED else self.name


USERS = "users"  # the parameter of an export across users that has the ids of all of them, in its started row

EXPORT = Action(
    "session_bulk_download",
    kind="export",
    announced=("file_count", "total_bytes"),
    counted=("file_count", "total_bytes", "bytes_sent", "skipped"),
)
DOWNLOAD = Action("session_download", kind="download", counted=("bytes_sent",))
ACTIVITY_READ = Action("admin.user_activity_read")
AUDIT_READ = Action("admin.audit_read")
LINK_MADE = Action("admin.link_made")
SESSION_VIEW = Action("session_view")
SESSIONS_READ = Action("admin.sessions_read")
USER_SAVED = Action("admin.user_saved")

TRANSFERS = (EXPORT, DOWNLOAD)
KINDS = tuple(action.kind for action in TRANSFERS if action.kind)
