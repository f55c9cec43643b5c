"""How long a reader of the console waits: from a click in Chromium until the rows are painted."""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, sync_playwright

from tests.bench import table
from tests.bench.measure import percentile
from tests.bench.run import Run
from tests.bench.search import fill
from tests.bench.servers import Server, service
from tests.bench.table import Table

MILLION = 1_000_000
LISTED = 401  # sessions with files, newer than all others: two pages, and one more
TRIES = 5
# The rows are painted when a task runs after the next frame: those before belong to the page before.
CLICK = """async (selector) => {
  const row = () => document.querySelector(".results tbody tr");
  const before = row();
  const begin = performance.now();
  document.querySelector(selector).click();
  while (row() === before || row() === null) await new Promise(requestAnimationFrame);
  await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
  return performance.now() - begin;
}"""


@dataclass(slots=True)
class Way:
    """A row: where the reader is, what they click, and the seconds that it took with few and with many sessions."""

    name: str
    address: str
    selector: str
    few: list[float] = field(default_factory=list)
    many: list[float] = field(default_factory=list)


def console(run: Run) -> Iterator[Table]:
    """One table."""
    ways = [
        Way("a user's sessions", "users", ".results a[href='#/users/u-0']"),
        Way("all sessions", "users", "#pages a[href='#/sessions']"),
        Way("next page of all", "sessions", ".results a[rel=next]"),
        Way("all, by size", "sessions", ".results th a[href*=size_bytes]"),
        Way("all with errors", "sessions", "#errors"),
    ]
    home = Path(tempfile.mkdtemp(dir=run.scratch))
    root = home / "root"
    _write_sessions(root / "user0")
    for name, sessions in (("few", 0), ("many", MILLION)):
        print(f"console: filling a catalog with {sessions:,} sessions ...", file=sys.stderr)
        asyncio.run(fill(home / f"{name}.duckdb", sessions))
        with service(
            run.corpora,
            run.scratch,
            catalog=home / f"{name}.duckdb",
            storage={"root": str(root)},
            index={"enabled": False},  # in the background it would forget the sessions whose files are gone
        ) as server:
            _measure(server, run.runs * TRIES, ways, name)
    yield Table(
        f"console: pages of 200 sessions, of {LISTED:,} and of {MILLION:,}",
        f"From the click until the rows are painted, in Chromium; each {run.runs * TRIES} times.",
        ("click", f"{LISTED:,} sessions", "95th percentile", f"{MILLION:,} sessions", "95th percentile"),
        [[way.name, *_figures(way.few), *_figures(way.many)] for way in ways],
    )


def _write_sessions(directory: Path) -> None:
    directory.mkdir(parents=True)
    for number in range(LISTED):
        at = (datetime(2027, 1, 1, tzinfo=UTC) + timedelta(minutes=number)).isoformat()
        result = {"type": "tool_result", "tool_use_id": "t-1", "is_error": number % 2 == 1}
        calls = [{"type": "tool_use", "id": "t-1", "name": "Bash"}]
        lines = [
            ("user", {"content": f"Session {number}: please fix the checkout"}),
            ("assistant", {"model": "claude-m1", "content": calls}),
            ("user", {"content": [result]}),
        ]
        entries = [{"type": kind, "timestamp": at, "cwd": "/home/shop", "message": it} for kind, it in lines]
        (directory / f"s-{number:04}.jsonl").write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))


def _measure(server: Server, tries: int, ways: list[Way], name: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(server.url("/"))
        page.get_by_label("Token").fill(server.token)
        page.get_by_role("button", name="Sign in").click()
        for number in range(tries):
            print(f"console, {name} sessions, round {number + 1}", file=sys.stderr)
            for way in ways:
                _open(page, way.address)
                getattr(way, name).append(page.evaluate(CLICK, way.selector) / 1000)
        browser.close()


def _open(page: Page, address: str) -> None:
    """Show this page in full, so that nothing of it is left to do when the clock runs."""
    page.evaluate("(hash) => { location.hash = hash; }", f"#/{address}")
    page.wait_for_selector(".results:not([aria-busy]) tbody tr")
    page.wait_for_load_state("networkidle")


def _figures(seconds: list[float]) -> list[str]:
    return [table.time(median(seconds)), table.time(percentile(seconds, 95))]
