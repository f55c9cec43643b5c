"""Shared by the commands on the service's own machine: the configuration file, and errors without a traceback."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click


def config_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add `--config`; the function gets `config`: the file given, else the default file, else None."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        callback=lambda _context, _option, file: file or _default_config(),
        help=text,
    )


@contextmanager
def operator_errors() -> Iterator[None]:
    """Show errors that an operator can fix as one line."""
    from service.catalog import CatalogError  # noqa: PLC0415
    from service.config import ConfigError  # noqa: PLC0415
    from service.store import StoreUnusable  # noqa: PLC0415

    try:
        yield
    except (ConfigError, CatalogError, StoreUnusable, OSError) as error:
        raise click.ClickException(str(error)) from None


def _default_config() -> Path | None:
    path = Path("config.yaml")
    return path if path.is_file() else None
