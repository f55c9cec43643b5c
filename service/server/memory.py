"""The settings of the C library's allocator."""

import ctypes

M_ARENA_MAX = -8  # of glibc's malloc.h


def use_one_arena() -> None:
    """Let all threads allocate from one arena (glibc, mallopt(3)). Call it before threads are started.

    By default threads have arenas of their own, up to eight for each core. Blocks of files are allocated in one thread
    and freed in another, so that each arena would keep, or fetch again and again, the memory of a few blocks. Nothing
    is lost: Python's small objects do not come from malloc. Other C libraries have no arenas.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_ARENA_MAX, 1)
