"""Work in threads: what happens to it when its caller is cancelled, and what is counted."""

import asyncio
import threading
from contextvars import ContextVar

import pytest

from service.pools import Pool, run_in_new_thread, settle

REQUEST = ContextVar("REQUEST", default="none")


async def test_work_runs_in_threads_of_the_pools_name_with_the_callers_context() -> None:
    pool = Pool("mine", 2)
    REQUEST.set("r-1")
    name, request = await pool.run(lambda: (threading.current_thread().name, REQUEST.get()))
    assert name.startswith("mine")
    assert request == "r-1"
    pool.close()
    pool.close()


async def test_work_that_waits_and_works_is_counted_and_timed() -> None:
    times: list[tuple[float, float]] = []
    pool, held = Pool("mine", 1, lambda waited, took: times.append((waited, took))), threading.Event()
    running = threading.Event()

    def work() -> None:
        running.set()
        held.wait()

    first = pool.run(work)
    second, third = pool.run(int), pool.run(int)
    await run_in_new_thread(running.wait)
    assert (pool.busy, pool.queued) == (1, 2)
    third.cancel()
    await asyncio.sleep(0)
    assert pool.queued == 1
    held.set()
    await asyncio.gather(first, second)
    pool.close()
    assert (pool.busy, pool.queued, len(times)) == (0, 0, 2)
    with pytest.raises(RuntimeError):
        pool.run(int)
    assert pool.queued == 0


async def test_what_a_cancelled_caller_opened_is_given_back() -> None:
    pool, held = Pool("mine", 1), threading.Event()
    given_back: list[object] = []

    def opened() -> str:
        held.wait()
        return "resource"

    task = asyncio.create_task(pool.run_to_end(opened, given_back.append))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done(), "it waits for the thread"
    held.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert given_back == ["resource"]
    assert await pool.run_to_end(int, given_back.append) == 0
    assert given_back == ["resource"], "only what nobody uses"
    pool.close()


async def test_settling_waits_though_it_is_cancelled_and_raises_nothing() -> None:
    future = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(settle(future))
    for _ in range(2):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    future.set_exception(ValueError("of the work"))
    await task


async def test_work_in_a_new_thread_gives_its_result_or_error_and_blocks_no_exit() -> None:
    assert await run_in_new_thread(lambda: threading.current_thread().daemon)
    with pytest.raises(ValueError, match="invalid literal"):
        await run_in_new_thread(int, "x")
