"""`session-export serve`."""

import asyncio
from pathlib import Path

import click

from service.cli.configuration import config_option, operator_errors


@click.command()
@config_option("The configuration file. Default: config.yaml in this directory, if it exists.")
def serve(config: Path | None) -> None:
    """Run the service until SIGTERM or Ctrl-C.

    Settings come from the configuration file; environment variables override it, such as
    SESSION_EXPORT__SERVER__PORT=9000 or SESSION_DATA_DIR=/srv/sessions.
    """
    from service.config import load_settings  # noqa: PLC0415
    from service.server.logs import set_up_logging  # noqa: PLC0415
    from service.server.reload import stamp_files  # noqa: PLC0415
    from service.server.serve import serve as run  # noqa: PLC0415

    with operator_errors():
        stamps = stamp_files(config)
        settings = load_settings(config)
        set_up_logging(settings.logging.format, settings.logging.level)
        asyncio.run(run(settings, config=config, stamps=stamps))
