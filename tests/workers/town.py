"""A fleet with everything around it: Redis, accounts, an OpenID provider, the country of the ID cards."""

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from tests.accounts import postgresql
from tests.oidc.world import KEYS
from tests.workers.fleet import Fleet
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.emulation.provider.clients import Client


@asynccontextmanager
async def opened_fleet(
    folder: Path, *, size: int, store: str, accounts: str, pki: Path, **settings: Any
) -> AsyncIterator[Fleet]:
    """Workers with all four ways to log in."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        known = {"issuer": f"http://127.0.0.1:{listening.getsockname()[1]}", "client_id": "shop"}
        known["client_secret"] = "a secret of tests"
        values: dict[str, Any] = {
            "oidc": {"providers": {"op": known}},
            "eid": {"server": "embedded", "pki": str(pki), "required": ["RestrictedID", "GivenNames"]},
            "webauthn": {"enabled": True},
            # Pages come back at once, and notice a dead connection soon.
            "sse": {"retry": 0.1, "heartbeat": 2},
            # All people are one machine, and quicker than others.
            "limits": {"per_ip": 100_000, "per_account": 100_000, "per_key": 100_000},
        }
        fleet = Fleet(folder, size=size, store=store, accounts=accounts, **values | settings)
        client = Client(
            client_id=known["client_id"],
            client_secret=known["client_secret"],
            redirect_uris=(f"{fleet.url}/auth/callback",),
        )
        with _serving(Provider(known["issuer"], clients=[client], keys=KEYS), listening):
            async with fleet:
                yield fleet


@contextmanager
def accounts_for_all(folder: Path) -> Iterator[str]:
    """A database of accounts that several processes can share: PostgreSQL, where it is installed."""
    if not postgresql.is_available():
        yield f"sqlite:///{folder / 'accounts.db'}"
        return
    with postgresql.running_server() as socket_folder:
        yield postgresql.fresh_database(socket_folder)


@contextmanager
def _serving(provider: Provider, listening: socket.socket) -> Iterator[None]:
    server = uvicorn.Server(uvicorn.Config(provider, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="provider")
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
