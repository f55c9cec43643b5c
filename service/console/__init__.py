"""The console: a page that does an admin's work in the browser, over the public API alone."""

from service.console.console import OPEN_ROUTES, Console

__all__ = ["OPEN_ROUTES", "Console"]
