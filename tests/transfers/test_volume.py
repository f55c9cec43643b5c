"""Volumes add up, and tell how far a transfer is."""

import pytest

from service.transfers.volume import Volume


def test_volumes_add_up() -> None:
    assert Volume(1, 10, 2, 7) + Volume(3, 5, 1, 1) == Volume(4, 15, 3, 8)


@pytest.mark.parametrize(
    ("announced", "text"),
    [
        (Volume(4, 1000), "800 of 1000 bytes and 3 of 4 files read, 6000000 sent, 3.0 MB/s"),
        (Volume(0, 1000), "800 of 1000 bytes read, 6000000 sent, 3.0 MB/s"),
    ],
)
def test_the_progress_has_what_was_announced_and_the_speed_of_what_was_sent(announced: Volume, text: str) -> None:
    assert Volume(3, 800, 0, 6_000_000).progress(announced, 2) == text
