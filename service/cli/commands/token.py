"""`session-export token`."""

import click


@click.command()
@click.option(
    "--user-id", required=True, metavar="ID", help="The user that the token authenticates, as named in the audit log."
)
@click.option(
    "--admin", is_flag=True, help="Give it access to the admin API. Without this it has access to nothing yet."
)
@click.option("--name", metavar="N", help="The token's name in the log. Default: the user's id.")
def token(user_id: str, admin: bool, name: str | None) -> None:
    """Make a new token, and the lines for config.yaml that enable it.

    The token is shown this once; the configuration keeps only its SHA-256.
    """
    from service.cli.tokens import new_token  # noqa: PLC0415

    made = new_token(user_id, admin=admin, name=name or user_id)
    click.echo(f"The token, shown only this once:\n\n  {made.token}\n\nPut this under auth.tokens in config.yaml:\n")
    click.echo(made.lines)
