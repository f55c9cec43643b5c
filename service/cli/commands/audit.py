"""`session-export activity`."""

from contextlib import aclosing
from typing import TYPE_CHECKING

import click

from service.cli.connection import Connection, connection_options
from service.cli.exit_codes import SHOWING, exit_codes_help
from service.cli.options import JSON, LIMIT, USER

if TYPE_CHECKING:
    from service.cli.output import Output
    from service.client import Client


@click.command(epilog=exit_codes_help(SHOWING))
@connection_options
@USER
@JSON
@LIMIT
def activity(connection: Connection, user_id: str, as_json: bool, limit: int | None) -> None:
    """Show what a user did, newest first. Reading it is itself written to the audit log."""
    from service.cli.tables import ACTIVITY  # noqa: PLC0415

    async def work(client: "Client", output: "Output") -> int:
        async with aclosing(client.activity(user_id)) as rows:
            await output.rows(rows, None if as_json else ACTIVITY, limit)
        return 0

    connection.run(work)
