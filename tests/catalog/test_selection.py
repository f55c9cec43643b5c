"""What a selection says of itself."""

from datetime import UTC, datetime

from service.catalog import Selection


def test_the_same_selection_is_the_same_params() -> None:
    since = datetime(2026, 5, 10, tzinfo=UTC)
    one = Selection(models=("b", "a", "b"), user_ids=("u2", "u1"), since=since, errors=True)
    other = Selection(models=("a", "b"), user_ids=("u1", "u2"), since=since, errors=True)
    assert one.params() == other.params()
    assert one.params() == {
        "errors": True,
        "model": ["a", "b"],
        "since": "2026-05-10T00:00:00+00:00",
        "user_id": ["u1", "u2"],
    }


def test_nothing_selected_is_everything() -> None:
    assert Selection().is_everything
    assert Selection().params() == {}
    assert not Selection(q="x").is_everything


def test_names_tell_whether_a_file_is_selected_and_all_else_needs_its_facts() -> None:
    assert not Selection(session_files=("a.jsonl",), user_ids=("u1",)).needs_facts
    assert all(
        selection.needs_facts
        for selection in (
            Selection(since=datetime(2026, 5, 10, tzinfo=UTC)),
            Selection(until=datetime(2026, 5, 10, tzinfo=UTC)),
            Selection(models=("a",)),
            Selection(errors=True),
            Selection(q="a"),
        )
    )
