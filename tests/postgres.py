"""A PostgreSQL server of our own, from Debian's packages: one for the test session, a schema for each test."""

import os
import shutil
import signal
import socket
import subprocess
import uuid
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.scratch import abandoned, new_directory

BIN = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=None)
SETTINGS = "listen_addresses=127.0.0.1 max_connections=200 shared_buffers=64MB log_statement=none"


class Postgres:
    """A server in a directory of its own; `durable` if what it commits must survive a loss of power. With a `primary`
    it is that one's standby.

    As root it runs as the user nobody, since PostgreSQL refuses root.
    """

    def __init__(self, *, durable: bool = False, primary: "Postgres | None" = None) -> None:
        if BIN is None or (os.geteuid() == 0 and shutil.which("setpriv") is None):
            pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
        self._durable = durable
        for home in abandoned("postgres"):
            _remove(home)
        self._home = new_directory("postgres")
        self._data = self._home / "data"
        if os.geteuid() == 0:
            shutil.chown(self._home, "nobody", "nogroup")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        if primary:
            self._run("pg_basebackup", "-R", "-c", "fast", "-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres")
        else:
            self._run("initdb", "-U", "postgres", "--auth=trust", "--no-sync", "--locale=C.UTF-8", "-E", "UTF8")
            rules = self._data / "pg_hba.conf"
            rules.write_text(f"host all needs_password 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        self.start()

    def promote(self) -> None:
        """A standby becomes the primary."""
        self._run("pg_ctl", "-w", "promote")

    def use_certificate(self, certificate: Path, key: Path) -> None:
        """Offer TLS, from now on."""
        for source, name in ((certificate, "server.crt"), (key, "server.key")):
            target = self._data / name
            target.write_bytes(source.read_bytes())
            target.chmod(0o600)
            if os.geteuid() == 0:
                shutil.chown(target, "nobody", "nogroup")
        self.sql("ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")

    def start(self) -> None:
        options = f"-p {self.port} -c unix_socket_directories={self._home} "
        options += " ".join(f"-c {setting}" for setting in [f"fsync={self._durable}", *SETTINGS.split()])
        self._run("pg_ctl", "-w", "-l", str(self._home / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def signal(self, number: signal.Signals) -> None:
        """To the server and to all that it has started."""
        parent = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for pid in (parent, *map(int, children)):
            os.kill(pid, number)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._home)

    def new_url(self) -> str:
        """The URL of a new, empty schema."""
        name = f"test_{uuid.uuid4().hex}"
        self.sql(f"CREATE SCHEMA {name}")
        return f"{self.url}?options={quote(f'-csearch_path={name}')}"

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def sql(self, *statements: str) -> None:
        """As the superuser."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """As the superuser."""
        import psycopg

        with psycopg.connect(self.url) as connection:
            return connection.execute(query).fetchall()

    def _run(self, program: str, *arguments: str) -> None:
        assert BIN is not None
        as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
        subprocess.run(
            [*as_nobody, str(BIN / program), "-D", str(self._data), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._home,
        )


def _remove(home: Path) -> None:
    """A server that a killed run has left, with what it wrote."""
    data = home / "data"
    with suppress(OSError, ValueError, IndexError):  # it had not started, or has ended
        server = int((data / "postmaster.pid").read_text().split()[0])
        if Path(f"/proc/{server}/cwd").readlink() == data:
            os.kill(server, signal.SIGQUIT)
    shutil.rmtree(home, ignore_errors=True)
