"""The startup summary in the log: the settings in effect, and warnings of those that may be a mistake.

Authentication logs its own summary, as a reload can change it.
"""

import ipaddress
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from service import __version__
from service.config import Settings, Storage
from service.http.proxies import Proxies
from service.server.descriptors import descriptors_needed, room_for_connections
from service.store import BucketRoot

log = logging.getLogger(__name__)

MOUNTS = Path("/proc/self/mountinfo")
# File systems whose locks and fsync may not give what DuckDB and "no row, no bytes" rely on.
NETWORK_FILE_SYSTEM = re.compile(
    r"nfs4?|cifs|smb3?|smbfs|9p|afs|ceph|lustre|beegfs|glusterfs|gpfs|"
    r"fuse\.(sshfs|s3fs|goofys|rclone|gcsfuse|glusterfs|ceph|juicefs|mount-s3|blobfuse2?)"
)


def log_startup_summary(settings: Settings, url: str, descriptors: int) -> None:
    """`descriptors` is how many files this process may have open."""
    for line in startup_summary(settings, url):
        log.info("%s", line)
    for warning in startup_warnings(settings, descriptors, MOUNTS.read_text() if MOUNTS.exists() else ""):
        log.warning("%s", warning)


def startup_summary(settings: Settings, url: str) -> Iterator[str]:
    """One line each for address, storage, catalog, limits and proxies."""
    server, storage, catalog, exports = settings.server, settings.storage, settings.catalog, settings.exports
    yield f"Session Export {__version__} listening on {url}"
    yield f"session root {storage.root}, layouts {', '.join(storage.layouts)}; {storage.threads} threads for files"
    if isinstance(storage.root, BucketRoot):
        s3 = storage.s3
        yield (
            f"bucket at {s3.endpoint or 'AWS'}: {s3.connections} requests at once, at most {s3.prefetch_memory} MiB "
            "fetched in advance for all transfers"
        )
    if catalog.file is None:
        yield f"catalog {catalog.shown}: at most {catalog.threads} connections"
    else:
        yield f"catalog {catalog.shown}: {catalog.threads} threads, at most {catalog.memory_limit} of memory"
    yield (
        f"limits: {exports.max_concurrent} exports at once, {exports.max_per_caller} of one caller, others wait "
        f"{exports.queue_timeout:g} s; a client that takes no byte for {exports.stall_timeout:g} s is disconnected; "
        f"transfers get {server.shutdown_timeout:g} s to end when the service stops; {server.max_connections} "
        f"connections at once, each closed after it was idle for {server.idle_timeout:g} s"
    )
    proxies = Proxies(server.trusted_proxies, server.forwarded_header)
    yield f"client addresses from proxies (server.trusted_proxies): {proxies}"


def startup_warnings(settings: Settings, descriptors: int, mounts: str) -> Iterator[str]:
    """Settings that may be a mistake, with the remedy. `descriptors` is how many files this process may have open;
    `mounts` is the text of /proc/self/mountinfo (proc(5))."""
    if not is_loopback(settings.server.host) and not settings.server.trusted_proxies:
        yield (
            f"server.host is {settings.server.host}: other machines can connect, and tokens and sessions cross the "
            "network in the clear; put a proxy with TLS in front, let only that one connect, and name it in "
            "server.trusted_proxies"
        )
    if _crosses_network_in_clear(settings.storage):
        yield (
            f"storage.s3.endpoint is {settings.storage.s3.endpoint}: sessions cross the network in the clear; give the "
            "bucket's server a certificate, and name it with https://"
        )
    if settings.metrics.port is not None and not is_loopback(settings.metrics.host):
        yield f"metrics.host is {settings.metrics.host}: the metrics need no token, so let only Prometheus reach them"
    kind = file_system(settings.catalog.file, mounts) if settings.catalog.file else ""
    if NETWORK_FILE_SYSTEM.fullmatch(kind):
        yield (
            f"catalog.url is on a network file system ({kind}): two servers may open it at once, and an audit row may "
            "not be on disk when the service relies on it; put it on a local disk"
        )
    if descriptors < (needed := descriptors_needed(settings)):
        connections = settings.server.max_connections
        yield (
            f"this process may have {descriptors} files open, and {connections} connections with "
            f"{settings.exports.max_concurrent} exports at once may need {needed}; there is room for "
            f"{room_for_connections(descriptors, connections)} connections: raise the hard limit (LimitNOFILE= of "
            "systemd, ulimit -Hn), or lower server.max_connections or exports.max_concurrent"
        )


def _crosses_network_in_clear(storage: Storage) -> bool:
    parts = urlsplit(storage.s3.endpoint or "")
    return isinstance(storage.root, BucketRoot) and parts.scheme == "http" and not is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def file_system(path: Path, mounts: str) -> str:
    """The type of the file system that the path is on, empty if unknown."""
    path, kind, longest = path.resolve(), "", -1
    for line in mounts.splitlines():
        fields, _, more = line.partition(" - ")
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields.split()[4]))
        if path.is_relative_to(point) and len(point.parts) >= longest:  # the later of two mounts counts
            kind, longest = more.split()[0], len(point.parts)
    return kind
