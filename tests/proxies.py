"""Real proxies in front of a running service, with the configurations of `deploy/`."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parent.parent / "deploy"
LOCATIONS = (DEPLOY / "nginx" / "locations.conf").read_text()
REPLICAS = (DEPLOY / "compose" / "replicas.conf").read_text()
CADDYFILE = (DEPLOY / "caddy" / "Caddyfile").read_text()

needs_nginx = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")

# What a distribution's nginx.conf says around ours; a server block stands in `{server}`.
NGINX = """
daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{}}
http {{
    access_log off; client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
    {server}
}}
"""
SERVER = """
upstream session_export {{ server 127.0.0.1:{service}; }}
server {{ listen 127.0.0.1:{port}; {more} include {locations}; }}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@asynccontextmanager
async def program(port: int, *command: str | Path, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program that listens at the port, from when it does until the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, env=os.environ | environ
    )
    try:
        while not await answers(port):
            assert process.returncode is None, f"{command[0]} did not start"
            await asyncio.sleep(0.01)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


@asynccontextmanager
async def nginx(directory: Path, service: int, locations: str = LOCATIONS, more: str = "") -> AsyncIterator[str]:
    """nginx before the service at that port, with these locations, and `more` in the server block; its URL."""
    port, file = free_port(), directory / "locations.conf"
    file.write_text(locations)
    server = SERVER.format(service=service, port=port, locations=file, more=more)
    async with nginx_with(directory, server, port):
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def nginx_for_replicas(directory: Path, services: Sequence[int]) -> AsyncIterator[str]:
    """nginx before three replicas at these ports, as `deploy/` has it, but without TLS; its URL."""
    port, file = free_port(), directory / "locations.conf"
    file.write_text(LOCATIONS)
    server = re.sub(r"ssl_\w+ [^;]+;", "", REPLICAS).replace("listen 8443 ssl", f"listen 127.0.0.1:{port}")
    server = re.sub(r"include \S+;", f"include {file};", server)
    for address, service in zip(("11", "12", "13"), services, strict=True):
        server = server.replace(f"172.30.98.{address}:8080", f"127.0.0.1:{service}")
    async with nginx_with(directory, server, port):
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def nginx_with(directory: Path, server: str, port: int) -> AsyncIterator[None]:
    config = directory / "nginx.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""
    config.write_text(user + NGINX.format(directory=directory, server=server))
    async with program(port, "nginx", "-p", directory, "-c", config):
        yield


@asynccontextmanager
async def caddy(directory: Path, service: int, executable: str) -> AsyncIterator[str]:
    """Caddy before the service at that port, with the Caddyfile of `deploy/`; its URL."""
    port, config = free_port(), directory / "Caddyfile"
    site = CADDYFILE.replace("public.example", f"http://127.0.0.1:{port}")
    site = site.replace("127.0.0.1:8080", f"127.0.0.1:{service}")
    config.write_text("{\n\tadmin off\n\tauto_https off\n}\n" + site)
    command = (executable, "run", "--config", config, "--adapter", "caddyfile")
    async with program(port, *command, XDG_DATA_HOME=str(directory), XDG_CONFIG_HOME=str(directory)):
        yield f"http://127.0.0.1:{port}"


def caddy_of(version: tuple[int, int], below: tuple[int, int] = (3, 0)) -> str:
    """A Caddy of that version or newer, from the tests' packages or the system's."""
    for directory in (Path(sys.executable).parent, *map(Path, os.environ["PATH"].split(":"))):
        path = directory / "caddy"
        if path.exists():
            said = subprocess.run([path, "version"], capture_output=True, text=True, check=True).stdout
            major, minor = re.findall(r"\d+", said)[:2]
            if version <= (int(major), int(minor)) < below:
                return str(path)
    pytest.skip(f"no Caddy from {version} on and below {below} is installed")
