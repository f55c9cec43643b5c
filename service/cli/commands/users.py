"""`session-export users`: list them, and import them."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.configuration import config_option, operator_errors
from service.cli.connection import Connection, connection_options, optional_connection_options
from service.cli.exit_codes import IMPORTING, SHOWING, exit_codes_help
from service.cli.options import JSON, LIMIT

if TYPE_CHECKING:
    from service.cli.output import Output
    from service.client import Client


@click.group()
def users() -> None:
    """List and import the catalog's users."""


@users.command("list", epilog=exit_codes_help(SHOWING))
@connection_options
@click.option("--match", "-q", "text", metavar="TEXT", help="Only users with that text in their id, e-mail or name.")
@JSON
@LIMIT
def list_users(connection: Connection, text: str | None, as_json: bool, limit: int | None) -> None:
    """List the users, sorted by e-mail, with the number of their sessions."""
    from service.cli.tables import USERS  # noqa: PLC0415

    async def work(client: "Client", output: "Output") -> int:
        async with aclosing(client.users(text)) as rows:
            await output.rows(rows, None if as_json else USERS, limit)
        return 0

    connection.run(work)


@users.command("import", epilog=exit_codes_help(IMPORTING))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@optional_connection_options
@config_option("Without --url: the configuration file that names the catalog, as for serve.")
def import_users(file: Path, connection: Connection | None, config: Path | None) -> None:
    """Add users from a CSV FILE with the header id,email,name.

    With --url, they are added through a running service. Without it, they are added to the catalog that the
    configuration names; if that is a DuckDB file, stop the service first, since only one process can open the file.

    A user whose id exists already is left unchanged. If one line is wrong, no user is added.
    """
    from service.cli.user_file import read_users  # noqa: PLC0415

    if connection is None:
        with operator_errors():
            _import_into_catalog(file, config)
        return
    from service.cli.user_upload import UserUpload  # noqa: PLC0415

    read = read_users(file)

    async def work(client: "Client", output: "Output") -> int:
        added, present = await UserUpload(client, file, output).run(read)
        output.line(f"{added} added, {present} already there")
        return 0

    connection.run(work)


def _import_into_catalog(file: Path, config: Path | None) -> None:
    from service.cli import user_import  # noqa: PLC0415
    from service.cli.user_file import read_users  # noqa: PLC0415
    from service.config import load_settings  # noqa: PLC0415

    added, present = asyncio.run(user_import.import_users(read_users(file), load_settings(config)))
    click.echo(f"{added} added, {present} already there")
