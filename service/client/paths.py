"""Paths of the API, below /api/admin and encoded."""

from urllib.parse import quote, urlencode

from service.client.connection import Params


def export_path(user_id: str | None, params: Params = ()) -> str:
    """The path of an export, with its query; without a `user_id`, of the export across users."""
    path = "sessions/download-all" if user_id is None else f"users/{path_segment(user_id)}/sessions/download-all"
    return f"{path}?{urlencode(params)}" if params else path


def download_path(user_id: str, session_file: str) -> str:
    """The path of one session's download."""
    return f"users/{path_segment(user_id)}/sessions/{path_segment(session_file)}/download"


def path_segment(text: str) -> str:
    """Any text as one segment of a path (RFC 3986 section 3.3; dots alone would be another path)."""
    quoted = quote(text, safe="")
    return quoted.replace(".", "%2E") if not text.strip(".") else quoted
