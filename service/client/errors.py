"""The errors of the client. The text of each is a sentence for the user."""


class ClientError(Exception):
    """Base class of the client's errors."""


class NotAllowed(ClientError):
    """The token is unknown or expired (401), or not an admin's (403)."""


class NotFound(ClientError):
    """No such user, session or directory (404)."""


class Refused(ClientError):
    """The server rejects the request, and a retry would not help (any other 4xx, 500, a redirect)."""


class TemporaryError(ClientError):
    """A retry may succeed. `retry_after`: seconds that the server asks to wait, if it does."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Unavailable(TemporaryError):
    """The server cannot be reached, or is busy or stopping (429, 502, 503, 504)."""


class BrokenOff(TemporaryError):
    """The response was cut short."""


class Damaged(ClientError):
    """The response is complete, but its content is invalid: the server cannot have sent it like this."""


class CannotSave(ClientError):
    """The file cannot be written to this machine's disk or directory."""


class CannotRead(ClientError):
    """A file on this machine cannot be read."""
