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
        ("GET HEAD", "/healthz", health.healthz),
        ("GET HEAD", "/readyz", health.readyz),
        ("GET HEAD", f"{USER}/sessions", sessions.list_sessions),
        ("GET HEAD", "/api/admin/users", users.list_users),
        ("GET HEAD", USER, users.get_user),
        ("PUT", USER, users.put_user),
        ("GET HEAD", "/api/admin/unassigned", users.list_unassigned),
        ("GET HEAD", "/api/admin/audit", audit.list_audit),
        ("GET HEAD", "/api/admin/sessions", sessions.list_all_sessions),
        ("GET HEAD", "/api/admin/sessions/days", sessions.count_sessions_by_day),
        ("GET", "/api/admin/sessions/download-all", export_across.download_all),
        ("HEAD", "/api/admin/sessions/download-all", export_across.head_download_all),
        ("GET", f"{USER}/sessions/download-all", export.download_all),
        ("HEAD", f"{USER}/sessions/download-all", export.head_download_all),
        ("GET", f"{SESSION}/download", download.download),
        ("HEAD", f"{SESSION}/download", download.head_download),
        ("GET", f"{SESSION}/lines", lines.get_lines),
        ("GET HEAD", f"{USER}/activity", activity.list_activity),
        ("GET HEAD", "/api/admin/me", me.get_me),
        ("POST", "/api/admin/links", links.make_link),
        ("GET HEAD", "/api/links/{token}", links.reject_link),
        ("GET HEAD", "/openapi.json", reference.document),
        ("GET HEAD", "/docs", reference.page),
        ("GET HEAD", "/docs/{asset}", reference.asset),
        ("GET", "/api/admin/doctor/echo", doctor.echo),
        ("GET", "/api/admin/doctor/broken", doctor.broken),
        ("GET", "/api/admin/doctor/paused", doctor.paused),
        ("GET", "/api/admin/doctor/flood", doctor.flood),
        ("GET", "/api/admin/doctor/session", doctor.session),
    ]
    for methods, path, handler in routes:
        for method in methods.split():
            router.add_route(method, path, handler)
