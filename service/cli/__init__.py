"""The command `session-export`: the command line interface, without any logic of the service."""

from service.cli.main import main

__all__ = ["main"]
