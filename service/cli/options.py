"""Options that several commands have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def _not_empty(_context: click.Context, _option: click.Parameter, ids: Any) -> Any:
    if ids == "" or (isinstance(ids, tuple) and "" in ids):
        raise click.BadParameter("no user's id is empty")
    return ids


def directory_option(name: str, parameter: str, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option for a directory that is made when missing; None where it is not given."""
    kind = click.Path(path_type=Path, file_okay=False)
    return click.option(name, parameter, type=kind, metavar="DIR", help=text)


USER = click.option("--user", "user_id", required=True, callback=_not_empty, metavar="ID", help="The user's id.")
USERS = click.option("--user", "user_ids", multiple=True, callback=_not_empty, metavar="ID",
                     help="A user's id; may be given several times.")  # fmt: skip
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, for scripts.")
LIMIT = click.option("--limit", type=click.IntRange(1), metavar="N", help="Print the first N only. Default: all.")
