"""The commands that call a running service: list, download, export, activity, doctor.

To import this costs no more than click; what makes requests and draws bars is imported when a command runs.
"""

import asyncio
import functools
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO
from urllib.parse import urlsplit

import click

from service.cli.exits import (
    EXAMINING,
    EXPORTING,
    FAILED,
    INTERRUPTED,
    NOT_ALLOWED,
    NOT_SOUND,
    READER_LEFT,
    SAVING,
    SHOWING,
    TERMINATED,
    UNAVAILABLE,
    epilog,
)

if TYPE_CHECKING:
    from service.cli.show import Show
    from service.client import Client

TOKEN = re.compile(r"[\x21-\x7e]+")
SESSION_FILE = re.compile(r"[A-Za-z0-9._-]+\.jsonl")


@dataclass(frozen=True, slots=True)
class Service:
    """Which service, and how patiently it is asked."""

    url: str
    token: str
    retries: int

    def client(self, show: "Show") -> "Client":
        from service.client import Client  # noqa: PLC0415

        return Client(self.url, self.token, retries=self.retries, on_retry=show.retry)


def where(function: Callable[..., None]) -> Callable[..., None]:
    """The options that say which service, and who asks: `url` and `token_file`."""

    @click.option("--url", required=True, envvar="SESSION_EXPORT_URL", show_envvar=True, metavar="URL",
                  help="The service, such as https://sessions.example.com.")  # fmt: skip
    @click.option("--token-file", type=click.File(), metavar="FILE",
                  help="Holds the token (-: standard input). Default: the variable SESSION_EXPORT_TOKEN.")  # fmt: skip
    @functools.wraps(function)
    def command(**options: Any) -> None:
        function(**options)

    return command


def connected(function: Callable[..., None]) -> Callable[..., None]:
    """The options that all of these commands have; the function gets `service`."""

    @where
    @click.option("--retries", type=click.IntRange(0, 100), default=4, show_default=True, metavar="N",
                  help="How often a request is made again when the service is busy or the connection breaks; it waits "
                       "as long as the service says (Retry-After), else 1, 2, 4, ... seconds.")  # fmt: skip
    @functools.wraps(function)
    def command(url: str, token_file: TextIO | None, retries: int, **rest: Any) -> None:
        function(service=Service(_checked_url(url), _token(token_file), retries), **rest)

    return command


def _not_empty(_context: click.Context, _option: click.Parameter, ids: Any) -> Any:
    if ids == "" or (isinstance(ids, tuple) and "" in ids):
        raise click.BadParameter("no user's id is empty")
    return ids


ONE_USER = click.option("--user", "user_id", required=True, callback=_not_empty, metavar="ID", help="The user's id.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for scripts.")
AT_MOST = click.option("--limit", type=click.IntRange(1), metavar="N", help="The first N only. Default: all.")


@click.command("list", short_help="List a user's sessions.", epilog=epilog(SHOWING))
@connected
@ONE_USER
@AS_JSON
@AT_MOST
def list_sessions(service: Service, user_id: str, as_json: bool, limit: int | None) -> None:
    """List a user's sessions: those the catalog knows first, each newest first."""
    from service.cli.show import SESSIONS, Show  # noqa: PLC0415

    async def work(show: "Show") -> int:
        async with service.client(show) as client, aclosing(client.sessions(user_id)) as rows:
            await show.rows(rows, None if as_json else SESSIONS, limit)
        return 0

    _run(work, Show())


@click.command(epilog=epilog(SHOWING))
@connected
@ONE_USER
@AS_JSON
@AT_MOST
def activity(service: Service, user_id: str, as_json: bool, limit: int | None) -> None:
    """Show what a user did, newest first. To read it is itself written down."""
    from service.cli.show import ACTIVITY, Show  # noqa: PLC0415

    async def work(show: "Show") -> int:
        async with service.client(show) as client, aclosing(client.activity(user_id)) as rows:
            await show.rows(rows, None if as_json else ACTIVITY, limit)
        return 0

    _run(work, Show())


@click.command(epilog=epilog(SAVING))
@connected
@ONE_USER
@click.argument("session_files", nargs=-1, required=True, metavar="SESSION_FILE...")
@click.option("--to", "directory", type=click.Path(path_type=Path, file_okay=False), default=".", metavar="DIR",
              help="Where to. Default: this directory.")  # fmt: skip
@click.option("--force", is_flag=True, help="Download again what is already there.")
def download(service: Service, user_id: str, session_files: tuple[str, ...], directory: Path, force: bool) -> None:
    """Download single sessions, as they are.

    What breaks off is gone on with, now or by the same command later, unless the session has changed meanwhile.
    """
    from service.cli.bulk import download_sessions  # noqa: PLC0415
    from service.cli.show import Show  # noqa: PLC0415

    for name in session_files:
        if not SESSION_FILE.fullmatch(name):
            raise click.UsageError(f"{name!r} is not the name of a session file, as `session-export list` shows them.")

    async def work(show: "Show") -> int:
        async with service.client(show) as client:
            paths = [directory / name for name in dict.fromkeys(session_files)]
            return await download_sessions(functools.partial(client.download, user_id), paths, force, show)

    _run(work, Show())


@click.command(epilog=epilog(EXPORTING))
@connected
@click.option("--user", "user_ids", multiple=True, callback=_not_empty, metavar="ID",
              help="A user's id; may be given several times.")  # fmt: skip
@click.option("--users-from", type=click.File(), metavar="FILE", help="Holds ids, one a line; - is standard input.")
@click.option("--to", "directory", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Where to: each user's archive is DIR/<id>.zip. Default: this directory.")  # fmt: skip
@click.option("--extract", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Write each user's files into the directory DIR/<id> instead, while they arrive, and keep no "
                   "archive.")  # fmt: skip
@click.option("--compression", type=click.Choice(["fast", "small", "store"]), help="Default: the service's.")
@click.option("--parallel", type=click.IntRange(1, 32), default=4, show_default=True, metavar="N",
              help="How many users at once.")  # fmt: skip
@click.option("--force", is_flag=True, help="Export again what is already there.")
def export(
    service: Service,
    user_ids: tuple[str, ...],
    users_from: TextIO | None,
    directory: Path | None,
    extract: Path | None,
    compression: str | None,
    parallel: int,
    force: bool,
) -> None:
    """Export all sessions of one or more users, each as a ZIP.

    An archive gets its name when every member of it has been checked. Users whose archive is there already are left
    out, so that a second run takes only what is missing.
    """
    from service.cli.bulk import Exports  # noqa: PLC0415
    from service.cli.show import Show  # noqa: PLC0415

    if directory and extract:
        raise click.UsageError("--to is for archives, and --extract keeps none: give one of them.")
    users = dict.fromkeys([*user_ids, *_lines(users_from or ())])
    if not users:
        raise click.UsageError("Whose sessions? Give --user ID or --users-from FILE.")

    async def work(show: "Show") -> int:
        async with service.client(show) as client:
            take = client.extract if extract else client.export
            suffix = "" if extract else ".zip"
            target = extract or directory or Path()
            exports = Exports(take, target, suffix, compression=compression, force=force, show=show)
            return await exports.run(users, parallel)

    _run(work, Show())


@click.command(short_help="Examine the way to a service; ask from where clients are.", epilog=epilog(EXAMINING))
@where
@click.option("--my-address", metavar="IP", help="The address that the service ought to see, where you know it.")
@click.option("--silence", type=click.FloatRange(1, 600), default=65.0, show_default=True, metavar="SECONDS",
              help="How long a silence the way must bear; most proxies' limit is 60.")  # fmt: skip
def doctor(url: str, token_file: TextIO | None, my_address: str | None, silence: float) -> None:
    """Examine the way to a service: do its proxies break what exports rely on?

    Says what is wrong and the line that mends it. Ask from where clients are, with an admin's token.
    """
    from service.doctor import CannotExamine, DoesNotAnswer, LetsNobodyIn, run  # noqa: PLC0415

    url, token = _checked_url(url), _token(token_file)

    async def work() -> int:
        try:
            sound = await run(url, token, my_address=my_address, silence=silence)
        except CannotExamine as error:
            click.echo(f"Error: {url}: {error}", err=True)
            return {DoesNotAnswer: UNAVAILABLE, LetsNobodyIn: NOT_ALLOWED}.get(type(error), FAILED)
        return 0 if sound else NOT_SOUND

    _end_with(work())


COMMANDS = (list_sessions, download, export, activity, doctor)


def _run(work: Callable[["Show"], Awaitable[int]], show: "Show") -> None:
    """Run what asks the service, and end with its exit code or that of what went wrong."""
    from service.cli.show import exit_code  # noqa: PLC0415
    from service.client import ClientError  # noqa: PLC0415

    async def told() -> int:
        try:
            return await work(show)
        except ClientError as error:
            show.error(f"Error: {error}")
            return exit_code(error)

    _end_with(told())


def _end_with(work: Coroutine[Any, Any, int]) -> NoReturn:
    """Run it, and end with its exit code. Ctrl-C and SIGTERM cancel it, so that it cleans up; that nobody reads its
    output any more ends it quietly."""

    async def main() -> int:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - narrows the type
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    code = 0
    try:
        code = asyncio.run(main())
        sys.stdout.flush()  # here, where it can still be told that it fails
    except* KeyboardInterrupt:
        code = INTERRUPTED
    except* asyncio.CancelledError:
        code = TERMINATED
    except* BrokenPipeError:  # alone, or from one of several exports
        code = READER_LEFT
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left goes nowhere
    sys.exit(code)


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise click.UsageError(f"--url: {url!r} is not that of a service, such as https://sessions.example.com")
    return url


def _token(file: TextIO | None) -> str:
    token = (file.read() if file else os.environ.get("SESSION_EXPORT_TOKEN", "")).strip()
    if not token:
        raise click.UsageError("No token: set SESSION_EXPORT_TOKEN, or give --token-file FILE.")
    if not TOKEN.fullmatch(token):
        raise click.UsageError("The token has a character that none has (a space, a line break, not ASCII).")
    return token


def _lines(file: Iterable[str]) -> list[str]:
    lines = (line.strip() for line in file)
    return [line for line in lines if line and not line.startswith("#")]
