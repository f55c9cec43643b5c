"""What can go wrong for a client. Each error's text is a sentence for a person."""


class ClientError(Exception):
    """Any of these."""


class NotAllowed(ClientError):
    """The token is unknown or expired (401), or not an admin's (403)."""


class NotFound(ClientError):
    """No such user, session or directory (404)."""


class Refused(ClientError):
    """The server will not do what was asked, and will not later either (any other 4xx, 500, a redirect)."""


class TemporaryError(ClientError):
    """A retry may succeed. `retry_after`: seconds that the server asks to wait, where it names them."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Unavailable(TemporaryError):
    """The server cannot be reached, or is busy or stopping (429, 502, 503, 504)."""


class BrokenOff(TemporaryError):
    """The response ended before its end."""


class Damaged(ClientError):
    """What arrived is complete by its framing, but nothing that the server can have sent."""


class CannotSave(ClientError):
    """This machine's disk or directory does not take it."""


class CannotRead(ClientError):
    """A file of this machine cannot be read."""
