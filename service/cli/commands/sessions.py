"""`session-export list` and `find`."""

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from service.cli.connection import Connection, connection_options
from service.cli.exit_codes import SHOWING, exit_codes_help
from service.cli.options import JSON, LIMIT, SESSION_FILES, USER, USERS, selection_options

if TYPE_CHECKING:
    from service.cli.output import Output
    from service.client import Client, Selection


@click.command("list", short_help="List a user's sessions.", epilog=exit_codes_help(SHOWING))
@connection_options
@USER
@SESSION_FILES
@selection_options
@JSON
@LIMIT
def list_sessions(
    connection: Connection,
    user_id: str,
    session_files: tuple[str, ...],
    selection: "Selection",
    as_json: bool,
    limit: int | None,
) -> None:
    """List a user's sessions: first those whose content is known, then the others, both newest first.

    With options that select, only sessions that match all of them.
    """
    from service.cli.tables import SESSIONS  # noqa: PLC0415

    async def work(client: "Client", output: "Output") -> int:
        selected = replace(selection, session_files=session_files)
        async with aclosing(client.sessions(user_id, selected)) as rows:
            await output.rows(rows, None if as_json else SESSIONS, limit)
        return 0

    connection.run(work)


@click.command(short_help="Find sessions of all users.", epilog=exit_codes_help(SHOWING))
@connection_options
@USERS
@selection_options
@click.option("--sort", type=click.Choice(["started_at", "size_bytes", "tool_errors"]), default="started_at",
              show_default=True, help="The sort key; the greatest comes first.")  # fmt: skip
@JSON
@LIMIT
def find(
    connection: Connection,
    user_ids: tuple[str, ...],
    selection: "Selection",
    sort: str,
    as_json: bool,
    limit: int | None,
) -> None:
    """Find sessions of all users that match all options that select, newest first.

    Example: find --errors --since 2026-11-18 --until 2026-11-19
    """
    from service.cli.tables import FOUND_SESSIONS  # noqa: PLC0415

    async def work(client: "Client", output: "Output") -> int:
        async with aclosing(client.find(replace(selection, user_ids=user_ids), sort=sort)) as rows:
            await output.rows(rows, None if as_json else FOUND_SESSIONS, limit)
        return 0

    connection.run(work)
