"""A bounded cache of the plans of recent exports, so that an export can be resumed even after its files have grown."""

from cachetools import LRUCache

from service.archive.plan import Plan

MOST_BYTES = 64 * 1024 * 1024  # of all plans together
BYTES_PER_FILE = 200  # a name, an identity and two numbers
BYTES_PER_FOLDER = 1500
MOST_REVOKED = 10_000  # tags


class Snapshots:
    """Plans by scope and tag. Used only in the event loop's thread."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._kept: LRUCache[tuple[str, str], Plan] = LRUCache(most_bytes, _bytes_of)
        self._revoked: LRUCache[str, bool] = LRUCache(MOST_REVOKED)

    def keep(self, scope: str, plan: Plan) -> None:
        if _bytes_of(plan) <= self._kept.maxsize:
            self._kept[scope, plan.tag] = plan

    def find(self, scope: str, tag: str) -> Plan | None:
        """The plan with this tag. Its files may have changed since."""
        return None if tag in self._revoked else self._kept.get((scope, tag))

    def revoke(self, tag: str) -> None:
        """Never use the tag again: an archive that differs from the plan was sent with it, and must not be resumed."""
        self._revoked[tag] = True

    def is_revoked(self, tag: str) -> bool:
        return tag in self._revoked


def _bytes_of(plan: Plan) -> int:
    return plan.file_count * BYTES_PER_FILE + len(plan.folders) * BYTES_PER_FOLDER
