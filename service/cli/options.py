"""Options that several commands have."""

import functools
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click


def _parse_moment(_context: click.Context, _option: click.Parameter, text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text is not None else None
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no date or time, such as 2026-10-01 or 2026-10-01T12:00:00+02:00"
        ) from None


def _not_empty(_context: click.Context, _option: click.Parameter, ids: Any) -> Any:
    if ids == "" or (isinstance(ids, tuple) and "" in ids):
        raise click.BadParameter("no user's id is empty")
    return ids


def directory_option(name: str, parameter: str, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option for a directory, which is created if missing; None if the option is not given."""
    kind = click.Path(path_type=Path, file_okay=False)
    return click.option(name, parameter, type=kind, metavar="DIR", help=text)


USER = click.option("--user", "user_id", required=True, callback=_not_empty, metavar="ID", help="The user's id.")
USERS = click.option("--user", "user_ids", multiple=True, callback=_not_empty, metavar="ID",
                     help="A user's id; may be given several times.")  # fmt: skip
ALL_USERS = click.option("--all-users", is_flag=True, help="The sessions of all users.")
SESSION_FILES = click.option("--session-file", "session_files", multiple=True, metavar="NAME",
                             help="Sessions of that file name; may be given several times.")  # fmt: skip
COMPRESSION = click.option("--compression", type=click.Choice(["fast", "small", "store"]),
                           help="Default: the service's.")  # fmt: skip
MANIFEST = click.option("--manifest", is_flag=True,
                        help="Add a manifest: it proves that the archive is whole; see verify.")  # fmt: skip
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line, for scripts.")
LIMIT = click.option("--limit", type=click.IntRange(1), metavar="N", help="Print the first N only. Default: all.")
SINCE = click.option("--since", callback=_parse_moment, metavar="TIME",
                     help="From then on. A date is its midnight, and a time without a zone is in UTC.")  # fmt: skip
UNTIL = click.option("--until", callback=_parse_moment, metavar="TIME", help="Before then.")


def selection_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that select sessions; the function gets `selection`, a `Selection` of the client."""

    @click.option("--since", callback=_parse_moment, metavar="TIME",
                  help="Sessions that ended then or later. A date is its midnight; a time without a zone is in "
                       "UTC.")  # fmt: skip
    @click.option("--until", callback=_parse_moment, metavar="TIME", help="Sessions that began before.")
    @click.option("--model", "models", multiple=True, metavar="NAME",
                  help="Sessions in which that model answered; may be given several times.")  # fmt: skip
    @click.option("--errors", is_flag=True, help="Sessions in which a tool failed.")
    @click.option("--match", "-q", "q", metavar="TEXT",
                  help="Sessions with that text in the file's name, the session id, the title or the "
                       "project.")  # fmt: skip
    @functools.wraps(function)
    def command(**options: Any) -> None:
        from service.client import Selection  # noqa: PLC0415

        selection = Selection(**{name: options.pop(name) for name in ("since", "until", "models", "errors", "q")})
        function(selection=selection, **options)

    return command
