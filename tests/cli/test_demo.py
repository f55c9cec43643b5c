"""`session-export demo`: its commands, pasted."""

import json
import re
import signal
import subprocess
import zipfile
from pathlib import Path

from tests.command import running


def test_the_demos_commands_work_as_they_are_pasted(tmp_path: Path) -> None:
    with running("demo", "--port", "0", cwd=tmp_path, until="/docs") as (process, lines):
        text = "".join(lines)
        directory = Path(re.findall(r"sessions in (\S+)", text)[0])
        assert directory.is_dir()
        commands = [line.strip() for line in lines if line.startswith("  ") and "#" not in line]
        done = subprocess.run(
            ["bash", "-euc", "\n".join(commands)], capture_output=True, text=True, cwd=tmp_path, check=False, timeout=40
        )
        assert done.returncode == 0, done.stderr
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert not directory.exists(), "removed at the end"
    listed, end = json.JSONDecoder().raw_decode(done.stdout)
    activity, end = json.JSONDecoder().raw_decode(done.stdout, end)
    assert listed["pagination"]["total"] == 5
    assert done.stdout[end:].startswith("u-1001: 5 files"), "what the client says"
    assert zipfile.is_zipfile(tmp_path / "exports" / "u-1001.zip")
    actions = [row["action"] for row in activity["rows"]]
    assert actions == [
        "session_bulk_download",
        "session_bulk_download_started",
        "session_download",
        "session_download_started",
    ]
    (archive,) = tmp_path.glob("alice-sessions-*.zip")
    with zipfile.ZipFile(archive) as opened:
        assert len(opened.namelist()) == 5
        assert opened.testzip() is None
        assert all(json.loads(line) for line in opened.read(opened.namelist()[0]).splitlines())
    (single,) = tmp_path.glob("*.jsonl")
    assert single.stat().st_size > 300_000
