"""Which plans are kept, and for whom."""

from service.archive import Folder, Plan
from service.archive.codec import Compression
from service.archive.snapshots import BYTES_PER_FILE, BYTES_PER_FOLDER, Snapshots
from tests.archive.memory import listing_of


def plan_of(*names: str) -> Plan:
    return Plan((Folder("", listing_of(dict.fromkeys(names, 1))),), Compression.FAST, b"dialect.")


PLAN = plan_of("a.jsonl")
SIZE = BYTES_PER_FOLDER + BYTES_PER_FILE  # of a plan with one file


def test_a_plan_is_found_by_its_tag_in_its_scope_alone() -> None:
    snapshots = Snapshots()
    snapshots.keep("u-1", PLAN)
    assert snapshots.find("u-1", PLAN.tag) is PLAN
    assert snapshots.find("u-2", PLAN.tag) is None
    assert snapshots.find("u-1", "another") is None


def test_a_revoked_tag_is_never_found_again() -> None:
    snapshots = Snapshots()
    snapshots.keep("u-1", PLAN)
    assert not snapshots.is_revoked(PLAN.tag)
    snapshots.revoke(PLAN.tag)
    snapshots.keep("u-1", PLAN)
    assert snapshots.find("u-1", PLAN.tag) is None
    assert snapshots.is_revoked(PLAN.tag)


def test_the_plan_that_was_not_used_for_longest_goes_first() -> None:
    snapshots, plans = Snapshots(2 * SIZE), [plan_of(f"{number}.jsonl") for number in range(3)]
    snapshots.keep("u", plans[0])
    snapshots.keep("u", plans[1])
    assert snapshots.find("u", plans[0].tag)
    snapshots.keep("u", plans[2])
    assert [snapshots.find("u", plan.tag) for plan in plans] == [plans[0], None, plans[2]]


def test_a_plan_that_is_too_large_takes_the_place_of_no_other() -> None:
    snapshots, large = Snapshots(SIZE), plan_of("a.jsonl", "b.jsonl")
    snapshots.keep("u", PLAN)
    snapshots.keep("u", large)
    assert snapshots.find("u", PLAN.tag) is PLAN
    assert snapshots.find("u", large.tag) is None
