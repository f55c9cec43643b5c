"""The HTTP room: all that knows requests and responses.

A handler reads as its own description: who may, what is asked, what is found, what is answered.
"""

from aiohttp import web

from service.api import activity, download, export, health, listing

__all__ = ["add_routes"]

USER = "/api/admin/users/{user_id:[^/]+}"


def add_routes(router: web.UrlDispatcher) -> None:
    """GET and HEAD are separate where HEAD must not run the handler: aiohttp would send the body."""
    router.add_get("/healthz", health.healthz)
    router.add_get("/readyz", health.readyz)
    router.add_get(f"{USER}/sessions", listing.list_sessions)
    router.add_get(f"{USER}/sessions/download-all", export.download_all, allow_head=False)
    router.add_head(f"{USER}/sessions/download-all", export.head_download_all)
    # Anything may stand for the file's name, separators too: the handler refuses it with a 400, not with a 404.
    router.add_get(f"{USER}/sessions/{{session_file:(?s:.*)}}/download", download.download, allow_head=False)
    router.add_head(f"{USER}/sessions/{{session_file:(?s:.*)}}/download", download.head_download)
    router.add_get(f"{USER}/activity", activity.list_activity)
