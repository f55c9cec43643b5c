"""A real nginx in front of the service, with the lines that the README gives."""

import asyncio
import os
import re
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.world import World

README = (Path(__file__).parent.parent / "README.md").read_text()

NGINX = """
daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log stderr; user {user};
events {{}}
http {{
    access_log off; client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
    server {{ listen 127.0.0.1:{port}; {location} }}
}}
"""

needs_nginx = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")


def location() -> str:
    """The README's block."""
    (block,) = re.findall(r"^    (location /api/ \{.*?^    \})$", README, re.MULTILINE | re.DOTALL)
    return str(block)


@asynccontextmanager
async def nginx(directory: Path, service: World, block: str) -> AsyncIterator[str]:
    """A real nginx in front of the service; its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = directory / "nginx.conf"
    block = block.replace("http://127.0.0.1:8080", f"http://127.0.0.1:{service.running.port}")
    user = "root" if os.geteuid() == 0 else "nobody"
    config.write_text(NGINX.format(directory=directory, port=port, location=block, user=user))
    process = await asyncio.create_subprocess_exec(
        "nginx", "-p", directory, "-c", config, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                assert process.returncode is None, "nginx did not start"
                await asyncio.sleep(0.01)
            else:
                writer.close()
                break
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()
