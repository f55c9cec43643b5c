"""The command `session-export`. No logic of its own; what is heavy is imported by the command that needs it."""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

import click

from service import __version__
from service.cli.calls import COMMANDS


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="session-export")
def main() -> None:
    """Give admins the session files that AI agents left: list a user's sessions, download one, export all
    as a ZIP that is streamed, and see who did so.

    Try it with `session-export demo`. list, download, export and activity call a running service, and doctor examines
    the way to it: they run where clients are. The others run on its own machine.
    """


for command in COMMANDS:
    main.add_command(command)


@main.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration file. Default: config.yaml in this directory, where there is one.",
)
def serve(config: Path | None) -> None:
    """Run the service until SIGTERM or Ctrl-C.

    Settings come from the configuration file; environment variables override it, such as
    SESSION_EXPORT__SERVER__PORT=9000 or SESSION_DATA_DIR=/srv/sessions.
    """
    from service.config import load_settings  # noqa: PLC0415
    from service.server.logs import set_up_logging  # noqa: PLC0415
    from service.server.reload import look_at  # noqa: PLC0415
    from service.server.serve import serve as run  # noqa: PLC0415

    with _plain_errors():
        file = config or _default_config()
        looked = look_at(file)
        settings = load_settings(file)
        set_up_logging(settings.logging.format, settings.logging.level)
        asyncio.run(run(settings, config=file, looked=looked))


@main.command()
@click.option("--user-id", required=True, metavar="ID", help="Whom the token stands for; the audit log names them.")
@click.option("--admin", is_flag=True, help="Let it open the admin API. Without this it opens nothing yet.")
@click.option("--name", metavar="N", help="What the log calls the token. Default: the user's id.")
def token(user_id: str, admin: bool, name: str | None) -> None:
    """Make a new token, and the lines for config.yaml that let it in.

    The token is shown this once; the configuration keeps only its SHA-256.
    """
    from service.cli.tokens import new_token  # noqa: PLC0415

    made = new_token(user_id, admin=admin, name=name or user_id)
    click.echo(f"The token, shown only this once:\n\n  {made.token}\n\nPut this under auth.tokens in config.yaml:\n")
    click.echo(made.lines)


@main.group()
def users() -> None:
    """Keep the catalog's users."""


@users.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="As for serve.")
def import_users(file: Path, config: Path | None) -> None:
    """Add users from a CSV FILE with the header id,email,name.

    Those whose id is in the catalog stay as they are. One wrong line, and none is added. The service must not be
    running: a DuckDB file belongs to one process at a time.
    """
    from service.cli.user_import import import_file  # noqa: PLC0415
    from service.config import load_settings  # noqa: PLC0415

    with _plain_errors():
        added, present = asyncio.run(import_file(file, load_settings(config or _default_config())))
        click.echo(f"{added} added, {present} already there")


@main.command(short_help="Try it: a server with sample users and sessions.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
def demo(port: int) -> None:
    """Try it: sample users and sessions in a new temporary directory, a running server, and commands to paste.

    The directory is removed at the end (Ctrl-C).
    """
    from service.cli.demo import run  # noqa: PLC0415
    from service.server.logs import set_up_logging  # noqa: PLC0415

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the server handles it: the directory is removed
    with _plain_errors():
        set_up_logging()
        asyncio.run(run(port, click.echo))


def _default_config() -> Path | None:
    path = Path("config.yaml")
    return path if path.is_file() else None


@contextlib.contextmanager
def _plain_errors():  # type: ignore[no-untyped-def]
    """What an operator can mend is told in plain lines, without a traceback."""
    from service.catalog import CatalogError  # noqa: PLC0415
    from service.cli.user_import import ImportRefused  # noqa: PLC0415
    from service.config import ConfigError  # noqa: PLC0415

    try:
        yield
    except (ConfigError, CatalogError, ImportRefused, OSError) as error:
        raise click.ClickException(str(error)) from None
