"""Descriptors: how many connections and files this process may have open."""

import resource

EACH = 4  # descriptors that a connection may need: its own, a user's two directories, a file
OTHERS = 256  # the catalog, the log, threads' files, and what libraries hold


def room_for_connections(wanted: int) -> int:
    """Raise the soft limit of open descriptors as far as `wanted` connections need and the hard limit allows.

    Returns how many connections there is room for, at most `wanted`.
    """
    need = wanted * EACH + OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < need:
        soft = need if hard == resource.RLIM_INFINITY else min(need, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    room = wanted if soft == resource.RLIM_INFINITY else (soft - OTHERS) // EACH
    return max(1, min(wanted, room))
