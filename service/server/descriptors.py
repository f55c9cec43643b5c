"""Descriptors: how many connections and files this process may have open."""

import os
import resource
import sys

from service.config import Settings

EACH = 4  # descriptors that a connection may need: its own, a user's two directories, a file
OTHERS = 256  # the catalog, the log, threads' files, and what libraries hold


def descriptors_needed(settings: Settings) -> int:
    """That may be open at once: what all connections need, or what all exports do, whichever is more."""
    exports = settings.exports.max_concurrent * descriptors_of_an_export(settings)
    return OTHERS + max(settings.server.max_connections * EACH, exports)


def descriptors_of_an_export(settings: Settings) -> int:
    """Its socket, the user's directories, and the files read ahead."""
    ahead = (settings.exports.threads or len(os.sched_getaffinity(0))) + 3
    return 1 + len(settings.storage.layouts) + ahead


def raise_descriptors(needed: int) -> int:
    """Raise the soft limit as far as is needed and the hard limit allows; how many descriptors there may be now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def room_for_connections(descriptors: int, wanted: int) -> int:
    """How many connections so many descriptors are enough for, at most `wanted`."""
    return max(1, min(wanted, (descriptors - OTHERS) // EACH))
