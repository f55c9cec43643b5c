"""When a session was active."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from service.sessions.stretches import Stretches

NOON = datetime(2026, 5, 10, 12, tzinfo=UTC)


def stretches(*moments: datetime) -> Stretches:
    result = Stretches()
    for moment in moments:
        result.add(moment)
    return result


def after(*seconds: float) -> list[datetime]:
    return [NOON + timedelta(seconds=number) for number in seconds]


def test_a_gap_of_600_seconds_joins_and_a_longer_one_does_not() -> None:
    assert stretches(*after(0, 600)).seconds == 600
    assert stretches(*after(0, 600.000001)).seconds == 0
    assert stretches(*after(0, 600, 1200, 1900, 1960)).seconds == 1260


def test_seconds_are_cut_once_at_the_end() -> None:
    assert stretches(*after(0, 0.6, 1000, 1000.6)).seconds == 1


def test_a_moment_between_two_stretches_joins_them() -> None:
    moments = stretches(*after(0, 1000, 500))
    assert moments.seconds == 1000
    assert len(moments) == 1


def test_zones_are_told_apart_and_none_is_utc() -> None:
    moments = stretches(NOON, NOON.replace(tzinfo=None), NOON.astimezone(timezone(timedelta(hours=5))))
    assert (moments.first, moments.last, moments.seconds) == (NOON, NOON, 0)


def test_a_moment_outside_of_the_years_that_utc_has_is_left_out() -> None:
    east, west = timezone(timedelta(hours=14)), timezone(timedelta(hours=-14))
    assert len(stretches(datetime.min.replace(tzinfo=east), datetime.max.replace(tzinfo=west))) == 0


@given(st.lists(st.integers(0, 10_000)))
def test_the_order_of_the_moments_does_not_matter(seconds: list[int]) -> None:
    moments, ordered = stretches(*after(*seconds)), sorted(seconds)
    gaps = [later - earlier for earlier, later in pairwise(ordered)]
    assert moments.seconds == sum(gap for gap in gaps if gap <= 600)
    assert len(moments) == (sum(gap > 600 for gap in gaps) + 1 if seconds else 0)
