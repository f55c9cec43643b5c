"""`session-export catalog`: the catalog as a whole."""

import asyncio

import click

from service.cli.configuration import operator_errors


@click.group()
def catalog() -> None:
    """Manage the catalog."""


@catalog.command()
@click.option("--from", "source", required=True, metavar="URL", help="The catalog to copy, as in catalog.url.")
@click.option("--to", "target", required=True, metavar="URL", help="The catalog to copy into; created if missing.")
def copy(source: str, target: str) -> None:
    """Copy users, usage and the audit log into another catalog.

    A URL is a DuckDB file or postgresql://user@host/database; keep the password in the file that PGPASSFILE names.
    No other process may use a DuckDB file during the copy. A row whose key is in the target already is left unchanged
    there, so the copy can be run again. The index of the sessions is not copied: the service builds it again.
    """
    from service.cli.catalog_copy import copy_between  # noqa: PLC0415

    with operator_errors():
        asyncio.run(
            copy_between(
                source,
                target,
                lambda table: click.echo(
                    f"{table.table}: {table.copied} copied, {table.present} already there, {table.total} in the target"
                ),
            )
        )
