"""What arrived: a response as a client sees it, and how the service saw the request."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from http import HTTPStatus

FORGED = "192.0.2.1"  # the address that the doctor claims; reserved, so nobody has it (RFC 5737)
PASSING = (429, 502, 503, 504)  # statuses of errors that may be temporary
CLAIM = {"X-Forwarded-For": FORGED, "Forwarded": f"for={FORGED}"}


class CannotExamine(Exception):
    """The server is not this service, or cannot be examined; the text says what to do."""


class DoesNotAnswer(CannotExamine):
    """The service cannot be reached, or is busy."""


class AccessDenied(CannotExamine):
    """The token is rejected (401), or is not an admin's (403)."""


@dataclass(slots=True)
class Received:
    """A response as it arrived. `whole`: a client takes it for complete. `trouble`: why it does not."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    first: float = 0  # seconds after the request until the first bytes
    ended: float = 0  # until the end, or until it broke
    trouble: str = ""
    local: str = ""  # this client's address on the connection

    @property
    def whole(self) -> bool:
        return self.status == HTTPStatus.OK and not self.trouble

    @property
    def what(self) -> str:
        return self.trouble or f"the answer was {self.status} instead of 200"


@dataclass(frozen=True, slots=True)
class Echo:
    """How the service saw a request: the fields of `/api/admin/doctor/echo`."""

    version: str
    http_version: str
    user_id: str
    peer: str
    client_ip: str
    forwarded: list[str]
    identity: dict[str, list[str]]  # the identity headers that the service believes from a proxy, as they arrived
    request_id: str
    request_id_received: str | None

    @classmethod
    def of(cls, received: Received) -> "Echo":
        """Parse the response. Raises CannotExamine if it is not one of this service."""
        if not received.whole:
            raise _kind(received.status)(_unreached(received))
        try:
            said = json.loads(received.body)
            return cls(**{known.name: said[known.name] for known in fields(cls)})
        except (ValueError, KeyError, TypeError):
            kind = received.headers.get("Content-Type", "no type")
            raise CannotExamine(f"answers, but not as Session Export does (200, {kind}): is it a login page?") from None

    @property
    def on_behalf(self) -> bool:
        """Whether a proxy added a client address, besides the one that the doctor forged."""
        return any(value not in CLAIM.values() for value in self.forwarded)


def _kind(status: int) -> type[CannotExamine]:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return AccessDenied
    return DoesNotAnswer if not status or status in PASSING else CannotExamine


def _unreached(received: Received) -> str:
    status, from_service = received.status, b'"detail"' in received.body
    if not status:
        return f"does not answer: {received.trouble}"
    if "Location" in received.headers:
        return f"sends us on to {received.headers['Location']}: give the address that answers itself"
    if status == HTTPStatus.UNAUTHORIZED and from_service:
        return "the service does not know this token (401), or a proxy takes the Authorization header away"
    if status == HTTPStatus.FORBIDDEN and from_service:
        return "the token is not that of an admin (403)"
    if status == HTTPStatus.NOT_FOUND and from_service:
        return "this Session Export is too old to be examined (404)"
    who = "the service" if from_service else "not the service, but something before it,"
    return f"{who} answered {status}" + (f", then: {received.trouble}" if received.trouble else "")
