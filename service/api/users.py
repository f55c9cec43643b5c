"""The users: GET /api/admin/users, GET and PUT /api/admin/users/{user_id}, and GET /api/admin/unassigned."""

import re
from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from pydantic import AfterValidator, StrictBool
from pydantic_core import PydanticCustomError

from service.api.parts import AUDIT, DIRECTORY, SETTINGS
from service.auth import USERS
from service.catalog import EmailTaken, User
from service.catalog.actions import USER_SAVED
from service.http.body import Body
from service.http.pages import PageQuery, fields_of, json_response, page_response
from service.http.problems import Problem
from service.http.query import Query, SearchText, Text
from service.store.layout import yields_directory
from service.transfers.events import event_of
from service.transfers.record import Entry

# A minimal check: only the mail server knows whether an address exists.
EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")


class SearchQuery(Query):
    q: SearchText | None = None


def _email(text: str) -> str:
    if not EMAIL.fullmatch(text):
        raise PydanticCustomError("email", "Input should be an e-mail address")
    return text


class UserBody(Body):
    """A user as PUT takes it."""

    email: Annotated[Text, AfterValidator(_email)]
    name: Text | None = None
    active: StrictBool = True


async def list_users(request: web.Request) -> web.Response:
    """A page of the users, with how many sessions each has."""
    query = PageQuery.of(request)
    rows, total = await request.app[DIRECTORY].page(SearchQuery.of(request).q, query.limit, query.offset)
    return page_response(rows, query, total)


async def get_user(request: web.Request) -> web.Response:
    """One user, with how many sessions they have."""
    return json_response(fields_of(await request.app[DIRECTORY].find(request.match_info["user_id"])))


async def put_user(request: web.Request) -> web.Response:
    """Create or change a user; the change and its audit row are written together."""
    user = await _user(request)
    event = event_of(request, USER_SAVED, Entry(f"users/{user.id}", fields_of(user)))
    try:
        before = await request.app[USERS].save(user, request.app[AUDIT], event)
    except EmailTaken:
        raise Problem(HTTPStatus.CONFLICT, "Another user has this e-mail.") from None
    row = await request.app[DIRECTORY].find(user.id)
    return json_response(fields_of(row), HTTPStatus.CREATED if before is None else HTTPStatus.OK)


async def list_unassigned(request: web.Request) -> web.Response:
    """A page of the directories that belong to no user."""
    query = PageQuery.of(request)
    rows, total = await request.app[DIRECTORY].unassigned(query.limit, query.offset)
    return page_response(rows, query, total)


async def _user(request: web.Request) -> User:
    """The user that the request describes. Raises Problem."""
    body = await UserBody.of(request)
    user = User(request.match_info["user_id"], body.email, body.name, body.active)
    if not user.id.isprintable() or len(user.id) > 200:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "A user's id has at most 200 characters, all printable.")
    for layout in request.app[SETTINGS].storage.layouts:
        if not yields_directory(layout, user.id, user.email):
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, f"With this id and e-mail the layout {layout} gives no directory."
            )
    return user
