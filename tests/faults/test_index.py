"""The index of a service that is killed halfway, by itself and by the tests' own reading of the catalog."""

import json
import time
from pathlib import Path

import duckdb
import pytest

from tests.serving import Serving, prepare, serving
from tests.transcript import session

FILES = 8000


def processed(served: Serving) -> int:
    """How many of Alice's sessions the service has read; in its list they come first."""
    low, high = 0, FILES
    while low < high:
        middle = (low + high) // 2
        _, body = served.get(f"u-1001/sessions?limit=1&offset={middle}")
        rows = json.loads(body)["rows"]
        low, high = (middle + 1, high) if rows and rows[0]["processed"] else (low, middle)
    return low


@pytest.mark.long
def test_an_index_that_was_killed_halfway_goes_on_and_has_each_fact_once(tmp_path: Path) -> None:
    directory = prepare(tmp_path, index={"interval": 1}).parent
    (directory / "a.jsonl").unlink()
    for number in range(FILES):
        (directory / f"s-{number}.jsonl").write_bytes(
            session(title=f"Task {number}", error=number % 3 == 0, session_id=f"s-{number}")
        )
    with serving(tmp_path) as served:
        while not (before := processed(served)):
            time.sleep(0.02)
        served.process.kill()
        served.process.wait()
    assert before < FILES
    with serving(tmp_path) as served:
        deadline = time.monotonic() + 60
        while processed(served) < FILES:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    with duckdb.connect(str(tmp_path / "data" / "catalog.duckdb"), read_only=True) as catalog:
        found = catalog.execute("SELECT session_file, title, tool_errors, tool_calls FROM session_index").fetchall()
    assert sorted(found) == sorted((f"s-{n}.jsonl", f"Task {n}", int(n % 3 == 0), 1) for n in range(FILES))
