"""`session-export link`."""

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from service.cli.connection import Connection, connection_options
from service.cli.exit_codes import SHOWING, exit_codes_help
from service.cli.options import ALL_USERS, COMPRESSION, JSON, MANIFEST, SESSION_FILES, USERS, selection_options

if TYPE_CHECKING:
    from service.cli.output import Output
    from service.client import Client, Selection


@click.command(short_help="Make a link that needs no token.", epilog=exit_codes_help(SHOWING))
@connection_options
@USERS
@ALL_USERS
@SESSION_FILES
@selection_options
@MANIFEST
@COMPRESSION
@click.option("--expires-in", type=click.IntRange(1), default=900, show_default=True, metavar="SECONDS",
              help="How long the link is valid.")  # fmt: skip
@JSON
def link(
    connection: Connection,
    user_ids: tuple[str, ...],
    all_users: bool,
    session_files: tuple[str, ...],
    selection: "Selection",
    manifest: bool,
    compression: str | None,
    expires_in: int,
    as_json: bool,
) -> None:
    """Make a link to an export that needs no token, for a browser or a colleague, and print its URL.

    The export is of one user's sessions, or, with several users or --all-users, one archive across users; the options
    that select apply. Anybody with the link can use it until it expires, and the audit log records that under your
    name.
    """
    from service.cli.output import to_json  # noqa: PLC0415
    from service.client import ExportOptions, export_path  # noqa: PLC0415

    if all_users == bool(user_ids):
        raise click.UsageError("Whose sessions? Give --user ID or --all-users.")
    one_user = user_ids[0] if len(user_ids) == 1 else None
    if session_files and one_user is None:
        raise click.UsageError("--session-file is for one user's sessions.")
    selected = replace(selection, session_files=session_files, user_ids=() if one_user is not None else user_ids)
    options = ExportOptions(compression, selected, manifest and one_user is not None)

    async def work(client: "Client", output: "Output") -> int:
        made = await client.make_link(export_path(one_user, options.params()), expires_in)
        output.line(to_json(made) if as_json else made.url)
        return 0

    connection.run(work)
