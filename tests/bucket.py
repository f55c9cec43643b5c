"""A stand-in for S3 where a real server is too slow or too strict: hostile and many keys, objects of 5 GB, latency.

It knows ListObjectsV2, GET and HEAD with ranges and If-Match, of one bucket in path style, and checks no signature.
"""

import asyncio
import hashlib
import sys
import threading
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

MODIFIED = "2026-05-10T12:00:00.000Z"
LAST_MODIFIED = "Sun, 10 May 2026 12:00:00 GMT"
PATTERN = b"".join(hashlib.sha256(b"%d" % n).hexdigest().encode() + b"\n" for n in range(32_768))


@dataclass(frozen=True, slots=True)
class MadeUp:
    """An object whose bytes exist only while they are sent."""

    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, wanted: slice) -> bytes:
        start, stop, _ = wanted.indices(self.size)
        at = start % len(PATTERN)
        whole = PATTERN * ((at + stop - start) // len(PATTERN) + 1)
        return whole[at : at + stop - start]


Body = bytes | MadeUp


class StandIn:
    """The bucket's objects by their keys. `latency` is in seconds for each request."""

    def __init__(self, name: str = "sessions", latency: float = 0) -> None:
        self.name = name
        self.latency = latency
        self.connections: set[asyncio.Transport] = set()
        self._objects: dict[str, tuple[Body, str]] = {}  # with their entity tags
        self._keys: list[str] | None = []  # sorted, until an object is put or deleted
        self.requests: list[str] = []
        self.running = self.most_running = 0

    def put(self, key: str, body: Body) -> None:
        tag = hashlib.md5(body).hexdigest() if isinstance(body, bytes) else f"made-up-{body.size}"
        self._objects[key] = body, f'"{tag}"'
        self._keys = None

    def delete(self, key: str) -> None:
        del self._objects[key]
        self._keys = None

    def answer(self, method: str, target: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(target)
        bucket, _, key = parts.path.removeprefix("/").partition("/")
        if bucket != self.name:
            return _error(404, "NoSuchBucket")
        if not key:
            return self._listing({name: values[0] for name, values in parse_qs(parts.query).items()})
        found = self._objects.get(unquote(key))
        return _error(404, "NoSuchKey") if found is None else _object(*found, headers)

    def _listing(self, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        prefix, after = query.get("prefix", ""), query.get("continuation-token", "")
        keys = self._keys = self._keys or sorted(self._objects)
        rows: list[str] = []
        most = int(query.get("max-keys", 1000))
        index = bisect_right(keys, after or prefix) - (not after and prefix in self._objects)
        last = ""
        while index < len(keys) and keys[index].startswith(prefix) and len(rows) < most:
            head, slash, _ = keys[index][len(prefix) :].partition("/")
            last = prefix + head + slash + ("\U0010ffff" if slash else "")
            tag = f"<CommonPrefixes><Prefix>{_coded(prefix + head + slash)}</Prefix></CommonPrefixes>"
            rows.append(tag if slash else _contents(keys[index], *self._objects[keys[index]]))
            index = bisect_right(keys, last)
        more = index < len(keys) and keys[index].startswith(prefix)
        token = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if more else ""
        text = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>{token}{''.join(rows)}"
            "</ListBucketResult>"
        )
        return 200, {"Content-Type": "application/xml"}, text.encode()


def _coded(key: str) -> str:
    return escape(quote(key, safe="/").replace("%20", "+"))


def _contents(key: str, body: Body, etag: str) -> str:
    return (
        f"<Contents><Key>{_coded(key)}</Key><LastModified>{MODIFIED}</LastModified>"
        f"<ETag>{escape(etag)}</ETag><Size>{len(body)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )


def _object(body: Body, etag: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    answer = {"ETag": etag, "Last-Modified": LAST_MODIFIED, "Accept-Ranges": "bytes"}
    if headers.get("if-match", etag) != etag:
        return _error(412, "PreconditionFailed")
    if (asked := headers.get("range")) is None:
        return 200, answer, body[:]
    first, last = asked.removeprefix("bytes=").split("-")
    if int(first) >= len(body):
        return _error(416, "InvalidRange")
    data = body[int(first) : int(last) + 1]
    answer["Content-Range"] = f"bytes {first}-{int(first) + len(data) - 1}/{len(body)}"
    return 206, answer, data


def _error(status: int, code: str) -> tuple[int, dict[str, str], bytes]:
    text = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return status, {"Content-Type": "application/xml"}, text.encode()


class _Connection(asyncio.Protocol):
    def __init__(self, bucket: StandIn) -> None:
        self._bucket = bucket
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._bucket.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._bucket.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            self._bucket.running += 1
            self._bucket.most_running = max(self._bucket.most_running, self._bucket.running)
            asyncio.get_running_loop().call_later(self._bucket.latency, self._respond, head.decode())

    def _respond(self, head: str) -> None:
        self._bucket.running -= 1
        line, *rows = head.split("\r\n")
        method, target, _ = line.split(" ")
        self._bucket.requests.append(f"{method} {target}")
        headers = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in rows)}
        status, answer, body = self._bucket.answer(method, target, headers)
        answer["Content-Length"] = str(len(body))
        text = f"HTTP/1.1 {status} -\r\n" + "".join(f"{name}: {value}\r\n" for name, value in answer.items()) + "\r\n"
        self._transport.write(text.encode() + (b"" if method == "HEAD" else body))


async def serve(bucket: StandIn, port: int = 0) -> asyncio.Server:
    return await asyncio.get_running_loop().create_server(lambda: _Connection(bucket), "127.0.0.1", port, backlog=1024)


@contextmanager
def in_thread(bucket: StandIn) -> Iterator[str]:
    """The URL of a server with a thread and an event loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(serve(bucket), loop).result()

    async def stop() -> None:
        server.close()
        for connection in list(bucket.connections):
            connection.abort()
        await asyncio.sleep(0)

    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def main() -> None:
    """`python -m tests.bucket PORT MILLISECONDS DIRECTORY...`: a bucket of these directories and their files."""
    port, latency, *directories = sys.argv[1:]
    bucket = StandIn(latency=float(latency) / 1000)
    for directory in map(Path, directories):
        for file in directory.iterdir():
            bucket.put(f"{directory.name}/{file.name}", file.read_bytes())
    loop = asyncio.new_event_loop()
    loop.run_until_complete(serve(bucket, int(port)))
    loop.run_forever()


if __name__ == "__main__":
    main()
