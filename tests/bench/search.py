"""A million sessions of 2,000 users, and a million audit rows: a page of what is sought, and the memory it takes."""

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from json import loads
from pathlib import Path
from statistics import median
from urllib.parse import quote

from service.catalog import open_catalog
from service.config import Catalog
from service.pools import Pool
from tests.bench import table
from tests.bench.catalog import ADD_AUDIT
from tests.bench.measure import Client, percentile, resident
from tests.bench.run import Run
from tests.bench.servers import service
from tests.bench.table import Table

USERS = 2000
SESSIONS = 1_000_000
AUDIT_ROWS = 1_000_000
REQUESTS = 20
PAGES = 20  # of 200 rows before the one in the middle
ADD_USERS = """
    INSERT INTO users (id, email, name, created_at)
    SELECT concat('u-', n), concat('user', n, '@example.com'), concat('User ', n), TIMESTAMP '2026-01-01'
    FROM range($1) AS numbers(n)
"""
# 300 days, four models and a rare one, one session in ten with errors. Not of the users above, whose directories are
# empty: the service would forget the rows at once.
ADD_SESSIONS = """
    INSERT INTO session_index (user_id, session_file, size_bytes, modified_ns, modified_at, identity, revision,
        facts_version, span_begin, span_end, session_id, started_at, ended_at, active_seconds, wall_seconds,
        user_messages, assistant_messages, tool_calls, mcp_calls, subagents, tool_errors, primary_model, models,
        input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens, title, project, bad_lines)
    SELECT concat('former-', n // 500), concat(id, '.jsonl'), size, epoch_ns(began), began, left(id, 24), 1,
        1, began, began + to_minutes(n % 300), NULL, began, began + to_minutes(n % 300), n % 1800, n % 18000,
        10, 20, n % 90, 0, 1, CASE WHEN n % 10 = 0 THEN n % 7 ELSE 0 END, model, concat(chr(10), model, chr(10)),
        size, size // 3, size * 5, size // 2, concat('Please look at ', left(md5(id), 12)),
        concat('project', n % 300), 0
    FROM (
        SELECT n, CAST(uuid() AS VARCHAR) AS id, TIMESTAMP '2026-01-01' + to_seconds(n * 7919 % 25920000) AS began,
            1000 + n * 104729 % 3000000 AS size,
            concat('claude-', CASE WHEN n % 100 = 7 THEN 'rare' ELSE concat('m', n % 4) END) AS model
        FROM range($1) AS numbers(n)
    ) AS made
"""


@dataclass(slots=True)
class Way:
    """A row: what is asked for, and the seconds that each answer took."""

    name: str
    path: str
    seconds: list[float] = field(default_factory=list)


def search(run: Run) -> Iterator[Table]:
    """One table."""
    home = Path(tempfile.mkdtemp(dir=run.scratch))
    root = home / "root"
    for number in range(USERS):
        (root / f"u-{number}").mkdir(parents=True)
    ways, full = _measure(run, root, home / "full.duckdb", SESSIONS)
    _, none = _measure(run, root, home / "none.duckdb", 0)
    yield Table(
        f"search: {SESSIONS:,} sessions of {USERS:,} users, {AUDIT_ROWS:,} audit rows",
        f"Pages of 50; each way {REQUESTS * run.runs} times. The service compares the {USERS:,} users' directories, "
        "which are empty, and searches rows of files that are gone; its index is off. After all these requests it "
        f"holds {table.size(full)}, and {table.size(none)} after the same with no session indexed: "
        f"{table.size(full - none)} more.",
        ("what", "median", "95th percentile"),
        [(way.name, table.time(median(way.seconds)), table.time(percentile(way.seconds, 95))) for way in ways],
    )


def _measure(run: Run, root: Path, catalog: Path, sessions: int) -> tuple[list[Way], int]:
    """What is asked for, timed, of a service with so many sessions; and the bytes of memory that it holds then."""
    print(f"search: filling a catalog with {sessions:,} sessions ...", file=sys.stderr)
    asyncio.run(fill(catalog, sessions))
    with service(
        run.corpora, run.scratch, catalog=catalog, storage={"root": str(root)}, index={"enabled": False}
    ) as server:
        client = Client(server)
        ways = _ways(client)
        for number in range(run.runs):
            print(f"search, round {number + 1}", file=sys.stderr)
            for way in ways:
                way.seconds += [client.get(way.path)[0] for _ in range(REQUESTS)]
        return ways, resident(server)


def _ways(client: Client) -> list[Way]:
    sessions, audit = "/api/admin/sessions?limit=50", "/api/admin/audit?limit=50"
    early = f"{sessions}&until=2026-06-01"
    return [
        Way("sessions, first page", sessions),
        Way("sessions, a page in the middle by cursor", _in_the_middle(client, sessions)),
        Way("sessions by model and time", f"{sessions}&model=claude-rare&since=2026-05-01&until=2026-05-08"),
        Way("sessions by time, a page in the middle", _in_the_middle(client, early)),
        Way("sessions with errors, by size", f"{sessions}&errors=true&sort=size_bytes"),
        Way("sessions with a text in them", f"{sessions}&q=abcd"),
        Way("audit, first page", audit),
        Way("audit, a page in the middle by cursor", _in_the_middle(client, audit)),
        Way("audit by actor", f"{audit}&actor=admin7"),
        Way("audit about a user", f"{audit}&about=u-77"),
        Way("audit by action and time", f"{audit}&action=session_bulk_download&since=2026-02-01&until=2026-03-01"),
    ]


def _in_the_middle(client: Client, path: str) -> str:
    """The path of the page behind many larger ones, or of the first where there are no more."""
    place = ""
    for _ in range(PAGES):
        _, body = client.get(path.replace("limit=50", "limit=200") + place)
        cursor = loads(body)["next"]
        if cursor is None:
            return path
        place = f"&cursor={quote(cursor)}"
    return path + place


async def fill(path: Path, sessions: int) -> None:
    database = await open_catalog(Catalog(url=str(path), memory_limit="2GB"), Pool("catalog", 1))
    await database.query(ADD_USERS, [USERS])
    await database.query(ADD_SESSIONS, [sessions])
    await database.query(ADD_AUDIT, [AUDIT_ROWS])
    database.close()
