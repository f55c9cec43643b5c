"""The account: what the clients saw against what the audit log says."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from tests.soak.load import Attempt

# What the log may say of a download whose client saw this. An unanswered one may have reached the service or not.
OUTCOMES = {
    "complete": {"success"},
    "broken": {"error", "interrupted"},
    "left": {"aborted", "success", "interrupted", "error"},
    "stalled": {"aborted", "success", "interrupted", "error"},  # the kernel's buffers may have taken all
    "refused": {"error"},  # a file that was cut short before its first byte left
    "unanswered": {"aborted", "success", "interrupted", "error"},
}

AUDIT_ROWS = "SELECT id, action, result, correlation_id FROM audit_log ORDER BY timestamp"


@dataclass
class Log:
    """The audit log's downloads: by request, the actions and results of its rows. `ids` are those of all rows."""

    rows: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    ids: set[str] = field(default_factory=set)
    activity: int = 0

    @classmethod
    def read(cls, catalog: Path) -> "Log":
        """Of a catalog that no process holds."""
        with duckdb.connect(catalog) as opened:
            return cls.of(opened.execute(AUDIT_ROWS).fetchall())

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str, str, str]]) -> "Log":
        """Of the rows that AUDIT_ROWS selects."""
        log = cls()
        for row_id, action, result, request in rows:
            log.ids.add(row_id)
            if action == "admin.user_activity_read":
                log.activity += 1
            else:
                log.rows[request].append((action, result))
        return log


def contradictions(attempts: Iterable[Attempt], log: Log, *, finished: bool = True, replicas: int = 1) -> list[str]:
    """Where the log and the clients disagree. With `finished` every download that began must have its outcome.

    Of several replicas, the proxy asks another if one dies before its first byte: then a request has several started
    rows, each with an outcome.
    """
    found = []
    rows = dict(log.rows)
    for attempt in attempts:
        tries = replicas if attempt.died else 1
        if problem := _contradiction(attempt, rows.pop(attempt.id, []), tries, finished=finished):
            found.append(f"{problem}: {attempt}, log: {log.rows.get(attempt.id)}")
    found += [f"rows of a request that nobody made: {request} {left}" for request, left in rows.items()]
    return found


def _contradiction(attempt: Attempt, rows: list[tuple[str, str]], tries: int, *, finished: bool) -> str | None:
    """The first of these that holds."""
    started = rows.count((f"{attempt.action}_started", "started"))
    outcomes = [result for action, result in rows if action == attempt.action]
    together = started + len(outcomes) == len(rows) and started <= tries
    if len(outcomes) == started > 1:
        outcomes.remove("interrupted" if "interrupted" in outcomes else "success")  # of the one that died
        started -= 1
    allowed = OUTCOMES[attempt.end] | ({"success", "interrupted"} if attempt.died else set())
    problems = {
        "rows that do not belong together": not together,
        "an outcome too many": len(outcomes) > started,
        "bytes without a row": attempt.received > 0 and not started,
        "a complete response without its row": attempt.end == "complete" and outcomes != ["success"],
        "no outcome": finished and len(outcomes) < started,
        "another outcome than the client saw": not allowed.issuperset(outcomes),
    }
    return next((problem for problem, holds in problems.items() if holds), None)


def ends(attempts: Iterable[Attempt], log: Log) -> list[str]:
    """Lines of a table: what the clients saw, and what the log says of it."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for attempt in attempts:
        outcomes = [result for action, result in log.rows.get(attempt.id, []) if action == attempt.action]
        seen[attempt.end][outcomes[0] if outcomes else "no row"] += 1
    lines = ["| the client's end | downloads | in the audit log |", "| --- | --- | --- |"]
    for end, results in sorted(seen.items()):
        said = ", ".join(f"{result} {count:,}" for result, count in sorted(results.items()))
        lines.append(f"| {end} | {sum(results.values()):,} | {said} |")
    return lines
