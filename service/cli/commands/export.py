"""`session-export export`."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from service.cli.connection import Connection, connection_options
from service.cli.exit_codes import EXPORTING, exit_codes_help
from service.cli.options import (
    ALL_USERS,
    COMPRESSION,
    MANIFEST,
    SESSION_FILES,
    USERS,
    directory_option,
    selection_options,
)

if TYPE_CHECKING:
    from service.cli.output import Output
    from service.client import Client, Selection

MOST_IN_ONE = 200  # users whom the API lets an export name


@click.command(short_help="Export sessions as ZIPs, a user each or many as one.", epilog=exit_codes_help(EXPORTING))
@connection_options
@USERS
@click.option("--users-from", type=click.File(), metavar="FILE",
              help="A file of ids, one a line; - is standard input.")  # fmt: skip
@ALL_USERS
@directory_option("--to", "directory", "Save each user's archive as DIR/<id>.zip. Default: this directory.")
@click.option("--into", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Save one archive instead, with a folder for each user.")  # fmt: skip
@directory_option("--extract", "extract", "Write each user's files into the directory DIR/<id> instead, while they "
                  "arrive, and keep no archive.")  # fmt: skip
@SESSION_FILES
@selection_options
@MANIFEST
@COMPRESSION
@click.option("--parallel", type=click.IntRange(1, 32), default=4, show_default=True, metavar="N",
              help="How many users to export at once.")  # fmt: skip
@click.option("--force", is_flag=True, help="Export again even if the target exists.")
def export(
    connection: Connection,
    user_ids: tuple[str, ...],
    users_from: TextIO | None,
    all_users: bool,
    directory: Path | None,
    into: Path | None,
    extract: Path | None,
    session_files: tuple[str, ...],
    selection: "Selection",
    manifest: bool,
    compression: str | None,
    parallel: int,
    force: bool,
) -> None:
    """Export sessions of one or more users, each as a ZIP, or of many users as one ZIP.

    An archive gets its final name when all its members have been verified, also against its manifest. An export that
    breaks off is resumed, now or by the same command later, unless the sessions have changed. Targets that exist are
    skipped, so a second run exports only what is missing.

    All sessions are exported, or only those that match all options that select.
    """
    from service.cli.batch import ExportBatch, one_archive, user_archives, user_directories  # noqa: PLC0415
    from service.client import ExportOptions  # noqa: PLC0415

    users = list(dict.fromkeys([*user_ids, *_read_ids(users_from or ())]))
    _check(users, all_users, into, session_files)
    if sum(target is not None for target in (directory, into, extract)) > 1:
        raise click.UsageError("--to, --into and --extract exclude each other: give one of them.")
    options = ExportOptions(compression, replace(selection, session_files=session_files), manifest)
    if into:
        jobs = [one_archive(into, users, options)]
    elif extract:
        jobs = user_directories(extract, users, options)
    else:
        jobs = user_archives(directory or Path(), users, options)

    async def work(client: "Client", output: "Output") -> int:
        return await ExportBatch(client, force, output).run(jobs, parallel)

    connection.run(work)


def _check(users: list[str], all_users: bool, into: Path | None, session_files: tuple[str, ...]) -> None:
    if all_users and users:
        raise click.UsageError("--all-users is for all: give no --user with it.")
    if not all_users and not users:
        raise click.UsageError("Whose sessions? Give --user ID, --users-from FILE or --all-users.")
    if all_users and not into:
        raise click.UsageError("--all-users makes one archive: give --into FILE.")
    if into and session_files:
        raise click.UsageError("--session-file is for archives of one user: give no --into with it.")
    if into and len(users) > MOST_IN_ONE:
        raise click.UsageError(f"--into takes at most {MOST_IN_ONE} users, or all with --all-users.")


def _read_ids(file: Iterable[str]) -> list[str]:
    lines = (line.strip() for line in file)
    return [line for line in lines if line and not line.startswith("#")]
