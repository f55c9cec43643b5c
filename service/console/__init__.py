"""The console: a web page for admins, which uses only the public API."""

from service.console.console import OPEN_ROUTES, Console

__all__ = ["OPEN_ROUTES", "Console"]
