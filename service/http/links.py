"""Links: URLs that give access to one resource without further authentication, until they expire.

A link is `/api/links/<token>`. Its token holds the path, the maker and the expiry, and is signed with HMAC-SHA-256
(RFC 2104), so nothing is stored. A request for a link is rewritten to the link's path before it is routed, so headers,
ranges and audit rows are the same as without a link. The token itself is never logged.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
import zlib
from collections.abc import Callable
from dataclasses import astuple, dataclass
from http import HTTPStatus

from aiohttp import web
from aiohttp.http import RawRequestMessage
from yarl import URL

from service.http.problems import Problem

PREFIX = "/api/links/"
LINK_PATH = re.compile(re.escape(PREFIX) + "([A-Za-z0-9_-]+)")
PURPOSE = b"session-export link 1\0"  # signed too, so that a signature made for another purpose is not valid for a link
SIGNATURE_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True)
class Link:
    """`path` is the path that the link leads to, with its query, encoded as in a request line. `user_id` is the maker;
    `expires_at` is in seconds since the epoch."""

    id: str
    path: str
    user_id: str
    expires_at: int


class Links:
    """Signs links, and verifies their signatures."""

    def __init__(self, secret: bytes, clock: Callable[[], float] = time.time) -> None:
        """`clock`: seconds since the epoch."""
        self._secret = secret
        self._clock = clock

    def now(self) -> int:
        return int(self._clock())

    def token(self, link: Link) -> str:
        payload = zlib.compress(json.dumps(astuple(link)).encode(), 9)
        return _encode(self._sign(payload) + payload)

    def read(self, token: str) -> Link | None:
        """The link of a valid token; None for any other, and for a link that has expired."""
        try:
            data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except binascii.Error:
            return None
        signature, payload = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
        # base64 has several encodings of the same bytes; only the one that `token` makes is valid.
        if not hmac.compare_digest(signature, self._sign(payload)) or _encode(data) != token:
            return None
        link = Link(*json.loads(zlib.decompress(payload)))
        return link if self._clock() < link.expires_at else None

    def follow(self, message: RawRequestMessage) -> tuple[RawRequestMessage, Link | None]:
        """For a valid link, the message rewritten to the link's path, and the link; else the same message and None.

        A link's URL may have the query `snapshot=<tag>`, which is added to the path's query: it only pins the plan.
        """
        found = LINK_PATH.fullmatch(message.url.raw_path) if PREFIX in message.path else None
        link = self.read(found[1]) if found else None
        if link is None:
            return message, None
        target = URL(link.path, encoded=True)
        if (snapshot := message.url.query.get("snapshot")) and "snapshot" not in target.query:
            target = target.extend_query(snapshot=snapshot)
        return message._replace(url=target, path=str(target)), link

    def _sign(self, payload: bytes) -> bytes:
        return hmac.digest(self._secret, PURPOSE + payload, hashlib.sha256)


class NoSuchLink(Problem):
    """The link is wrong, has expired, or its maker has become inactive. The client does not learn which."""

    def __init__(self) -> None:
        super().__init__(HTTPStatus.NOT_FOUND, "No such link, or it has expired.")


LINKS = web.AppKey("links", Links)
LINK = web.RequestKey("link", Link)  # that the client asked for; only in requests through a link


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
