"""Links, made and taken as their users do."""

from typing import Any

from yarl import URL

from tests.world import Answer, World

LINKS = "/api/admin/links"
EXPORT = "/api/admin/users/u-1/sessions/download-all"
DOWNLOAD = "/api/admin/users/u-1/sessions/a.jsonl/download"
SECRET = "a secret of thirty-two characters"


async def make(service: World, body: Any, **options: Any) -> Answer:
    return await service.get(LINKS, "POST", json=body, **options)


async def link_to(service: World, path: str, **body: Any) -> str:
    """A link's path on the service."""
    answer = await make(service, {"path": path} | body)
    assert answer.status == 201, answer.body
    return URL(answer.json["url"]).raw_path


async def take(service: World, link: str, method: str = "GET", **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await service.get(link, method, token=None, headers=sent)
