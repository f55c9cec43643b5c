"""The HTTP room: all that knows requests and responses.

A handler reads as its own description: who may, what is asked, what is found, what is answered.
"""

from aiohttp import web

from service.api import activity, doctor, download, export, health, sessions
from service.api.reference import Reference

__all__ = ["add_routes"]

USER = "/api/admin/users/{user_id:[^/]+}"


def add_routes(router: web.UrlDispatcher) -> None:
    """GET and HEAD are separate where HEAD must not run the handler: aiohttp would send the body."""
    # Anything may stand for the file's name, separators too: the handler refuses it with a 400, not with a 404.
    one = f"{USER}/sessions/{{session_file:(?s:.*)}}/download"
    reference = Reference()
    routes = [
        ("GET", "/healthz", health.healthz),
        ("HEAD", "/healthz", health.healthz),
        ("GET", "/readyz", health.readyz),
        ("HEAD", "/readyz", health.readyz),
        ("GET", f"{USER}/sessions", sessions.list_sessions),
        ("HEAD", f"{USER}/sessions", sessions.list_sessions),
        ("GET", f"{USER}/sessions/download-all", export.download_all),
        ("HEAD", f"{USER}/sessions/download-all", export.head_download_all),
        ("GET", one, download.download),
        ("HEAD", one, download.head_download),
        ("GET", f"{USER}/activity", activity.list_activity),
        ("HEAD", f"{USER}/activity", activity.list_activity),
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
