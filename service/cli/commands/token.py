"""`session-export token`."""

import click


@click.command()
@click.option("--user-id", required=True, metavar="ID", help="Whom the token stands for; the audit log names them.")
@click.option("--admin", is_flag=True, help="Let it use the admin API. Without this it gives access to nothing yet.")
@click.option("--name", metavar="N", help="What the log calls the token. Default: the user's id.")
def token(user_id: str, admin: bool, name: str | None) -> None:
    """Make a new token, and the lines for config.yaml that let it in.

    The token is shown this once; the configuration keeps only its SHA-256.
    """
    from service.cli.tokens import new_token  # noqa: PLC0415

    made = new_token(user_id, admin=admin, name=name or user_id)
    click.echo(f"The token, shown only this once:\n\n  {made.token}\n\nPut this under auth.tokens in config.yaml:\n")
    click.echo(made.lines)
