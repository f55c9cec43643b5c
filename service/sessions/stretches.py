"""The stretches of time in which a session was active: inside one, no pause is longer than GAP."""

from bisect import bisect_right
from datetime import UTC, datetime, timedelta

GAP = timedelta(seconds=600)
MOST = 100_000  # stretches; a session has tens. Beyond that, moments that would begin a new one are ignored


class Stretches:
    """Moments are added in any order, mostly ascending; their stretches are the same as if they had been sorted."""

    def __init__(self) -> None:
        self._begins: list[datetime] = []  # ascending, as are the ends
        self._ends: list[datetime] = []

    def __len__(self) -> int:
        return len(self._begins)

    @property
    def first(self) -> datetime | None:
        return self._begins[0] if self._begins else None

    @property
    def last(self) -> datetime | None:
        return self._ends[-1] if self._ends else None

    @property
    def seconds(self) -> int:
        """Whole seconds of all stretches together."""
        stretches = zip(self._begins, self._ends, strict=True)
        return sum((end - begin for begin, end in stretches), timedelta()) // timedelta(seconds=1)

    def add(self, moment: datetime) -> None:
        """Add a moment; without a zone it is in UTC. A moment outside Python's range in UTC is ignored."""
        if moment.tzinfo is not UTC:
            try:
                moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
            except OverflowError:
                return
        if self._ends and self._begins[-1] <= moment:  # the usual case: the moment belongs to the last stretch
            if moment <= self._ends[-1]:
                return
            if moment - self._ends[-1] <= GAP:
                self._ends[-1] = moment
                return
        self._insert(moment)

    def _insert(self, moment: datetime) -> None:
        begins, ends = self._begins, self._ends
        after = bisect_right(begins, moment)  # the stretch that begins later
        joins_before = after > 0 and moment - ends[after - 1] <= GAP
        joins_after = after < len(begins) and begins[after] - moment <= GAP
        if joins_before and joins_after:
            del ends[after - 1], begins[after]
        elif joins_before:
            ends[after - 1] = max(ends[after - 1], moment)
        elif joins_after:
            begins[after] = moment
        elif len(begins) < MOST:
            begins.insert(after, moment)
            ends.insert(after, moment)
