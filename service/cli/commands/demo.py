"""`session-export demo`."""

import asyncio
import signal
import sys

import click

from service.cli.configuration import operator_errors


@click.command(short_help="Try it: a server with sample users and sessions.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
def demo(port: int) -> None:
    """Try it: sample users and sessions in a new temporary directory, a running server, and commands to paste.

    The directory is removed at the end (Ctrl-C).
    """
    from service.cli.demo import run  # noqa: PLC0415
    from service.server.logs import set_up_logging  # noqa: PLC0415

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the server handles it: the directory is removed
    with operator_errors():
        set_up_logging()
        asyncio.run(run(port, click.echo))
