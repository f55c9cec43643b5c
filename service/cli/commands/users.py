"""`session-export users`: the catalog's users."""

import asyncio
from pathlib import Path

import click

from service.cli.configuration import config_option, operator_errors


@click.group()
def users() -> None:
    """Manage the catalog's users."""


@users.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@config_option("As for serve.")
def import_users(file: Path, config: Path | None) -> None:
    """Add users from a CSV FILE with the header id,email,name.

    A user whose id is in the catalog stays as it is. If one line is wrong, no user is added. The service must not be
    running on a DuckDB file, which belongs to one process at a time.
    """
    from service.cli.user_import import import_file  # noqa: PLC0415
    from service.config import load_settings  # noqa: PLC0415

    with operator_errors():
        added, present = asyncio.run(import_file(file, load_settings(config)))
        click.echo(f"{added} added, {present} already there")
