"""`session-export audit` and `activity`."""

from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING

import click

from service.cli.connection import Connection, connection_options
from service.cli.exit_codes import SHOWING, exit_codes_help
from service.cli.options import JSON, LIMIT, SINCE, UNTIL, USER

if TYPE_CHECKING:
    from service.cli.output import Output
    from service.client import Client


@click.command(short_help="Search the audit log.", epilog=exit_codes_help(SHOWING))
@connection_options
@click.option("--actor", metavar="ID", help="Rows of what that user did.")
@click.option("--about", metavar="ID", help="Rows about that user's sessions.")
@click.option("--action", metavar="NAME", help="Rows of that action, such as session_download.")
@click.option("--result", metavar="NAME", help="Rows with that result, such as success or aborted.")
@SINCE
@UNTIL
@JSON
@LIMIT
def audit(
    connection: Connection,
    actor: str | None,
    about: str | None,
    action: str | None,
    result: str | None,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
    limit: int | None,
) -> None:
    """Search the audit log, newest first. All options hold together; reading it is itself written to it.

    Example: audit --about u-1001 --action session_download
    """
    from service.cli.tables import AUDIT  # noqa: PLC0415
    from service.client import AuditQuery  # noqa: PLC0415

    async def work(client: "Client", output: "Output") -> int:
        query = AuditQuery(actor, about, action, result, since, until)
        async with aclosing(client.audit(query)) as rows:
            await output.rows(rows, None if as_json else AUDIT, limit)
        return 0

    connection.run(work)


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
