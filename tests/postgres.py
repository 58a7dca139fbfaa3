"""A real PostgreSQL server for tests, in a temporary folder."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from service_process import free_port

# PostgreSQL refuses to run as root; Debian's package brings a user for it.
USER = "postgres"


def programs() -> Path:
    """The folder of the server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    beside = shutil.which("pg_ctl")
    if beside is None and not found:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    return Path(beside).parent if beside else found[-1].parent


@dataclass
class Postgres:
    """A running server; every test has its own databases."""

    folder: Path
    port: int
    made: int = 0

    def run(self, program: str, *arguments: str) -> None:
        command = [str(programs() / program), *arguments]
        if os.getuid() == 0:
            command = ["runuser", "-u", USER, "--", *command]
        with (self.folder.parent / "postgres.log").open("ab") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log, cwd="/")

    def control(self, *arguments: str) -> None:
        self.run("pg_ctl", "-D", str(self.folder), "-w", *arguments)

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder.parent} -h 127.0.0.1 -c shared_buffers=16MB"
        self.control("start", "-o", options)

    def stop(self, mode: str = "fast") -> None:
        self.control("stop", "-m", mode)

    def new_database(self) -> str:
        """The URL of an empty database."""
        self.made += 1
        name = f"test{self.made}"
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{name}"


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server that runs until the block ends."""
    programs()
    folder = Path(tempfile.mkdtemp(prefix="patclass-postgres-"))
    if os.getuid() == 0:
        owner = pwd.getpwnam(USER)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    server = Postgres(folder / "data", free_port())
    try:
        arguments = ("-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")
        server.run("initdb", "-D", str(server.folder), *arguments)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder)
