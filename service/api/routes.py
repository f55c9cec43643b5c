"""The routes: which handler answers which method of which path, and the few that need no authentication."""

from aiohttp import web

from service.api import (
    activity,
    audit,
    doctor,
    download,
    export,
    export_across,
    health,
    lines,
    links,
    me,
    sessions,
    users,
)
from service.api.reference import Reference

HEALTH = frozenset({"/healthz", "/readyz"})

# Open to everybody. The guard rejects everybody but admins on all other paths, unknown ones included.
OPEN_ROUTES = HEALTH | {"/openapi.json", "/docs", "/docs/{asset}", "/api/links/{token}"}

USER = "/api/admin/users/{user_id:[^/]+}"
# The name may be any text, also with separators: the handler responds 400 to those, not 404.
SESSION = f"{USER}/sessions/{{session_file:(?s:.*)}}"

# The only routes that a link can lead to: downloads and exports, as in links.TARGET.
LINK_ROUTES = frozenset(
    {
        "/api/admin/sessions/download-all",
        "/api/admin/users/{user_id}/sessions/download-all",
        "/api/admin/users/{user_id}/sessions/{session_file}/download",
    }
)


def add_routes(router: web.UrlDispatcher, *, console: bool) -> None:
    """With `console`, the reference links to the console.

    GET and HEAD are separate where HEAD must not run the handler: aiohttp would send the body.
    """
    reference = Reference(console)
    routes = [
        ("GET", "/healthz", health.healthz),
        ("HEAD", "/healthz", health.healthz),
        ("GET", "/readyz", health.readyz),
        ("HEAD", "/readyz", health.readyz),
        ("GET", f"{USER}/sessions", sessions.list_sessions),
        ("HEAD", f"{USER}/sessions", sessions.list_sessions),
        ("GET", "/api/admin/users", users.list_users),
        ("HEAD", "/api/admin/users", users.list_users),
        ("GET", USER, users.get_user),
        ("HEAD", USER, users.get_user),
        ("PUT", USER, users.put_user),
        ("GET", "/api/admin/unassigned", users.list_unassigned),
        ("HEAD", "/api/admin/unassigned", users.list_unassigned),
        ("GET", "/api/admin/audit", audit.list_audit),
        ("HEAD", "/api/admin/audit", audit.list_audit),
        ("GET", "/api/admin/sessions", sessions.list_all_sessions),
        ("HEAD", "/api/admin/sessions", sessions.list_all_sessions),
        ("GET", "/api/admin/sessions/days", sessions.count_sessions_by_day),
        ("HEAD", "/api/admin/sessions/days", sessions.count_sessions_by_day),
        ("GET", "/api/admin/sessions/download-all", export_across.download_all),
        ("HEAD", "/api/admin/sessions/download-all", export_across.head_download_all),
        ("GET", f"{USER}/sessions/download-all", export.download_all),
        ("HEAD", f"{USER}/sessions/download-all", export.head_download_all),
        ("GET", f"{SESSION}/download", download.download),
        ("HEAD", f"{SESSION}/download", download.head_download),
        ("GET", f"{SESSION}/lines", lines.get_lines),
        ("GET", f"{USER}/activity", activity.list_activity),
        ("HEAD", f"{USER}/activity", activity.list_activity),
        ("GET", "/api/admin/me", me.get_me),
        ("HEAD", "/api/admin/me", me.get_me),
        ("POST", "/api/admin/links", links.make_link),
        ("GET", "/api/links/{token}", links.reject_link),
        ("HEAD", "/api/links/{token}", links.reject_link),
        ("GET", "/openapi.json", reference.document),
        ("HEAD", "/openapi.json", reference.document),
        ("GET", "/docs", reference.page),
        ("HEAD", "/docs", reference.page),
        ("GET", "/docs/{asset}", reference.asset),
        ("HEAD", "/docs/{asset}", reference.asset),
        ("GET", "/api/admin/doctor/echo", doctor.echo),
        ("GET", "/api/admin/doctor/broken", doctor.broken),
        ("GET", "/api/admin/doctor/paused", doctor.paused),
        ("GET", "/api/admin/doctor/flood", doctor.flood),
        ("GET", "/api/admin/doctor/session", doctor.session),
    ]
    for method, path, handler in routes:
        router.add_route(method, path, handler)
