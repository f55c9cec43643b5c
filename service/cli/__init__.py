"""The command `session-export`: what a person types. No logic of the service."""

from service.cli.main import main

__all__ = ["main"]
