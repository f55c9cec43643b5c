"""The other ways, each a small aiohttp server: `python -m tests.bench.rivals WAY PORT SOURCE [CATALOG]`.

Each is written as its documentation shows it, and answers at `/` with all of SOURCE.
"""

import asyncio
import io
import json
import os
import stat
import sys
import zipfile
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiofiles
import duckdb
import zipstream
from aiohttp import web
from stream_zip import ZIP_32, AsyncMemberFile, async_stream_zip

SOURCE = web.AppKey("source", Path)
CATALOG = web.AppKey("catalog", duckdb.DuckDBPyConnection)

USAGE = """
    SELECT session_file, session_id, started_at, ended_at, active_seconds, wall_seconds, tool_calls, tool_errors,
        primary_model
    FROM usage_session_summary WHERE user_id = ? OR username = ? OR username = ?
"""


async def zipfile_in_memory(request: web.Request) -> web.Response:
    """The whole ZIP, then the answer: what this project replaces."""
    body = await asyncio.to_thread(_zipped, request.app[SOURCE])
    return web.Response(body=body, content_type="application/zip")


def _zipped(directory: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path in sorted(directory.iterdir()):
            archive.write(path, path.name)
    return buffer.getvalue()


async def stream_zip_aiofiles(request: web.Request) -> web.StreamResponse:
    """https://stream-zip.docs.trade.gov.uk, "Async interface" and "Named local files", read with aiofiles."""

    async def contents(path: Path) -> AsyncIterator[bytes]:
        async with aiofiles.open(path, "rb") as file:
            while chunk := await file.read(65536):
                yield chunk

    async def members() -> AsyncIterator[AsyncMemberFile]:
        now = datetime.now(UTC)
        for path in sorted(request.app[SOURCE].iterdir()):
            yield path.name, now, stat.S_IFREG | 0o600, ZIP_32, contents(path)

    return await _send(request, async_stream_zip(members()))


async def zipstream_ng(request: web.Request) -> web.StreamResponse:
    """https://pypi.org/project/zipstream-ng/, iterated in a thread."""
    archive = zipstream.ZipStream.from_path(
        request.app[SOURCE], arcname="/", compress_type=zipstream.ZIP_DEFLATED, compress_level=6
    )
    return await _send(request, _in_thread(_gathered(archive)))


async def file_response(request: web.Request) -> web.FileResponse:
    """aiohttp's own way to send a file."""
    return web.FileResponse(request.app[SOURCE])


async def direct_list(request: web.Request) -> web.Response:
    """A page of 50 the direct way: all rows into Python, a stat for each file, one sort, one cut."""
    sessions = await asyncio.to_thread(_all_sessions, request.app[SOURCE], request.app[CATALOG])
    page = {"rows": sessions[:50], "pagination": {"limit": 50, "offset": 0, "total": len(sessions)}}
    return web.json_response(page, dumps=lambda value: json.dumps(value, default=str))


def _all_sessions(directory: Path, catalog: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    user = directory.name
    result = catalog.cursor().execute(USAGE, [user, user, f"{user}@example.com"])
    columns = [column[0] for column in result.description or ()]
    with os.scandir(directory) as entries:
        files = {entry.name: entry.stat() for entry in entries}
    sessions = [_processed(dict(zip(columns, row, strict=True)), files) for row in result.fetchall()]
    sessions += [_unprocessed(name, status) for name, status in files.items()]
    sessions.sort(key=lambda session: session["session_file"])
    sessions.sort(key=lambda session: (session["processed"], session["started_at"]), reverse=True)
    return sessions


def _processed(row: dict[str, Any], files: dict[str, os.stat_result]) -> dict[str, Any]:
    """The row, with the file that belongs to it taken out of `files`."""
    name = row["session_file"].rpartition("/")[2]
    status = files.pop(name, None)
    return row | {
        "session_file": name,
        "started_at": row["started_at"].replace(tzinfo=UTC),
        "ended_at": row["ended_at"].replace(tzinfo=UTC),
        "processed": True,
        "size_bytes": status and status.st_size,
        "available": status is not None,
    }


def _unprocessed(name: str, status: os.stat_result) -> dict[str, Any]:
    return {
        "session_file": name,
        "session_id": name.removesuffix(".jsonl"),
        "started_at": datetime.fromtimestamp(status.st_mtime, UTC),
        "tool_calls": 0,
        "tool_errors": 0,
        "processed": False,
        "size_bytes": status.st_size,
        "available": True,
    }


async def _send(request: web.Request, chunks: AsyncIterable[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/zip"})
    await response.prepare(request)
    async for chunk in chunks:
        await response.write(chunk)
    await response.write_eof()
    return response


async def _in_thread(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(next, chunks, b""):
        yield chunk


def _gathered(pieces: Iterable[bytes], size: int = 65536) -> Iterator[bytes]:
    """The same in chunks of at least `size` bytes, as stream-zip gives them: fair to what gives smaller ones."""
    chunk = bytearray()
    for piece in pieces:
        chunk += piece
        if len(chunk) >= size:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk)


WAYS = {
    "zipfile": zipfile_in_memory,
    "stream-zip": stream_zip_aiofiles,
    "zipstream-ng": zipstream_ng,
    "file-response": file_response,
    "direct-list": direct_list,
}


def main(way: str, port: str, source: str, catalog: str = "") -> None:
    app = web.Application()
    app[SOURCE] = Path(source)
    if catalog:
        app[CATALOG] = duckdb.connect(catalog)
    app.router.add_get("/", WAYS[way])
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
