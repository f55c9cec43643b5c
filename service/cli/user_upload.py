"""Add users through a running service."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from service.cli.output import Output
from service.cli.user_file import FileUser, ImportRefused, refused
from service.client import Client, ClientError, Refused
from service.store.layout import yields_directory

PARALLEL = 8  # requests at once
LAYOUTS = ("{email_local}", "{user_id}")  # the service's, unless it is configured otherwise


class UserUpload:
    """Adds the users of one file. All lines are checked before the first user is added."""

    def __init__(self, client: Client, file: Path, output: Output) -> None:
        self._client = client
        self._file = file
        self._output = output
        self._added = 0

    async def run(self, users: Sequence[FileUser]) -> tuple[int, int]:
        """Add the users. Return how many were added, and how many existed. Raises ImportRefused or ClientError."""
        missing = await self._select_missing(users)
        waiting = iter(missing)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(PARALLEL):
                    group.create_task(self._add(waiting))
        except* (ClientError, ImportRefused) as errors:
            self._output.error(f"{self._added} of {len(missing)} users were added; the same command adds the others.")
            raise errors.exceptions[0] from None
        return self._added, len(users) - len(missing)

    async def _select_missing(self, users: Sequence[FileUser]) -> list[FileUser]:
        owners: dict[str, str] = {}
        async for known in self._client.users():
            owners[known.email] = known.user_id
        present = set(owners.values())
        missing = [user for user in users if user.id not in present]
        for user in missing:
            if user.email in owners:
                raise refused(self._file, user, f"the e-mail {user.email!r} belongs to {owners[user.email]!r}")
            if not all(yields_directory(layout, user.id, user.email) for layout in LAYOUTS):
                raise refused(self._file, user, "this id and e-mail cannot be names of directories")
        return missing

    async def _add(self, waiting: Iterator[FileUser]) -> None:
        for user in waiting:
            try:
                await self._client.save_user(user.id, user.email, user.name)
            except Refused as error:
                raise refused(self._file, user, str(error)) from error
            self._added += 1
