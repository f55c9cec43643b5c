"""`session-export list`."""

from contextlib import aclosing
from typing import TYPE_CHECKING

import click

from service.cli.connection import Connection, connection_options
from service.cli.exit_codes import SHOWING, exit_codes_help
from service.cli.options import JSON, LIMIT, USER

if TYPE_CHECKING:
    from service.cli.output import Output
    from service.client import Client


@click.command("list", short_help="List a user's sessions.", epilog=exit_codes_help(SHOWING))
@connection_options
@USER
@JSON
@LIMIT
def list_sessions(connection: Connection, user_id: str, as_json: bool, limit: int | None) -> None:
    """List a user's sessions: those that the catalog knows first, each newest first."""
    from service.cli.tables import SESSIONS  # noqa: PLC0415

    async def work(client: "Client", output: "Output") -> int:
        async with aclosing(client.sessions(user_id)) as rows:
            await output.rows(rows, None if as_json else SESSIONS, limit)
        return 0

    connection.run(work)
