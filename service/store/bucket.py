"""One bucket over S3's HTTP API, for blocking calls from many threads.

Objects are read with obstore, whose blocking functions cost the least processor time. Its asynchronous ones are not
used: they aborted the process at exit in 8 of 20 runs. Keys are listed with requests that urllib3 sends and botocore
signs: obstore treats keys as paths, so that one key with `//`, `..` or a newline would make the whole listing fail.
Both get their credentials from botocore: environment, shared files, web identity, container and instance profile.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote_plus, urlencode, urlsplit, urlunsplit
from xml.etree import ElementTree as ET

import obstore
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.session import Session
from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError
from obstore.store import S3Store
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError

from service.store.files import NotFound, Replaced, StoreUnavailable, Truncated, Unreadable

if TYPE_CHECKING:
    from obstore.store import S3Credential

# Seconds: to connect, between two reads, for a whole response, and after which a request is not tried again. A block
# takes far less; without limits a call could take minutes.
CONNECT, READ, WHOLE, RETRYING = 3, 5, 20, 10
READ_PAGE = 3  # of a listing
RETRIES = 3
CHECK_TIMEOUT = 1.5  # seconds that the readiness check waits
CREDENTIALS_KEPT = timedelta(minutes=5)  # botocore refreshes them itself, well before they expire
RETRIED = (500, 502, 503, 504)


class S3Error(Exception):
    """An error response of the bucket; the text is for the log."""


class Stat(NamedTuple):
    """An object as S3 describes it: size in bytes, modification time in nanoseconds (but whole seconds), and the entity
    tag with its quotes."""

    size: int
    mtime_ns: int
    etag: str


class Page(NamedTuple):
    """Up to 1,000 keys directly under a prefix, with their stats, and the prefixes ("directories") among them."""

    objects: list[tuple[str, Stat]]
    prefixes: list[str]
    following: str | None  # the token of the next page


class Bucket:
    """Every method raises StoreUnavailable if the bucket does not answer, is missing, or refuses the credentials."""

    def __init__(self, name: str, endpoint: str | None, region: str | None, path_style: bool, connections: int) -> None:
        """`endpoint` defaults to AWS, and `region` to that of AWS's own settings, else us-east-1."""
        session = Session()
        self._region = region or session.get_config_variable("region") or "us-east-1"
        self._url = _bucket_url(name, endpoint or f"https://s3.{self._region}.amazonaws.com", path_style)
        self._session = session
        retries = Retry(RETRIES, redirect=False, backoff_factor=0.1, backoff_max=2, status_forcelist=RETRIED)
        self._http = PoolManager(maxsize=connections, timeout=Timeout(connect=CONNECT, read=READ_PAGE), retries=retries)
        self._objects = S3Store(
            name,
            endpoint=self._url,  # used unchanged if it is that of a virtual host
            virtual_hosted_style_request=True,
            region=self._region,
            credential_provider=self._credentials,
            client_options={
                "allow_http": self._url.startswith("http:"),
                "connect_timeout": timedelta(seconds=CONNECT),
                "read_timeout": timedelta(seconds=READ),
                "timeout": timedelta(seconds=WHOLE),
                "pool_max_idle_per_host": str(connections),
            },
            retry_config={
                "max_retries": RETRIES,
                "retry_timeout": timedelta(seconds=RETRYING),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=2),
                    "base": 2,
                },
            },
        )

    def check(self) -> None:
        """List one key, which also proves the right to list."""
        self._list({"max-keys": "1"}, timeout=Timeout(CHECK_TIMEOUT), retries=False)

    def get_first(self, key: str, count: int, name: str) -> tuple[Stat, memoryview]:
        """The stat and the first bytes, at most `count`. Raises NotFound, and Unreadable with `name`."""
        with _store_errors(name):
            try:
                got = obstore.get(self._objects, key, options={"range": (0, count)})
            except BaseError as error:
                if "InvalidRange" not in str(error) and " 416 " not in str(error):
                    raise
                got = obstore.get(self._objects, key)  # an empty object has no range
            return _stat(got.meta), memoryview(got.bytes())

    def get_range(self, key: str, offset: int, count: int, etag: str, name: str) -> memoryview:
        """Exactly these bytes of the version that has the tag. Raises Truncated, Replaced, NotFound and Unreadable."""
        with _store_errors(name):
            got = obstore.get(self._objects, key, options={"range": (offset, offset + count), "if_match": etag})
            data = memoryview(got.bytes())  # a copy would double the memory of results that wait to be taken
        if len(data) != count:
            raise Truncated(name)
        return data

    def pages(self, prefix: str) -> Iterator[Page]:
        """All keys directly under the prefix, which is empty or ends with a slash."""
        following: str | None = ""
        while following is not None:
            page = self._list({"prefix": prefix} | ({"continuation-token": following} if following else {}))
            yield page
            following = page.following

    def close(self) -> None:
        self._http.clear()

    def _list(self, parameters: dict[str, str], **options: Any) -> Page:
        """One ListObjectsV2."""
        parameters |= {"list-type": "2", "delimiter": "/", "encoding-type": "url"}
        # Encoded and sorted as it is signed: botocore would send a space as +, and sign it as %20.
        query = urlencode(sorted(parameters.items()), safe="-_.~", quote_via=quote)
        request = AWSRequest("GET", f"{self._url}?{query}")
        try:
            S3SigV4Auth(self._frozen_credentials(), "s3", self._region).add_auth(request)
            prepared = request.prepare()
            response = self._http.request("GET", prepared.url, headers=dict(prepared.headers.items()), **options)
            if response.status != 200:
                raise S3Error(_error_text(response.status, response.data))
            return _parse_page(response.data)
        except (HTTPError, S3Error, ET.ParseError) as error:
            raise StoreUnavailable from error

    def _credentials(self) -> "S3Credential":
        """For obstore."""
        frozen = self._frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + CREDENTIALS_KEPT,
        }

    def _frozen_credentials(self) -> Any:
        found = self._session.get_credentials()
        if found is None:
            raise S3Error("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the host a role")
        return found.get_frozen_credentials()


def _bucket_url(name: str, endpoint: str, path_style: bool) -> str:
    scheme, host, path, *_ = urlsplit(endpoint)
    if path_style:
        return f"{scheme}://{host}{path.rstrip('/')}/{name}"
    return urlunsplit((scheme, f"{name}.{host}", path.rstrip("/"), "", ""))


def _parse_page(body: bytes) -> Page:
    root = ET.fromstring(body)  # noqa: S314 - from the bucket that is trusted with the sessions themselves
    space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
    is_encoded = root.findtext(f"{space}EncodingType") == "url"
    key, size, time, etag = (space + tag for tag in ("Key", "Size", "LastModified", "ETag"))
    objects = [
        (
            _decoded(row.findtext(key, ""), is_encoded),
            Stat(int(row.findtext(size, "0")), _time_ns(row.findtext(time, "")), row.findtext(etag, "")),
        )
        for row in root.iterfind(f"{space}Contents")
    ]
    prefixes = [
        _decoded(row.findtext(f"{space}Prefix", ""), is_encoded) for row in root.iterfind(f"{space}CommonPrefixes")
    ]
    is_truncated = root.findtext(f"{space}IsTruncated") == "true"
    return Page(objects, prefixes, root.findtext(f"{space}NextContinuationToken") if is_truncated else None)


def _decoded(key: str, is_encoded: bool) -> str:
    return unquote_plus(key) if is_encoded and ("%" in key or "+" in key) else key


def _time_ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


def _stat(meta: Any) -> Stat:
    # Whole seconds: a listing may have milliseconds, a response's Last-Modified has none.
    return Stat(meta["size"], int(meta["last_modified"].timestamp()) * 10**9, meta["e_tag"])


def _error_text(status: int, body: bytes) -> str:
    """S3's code and message, such as `404 NoSuchBucket: The specified bucket does not exist`."""
    try:
        root = ET.fromstring(body)  # noqa: S314 - see _parse_page
    except ET.ParseError:
        return str(status)
    return f"{status} {root.findtext('Code', '')}: {root.findtext('Message', '')}"


@contextmanager
def _store_errors(name: str | None) -> Iterator[None]:
    """Translate obstore's errors into those of the store, each with a line for the log as its cause."""
    try:
        yield
    except FileNotFoundError as error:  # the same for a missing bucket; only its text differs
        raise (StoreUnavailable() if "NoSuchBucket" in str(error) else NotFound()) from S3Error(_first_line(error))
    except PreconditionError as error:
        raise Replaced(name) from S3Error(_first_line(error))
    except PermissionDeniedError as error:  # wrong credentials concern all objects
        is_object = "<Code>AccessDenied</Code>" in str(error)
        raise (Unreadable(name) if is_object else StoreUnavailable()) from S3Error(_first_line(error))
    except (BaseError, S3Error) as error:
        raise StoreUnavailable from S3Error(_first_line(error))


def _first_line(error: Exception) -> str:
    """obstore's text without the dump of its structures."""
    return " ".join(str(error).partition("\n\nDebug source")[0].split())[:500]
