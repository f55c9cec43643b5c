"""The options that say which service a command calls, and the connection made of them."""

import functools
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TextIO
from urllib.parse import urlsplit

import click

from service.cli.process import exit_with

if TYPE_CHECKING:
    from service.cli.output import Output
    from service.client import Client

TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Connection:
    """The URL and token of a service, and how often a request to it is retried."""

    url: str
    token: str
    retries: int

    def run(self, work: Callable[["Client", "Output"], Awaitable[int]]) -> NoReturn:
        """Run a command's work, and end the process with the exit code of its result or error."""
        from service.cli.output import Output, exit_code  # noqa: PLC0415
        from service.client import Client, ClientError  # noqa: PLC0415

        output = Output()

        async def run() -> int:
            try:
                async with Client(self.url, self.token, retries=self.retries, on_retry=output.retry) as client:
                    return await work(client, output)
            except ClientError as error:
                output.error(f"Error: {error}")
                return exit_code(error)

        exit_with(run())


TOKEN_FILE = click.option("--token-file", type=click.File(), metavar="FILE",
                          help="The file that holds the token (-: standard input). Default: the variable "
                               "SESSION_EXPORT_TOKEN.")  # fmt: skip
RETRIES = click.option("--retries", type=click.IntRange(0, 100), default=4, show_default=True, metavar="N",
                       help="How often a request is retried without getting further, when the service is busy or the "
                            "connection breaks: after the time that the service asks for (Retry-After), else after "
                            "1, 2, 4, ... seconds.")  # fmt: skip


def service_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add `--url` and `--token-file`; the function gets `url` and `token`, both checked."""

    @click.option("--url", required=True, envvar="SESSION_EXPORT_URL", show_envvar=True, metavar="URL",
                  help="The service, such as https://sessions.example.com.")  # fmt: skip
    @TOKEN_FILE
    @functools.wraps(function)
    def command(url: str, token_file: TextIO | None, **options: Any) -> None:
        function(url=_checked_url(url), token=_read_token(token_file), **options)

    return command


def connection_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a command that uses the client; the function gets `connection`."""

    @service_options
    @RETRIES
    @functools.wraps(function)
    def command(url: str, token: str, retries: int, **options: Any) -> None:
        function(connection=Connection(url, token, retries), **options)

    return command


def optional_connection_options(function: Callable[..., None]) -> Callable[..., None]:
    """The same for a command that can do without a service; the function gets `connection`, None without `--url`."""

    @click.option("--url", metavar="URL", help="A running service, such as https://sessions.example.com.")
    @TOKEN_FILE
    @RETRIES
    @functools.wraps(function)
    def command(url: str | None, token_file: TextIO | None, retries: int, **options: Any) -> None:
        connection = Connection(_checked_url(url), _read_token(token_file), retries) if url else None
        function(connection=connection, **options)

    return command


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise click.UsageError(f"--url: {url!r} is not that of a service, such as https://sessions.example.com")
    return url


def _read_token(file: TextIO | None) -> str:
    token = (file.read() if file else os.environ.get("SESSION_EXPORT_TOKEN", "")).strip()
    if not token:
        raise click.UsageError("No token: set SESSION_EXPORT_TOKEN, or give --token-file FILE.")
    if not TOKEN.fullmatch(token):
        raise click.UsageError("The token has a character that no token has (a space, a line break, not ASCII).")
    return token
