"""Selections and other queries as the API's parameters."""

from datetime import UTC, datetime, timedelta, timezone

from service.client import AuditQuery, ExportOptions, Selection

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)


def test_nothing_selected_is_no_parameter() -> None:
    assert list(ExportOptions().params()) == []


def test_each_part_of_a_selection_is_a_parameter_and_several_values_are_several() -> None:
    selection = Selection(("a.jsonl",), ("u-1", "u-2"), NOON, NOON + timedelta(days=1), ("m1", "m2"), True, "text")
    assert sorted(selection.params()) == [
        ("errors", "true"),
        ("model", "m1"),
        ("model", "m2"),
        ("q", "text"),
        ("session_file", "a.jsonl"),
        ("since", "2026-10-01T12:00:00+00:00"),
        ("until", "2026-10-02T12:00:00+00:00"),
        ("user_id", "u-1"),
        ("user_id", "u-2"),
    ]


def test_a_time_without_a_zone_is_in_utc_and_another_zone_is_converted() -> None:
    assert Selection(since=NOON.replace(tzinfo=None)).params() == Selection(since=NOON).params()
    assert Selection(since=NOON.astimezone(timezone(timedelta(hours=2)))).params() == Selection(since=NOON).params()


def test_options_of_an_export_are_parameters_beside_its_selection() -> None:
    params = ExportOptions("small", Selection(q="x"), manifest=True).params()
    assert list(params) == [("q", "x"), ("compression", "small"), ("manifest", "true")]


def test_a_query_of_the_audit_log() -> None:
    assert list(AuditQuery(actor="admin1", since=NOON).params()) == [
        ("actor", "admin1"),
        ("since", "2026-10-01T12:00:00+00:00"),
    ]
