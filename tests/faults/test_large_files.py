"""A session file of 2 GB without a line break, in every way that the service reads it."""

import http.client
import os
import re
import time
from json import loads
from pathlib import Path

import pytest

from tests.serving import Serving, prepare, serving

SIZE = 2 * 1024**3
MOST_MEMORY = 256 * 1024**2  # bytes above idle; an incomplete line of 64 MiB may be held, also while it is copied


def memory(service: Serving, key: str) -> int:
    """Bytes; `VmRSS` is of now, `VmHWM` the peak since the start."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    (kilobytes,) = re.findall(rf"{key}:\s+(\d+) kB", status)
    return int(kilobytes) * 1024


def export(service: Serving) -> int:
    """Export all sessions; returns the bytes of the archive, which must end as announced."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=120)
    try:
        path = "/api/admin/users/u-1001/sessions/download-all"
        connection.request("GET", path, headers={"Authorization": f"Bearer {service.token}"})
        response = connection.getresponse()
        assert response.status == 200
        assert response.headers["X-Export-Bytes"] == str(SIZE)
        total = 0
        while chunk := response.read(1024 * 1024):  # raises IncompleteRead if the export breaks off
            total += len(chunk)
        return total
    finally:
        connection.close()


@pytest.mark.long
def test_a_file_of_2_gb_without_a_line_break_is_indexed_listed_read_and_exported_in_little_memory(
    tmp_path: Path,
) -> None:
    file = prepare(tmp_path)
    os.truncate(file, 0)
    os.truncate(file, SIZE)
    with serving(tmp_path) as service:
        idle = memory(service, "VmRSS")
        while True:
            status, body = service.get("u-1001/sessions")
            assert status == 200
            (row,) = loads(body)["rows"]
            if row["processed"]:
                break
            time.sleep(0.1)
        assert (row["size_bytes"], row["session_id"], row["title"]) == (SIZE, "a", None)
        status, body = service.get("u-1001/sessions?errors=true")
        assert (status, loads(body)["rows"]) == (200, [])
        status, body = service.get(f"u-1001/sessions/a.jsonl/lines?from={SIZE // 2}")
        page = loads(body)
        assert (status, page["lines"], page["size"]) == (200, [], SIZE)
        assert 0 < export(service) < SIZE // 50
        assert memory(service, "VmHWM") - idle < MOST_MEMORY
