"""`session-export demo`: sample users and sessions, and a server on them."""

import os
import shlex
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from service.catalog import Usage, UsageRow, User, Users, open_catalog
from service.cli.tokens import new_token
from service.cli.transcripts import Writer
from service.config import Auth, Catalog, Server, Settings, Storage, Token
from service.pools import Pool
from service.server.serve import serve

BEGIN = datetime(2026, 5, 10, 9, tzinfo=UTC)
ADMIN = User("admin1", "admin@example.com", "Ada Admin")
# Each user, and for each session: its directory, its kilobytes, and whether the catalog knows it.
SAMPLES: list[tuple[User, list[tuple[str, int, bool]]]] = [
    (
        User("u-1001", "alice@example.com", "Alice"),
        [
            ("alice", 2400, True),
            ("alice", 800, True),
            ("alice", 350, False),
            ("u-1001", 1200, True),
            ("u-1001", 500, False),
        ],
    ),
    (User("u-1002", "bob@example.com", "Bob"), [("bob", 4000, True), ("u-1002", 300, False)]),
    (User("u-1003", "carol@example.com", "Carol"), [("u-1003", 700, False)]),
]


async def run(port: int, echo: Callable[[str], None]) -> None:
    """Make the samples in a temporary directory, serve them until a signal, and remove them."""
    with tempfile.TemporaryDirectory(prefix="session-export-demo-") as name:
        directory = Path(name)
        echo(f"Making sample users and sessions in {directory} (removed when this ends) ...")
        await make_samples(directory)
        token = new_token(ADMIN.id, admin=True, name="demo")
        settings = Settings(
            server=Server(port=port, shutdown_timeout=5),
            storage=Storage(root=directory / "user_sessions"),
            catalog=Catalog(url=str(directory / "catalog.duckdb")),
            auth=Auth(tokens=(Token(name="demo", user_id=ADMIN.id, admin=True, sha256=token.sha256),)),
        )
        await serve(settings, lambda url: echo(commands(url, token.token, _first_session(directory))), reloading=False)


async def make_samples(directory: Path) -> None:
    """Write `user_sessions/` and `catalog.duckdb` into the directory."""
    pool = Pool("catalog", 1)
    database = await open_catalog(Catalog(url=str(directory / "catalog.duckdb")), pool)
    try:
        await Users(database).add([ADMIN, *(user for user, _ in SAMPLES)])
        writer = Writer(seed=1)
        for user, sessions in SAMPLES:
            for number, (folder, kilobytes, processed) in enumerate(sessions):
                began = BEGIN + timedelta(days=number, hours=number)
                path = directory / "user_sessions" / folder / f"{writer.new_id()}.jsonl"
                await pool.run(_write_session, path, writer, kilobytes * 1024, began)
                if processed:
                    row = _usage(path, began, kilobytes)
                    username = user.email.partition("@")[0]
                    await Usage(database).add(row, username=username, user_id=user.id, processor_version=3)
    finally:
        database.close()


def commands(url: str, token: str, session_file: str) -> str:
    """The text with the commands to paste."""
    user = SAMPLES[0][0].id
    program = shlex.quote(str(Path(sys.executable).with_name("session-export")))  # PATH may not have it
    return f"""
Ready. Paste these into another terminal (Ctrl-C here ends the demo):

  export TOKEN={token}
  export API={url}/api/admin/users

  # list a user's sessions
  curl -sH "Authorization: Bearer $TOKEN" "$API/{user}/sessions?limit=2"

  # download one
  curl -sH "Authorization: Bearer $TOKEN" -OJ "$API/{user}/sessions/{session_file}/download"

  # export all of them as a ZIP
  curl -sH "Authorization: Bearer $TOKEN" -OJ "$API/{user}/sessions/download-all"

  # see who did that
  curl -sH "Authorization: Bearer $TOKEN" "$API/{ADMIN.id}/activity?limit=4"

  # export with the client, which verifies the archive while it is written
  SESSION_EXPORT_TOKEN=$TOKEN {program} export --url {url} --user {user} --to exports

The same in a browser: {url}/ (sign in with the token). The whole API, to read and to try: {url}/docs
"""


def _first_session(directory: Path) -> str:
    return min(path.name for path in (directory / "user_sessions" / "alice").iterdir())


def _write_session(path: Path, writer: Writer, size: int, began: datetime) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.writelines(writer.session(size, began))
    ended = (began + timedelta(hours=2)).timestamp()
    os.utime(path, (ended, ended))


def _usage(path: Path, began: datetime, kilobytes: int) -> UsageRow:
    return UsageRow(
        session_file=f"{path.parent.name}/{path.name}",
        session_id=path.stem,
        started_at=began,
        ended_at=began + timedelta(hours=2),
        active_seconds=kilobytes,
        wall_seconds=7200,
        tool_calls=kilobytes // 10,
        tool_errors=kilobytes // 400,
        primary_model="claude-sonnet-4-20250514",
    )
