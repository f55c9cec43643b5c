"""`session-export download`."""

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.connection import Connection, connection_options
from service.cli.exit_codes import SAVING, exit_codes_help
from service.cli.options import USER, directory_option

if TYPE_CHECKING:
    from service.cli.output import Output
    from service.client import Client

SESSION_FILE = re.compile(r"[A-Za-z0-9._-]+\.jsonl")


@click.command(epilog=exit_codes_help(SAVING))
@connection_options
@USER
@click.argument("session_files", nargs=-1, required=True, metavar="SESSION_FILE...")
@directory_option("--to", "directory", "Where to save them. Default: this directory.")
@click.option("--force", is_flag=True, help="Download sessions again that are already there.")
def download(
    connection: Connection, user_id: str, session_files: tuple[str, ...], directory: Path | None, force: bool
) -> None:
    """Download single sessions, unchanged.

    A download that breaks off is resumed, now or by the same command later, unless the session has changed.
    """
    from service.cli.batch import download_sessions  # noqa: PLC0415

    for name in session_files:
        if not SESSION_FILE.fullmatch(name):
            raise click.UsageError(f"{name!r} is not the name of a session file, as `session-export list` shows them.")

    async def work(client: "Client", output: "Output") -> int:
        paths = [(directory or Path()) / name for name in dict.fromkeys(session_files)]
        return await download_sessions(partial(client.download, user_id), paths, force, output)

    connection.run(work)
