"""`session-export export`."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from service.cli.connection import Connection, connection_options
from service.cli.exit_codes import EXPORTING, exit_codes_help
from service.cli.options import USERS, directory_option

if TYPE_CHECKING:
    from service.cli.output import Output
    from service.client import Client


@click.command(epilog=exit_codes_help(EXPORTING))
@connection_options
@USERS
@click.option("--users-from", type=click.File(), metavar="FILE",
              help="A file of ids, one a line; - is standard input.")  # fmt: skip
@directory_option("--to", "directory", "Save each user's archive as DIR/<id>.zip. Default: this directory.")
@directory_option("--extract", "extract", "Write each user's files into the directory DIR/<id> instead, while they "
                  "arrive, and keep no archive.")  # fmt: skip
@click.option("--compression", type=click.Choice(["fast", "small", "store"]), help="Default: the service's.")
@click.option("--parallel", type=click.IntRange(1, 32), default=4, show_default=True, metavar="N",
              help="How many users to export at once.")  # fmt: skip
@click.option("--force", is_flag=True, help="Export again what is already there.")
def export(
    connection: Connection,
    user_ids: tuple[str, ...],
    users_from: TextIO | None,
    directory: Path | None,
    extract: Path | None,
    compression: str | None,
    parallel: int,
    force: bool,
) -> None:
    """Export all sessions of one or more users, each as a ZIP.

    An archive gets its name when every member of it has been checked. A user whose archive is already there is left
    out, so that a second run exports only what is missing.
    """
    from service.cli.batch import ExportBatch  # noqa: PLC0415
    from service.client import ExportOptions  # noqa: PLC0415

    if directory and extract:
        raise click.UsageError("--to is for archives, and --extract keeps none: give one of them.")
    users = list(dict.fromkeys([*user_ids, *_read_ids(users_from or ())]))
    if not users:
        raise click.UsageError("Whose sessions? Give --user ID or --users-from FILE.")

    async def work(client: "Client", output: "Output") -> int:
        save = client.extract if extract else client.export
        suffix = "" if extract else ".zip"
        batch = ExportBatch(save, ExportOptions(compression), extract or directory or Path(), suffix, force, output)
        return await batch.run(users, parallel)

    connection.run(work)


def _read_ids(file: Iterable[str]) -> list[str]:
    lines = (line.strip() for line in file)
    return [line for line in lines if line and not line.startswith("#")]
