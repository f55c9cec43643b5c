"""File descriptors: how many connections and files this process needs and may have open."""

import os
import resource
import sys

from service.archive import most_open_files, most_open_folders
from service.config import Settings
from service.store import BucketRoot

PER_CONNECTION = 4  # its socket, a user's two directories, a file
OTHERS = 256  # the catalog, the log, the files of threads and libraries


def descriptors_needed(settings: Settings) -> int:
    """How many may be open at once: those of all connections or those of all exports, whichever is more."""
    exports = settings.exports.max_concurrent * descriptors_of_an_export(settings)
    return OTHERS + max(settings.server.max_connections * PER_CONNECTION, exports) + sockets_to_bucket(settings)


def descriptors_of_an_export(settings: Settings) -> int:
    """The descriptors of one export: its socket, the users' directories and the open files."""
    threads = _deflate_threads(settings)
    return 1 + len(settings.storage.layouts) * most_open_folders(threads) + most_open_files(threads)


def sockets_to_bucket(settings: Settings) -> int:
    """A socket for each thread that may wait for the bucket: the bucket's own, and those that list and read files."""
    if not isinstance(settings.storage.root, BucketRoot):
        return 0
    storage, exports = settings.storage, settings.exports
    return storage.s3.connections + storage.threads + exports.max_concurrent + _deflate_threads(settings)


def _deflate_threads(settings: Settings) -> int:
    return settings.exports.threads or len(os.sched_getaffinity(0))


def raise_descriptors(needed: int) -> int:
    """Raise the soft limit as far as needed and allowed by the hard limit; return the new soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def room_for_connections(descriptors: int, wanted: int) -> int:
    """How many connections the descriptors suffice for, at most `wanted`."""
    return max(1, min(wanted, (descriptors - OTHERS) // PER_CONNECTION))
