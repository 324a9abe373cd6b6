"""A PostgreSQL server of our own, where Debian's server package is installed: a socket, no port, no fsync."""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
_USER = "postgres"


def is_available() -> bool:
    """Whether there are a server and the driver."""
    return bool(_INSTALLED) and importlib.util.find_spec("asyncpg") is not None


def _run(*command: str) -> None:
    program = str(_INSTALLED[-1].with_name(command[0]))
    # The server refuses to run as root.
    prefix = ["runuser", "-u", _USER, "--"] if os.geteuid() == 0 else []
    subprocess.run([*prefix, program, *command[1:]], check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=60)


@contextmanager
def running_server() -> Iterator[Path]:
    """Start a server and stop it in the end; the value is the folder of its socket."""
    # A socket's path has at most 107 characters, fewer than a folder of pytest may need.
    folder = Path(tempfile.mkdtemp(prefix="useid-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _USER)
        data = str(folder / "data")
        _run("initdb", "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        _run("pg_ctl", "-D", data, "-l", str(folder / "log"), "-o", options, "-w", "start")
        try:
            yield folder
        finally:
            _run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)


def fresh_database(socket_folder: Path) -> str:
    """The address of a database that holds nothing."""
    statements = ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    commands = [part for statement in statements for part in ("-c", statement)]
    _run("psql", "-h", str(socket_folder), "-U", _USER, "-q", "-v", "ON_ERROR_STOP=1", *commands, _USER)
    return f"postgresql://{_USER}@/{_USER}?host={socket_folder}"
