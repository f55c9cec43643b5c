"""How the background yields to transfers."""

import time
from collections.abc import Iterator

import pytest

from service.pools import Pool
from service.sessions.background import LONGEST_REST, SHARE, Background, Stopped


class Clock:
    """Time that passes only by work and sleep."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: made.now)
    monkeypatch.setattr(time, "sleep", made.sleep)
    return made


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool("index", 1)
    yield made
    made.close()


def worked(background: Background, clock: Clock, seconds: float, pieces: int) -> float:
    """The seconds that it slept during so many pieces of work."""
    before = clock.slept
    for _ in range(pieces):
        clock.now += seconds
        background.rest()
    return clock.slept - before


def test_while_transfers_run_it_sleeps_many_times_as_long_as_it_worked(pool: Pool, clock: Clock) -> None:
    background = Background(pool, lambda: True)
    assert worked(background, clock, 0.001, 100) == pytest.approx(0.1 * SHARE)
    assert worked(background, clock, 1, 1) == pytest.approx(LONGEST_REST)


def test_without_transfers_or_while_a_request_waits_it_does_not_sleep(pool: Pool, clock: Clock) -> None:
    busy = False
    background = Background(pool, lambda: busy)
    assert worked(background, clock, 0.001, 100) == 0
    busy = True
    background.waiting = 1
    assert worked(background, clock, 0.001, 100) == 0
    background.waiting = 0
    assert worked(background, clock, 0.001, 1) == pytest.approx(0.001 * SHARE), "what came before does not count"


def test_it_ends_after_its_current_piece_of_work(pool: Pool) -> None:
    background = Background(pool, lambda: False)
    background.rest()
    background.stop()
    with pytest.raises(Stopped):
        background.rest()
