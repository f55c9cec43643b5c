"""The allocator's settings, in a process of its own: they cannot be undone."""

import ctypes
import platform
import subprocess
import sys

import pytest

from service.server.memory import use_one_arena

THREADS = 4


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator has arenas")
def test_all_threads_allocate_from_one_arena() -> None:
    assert _arenas("print") > 1
    assert _arenas("use_one_arena") == 1


def test_a_c_library_without_arenas_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    use_one_arena()


def _arenas(first_call: str) -> int:
    """How many arenas a process has whose threads allocate at the same time, after this call."""
    program = f"""
import ctypes, threading
from service.server.memory import use_one_arena
{first_call}()
together = threading.Barrier({THREADS} + 1)
def allocate():
    kept = bytearray(100_000)
    together.wait()
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range({THREADS})]
for thread in threads: thread.start()
together.wait()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
stream = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, stream)
libc.fflush(stream)
together.wait()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.count("<heap nr=")
