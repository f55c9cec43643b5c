"""Paths of the API: any text stays one segment of them."""

from service.client import download_path, export_path


def test_paths_are_encoded() -> None:
    assert download_path("ü/1?", "a.jsonl") == "users/%C3%BC%2F1%3F/sessions/a.jsonl/download"
    params = [("since", "2026-10-01T12:00:00+00:00"), ("q", "a b&c")]
    assert export_path(None, params) == "sessions/download-all?since=2026-10-01T12%3A00%3A00%2B00%3A00&q=a+b%26c"
    assert export_path("u-1") == "users/u-1/sessions/download-all"


def test_dots_alone_lead_to_no_other_path() -> None:
    assert export_path("..") == "users/%2E%2E/sessions/download-all"
    assert export_path(".a.") == "users/.a./sessions/download-all"
