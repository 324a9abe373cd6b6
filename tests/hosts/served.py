"""One of the hosts, served by uvicorn in a process of its own, with the OpenID provider beside it."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from tests.hosts.apps import APPS
from tests.hosts.people import Surfer, path_of, use_card_over_network
from tests.hosts.settings import make_plugin
from tests.servers import PATIENCE, free_port
from tests.serving import Server
from useid_middleware.emulation.client.flow import Outcome
from useid_middleware.http.asgi import ASGIApp, Receive, Scope, Send, route_path

#: Where the provider is, apart from the app.
PROVIDER: Final = "/op"
#: The environment that the process finds its task in.
TASK: Final = "HOSTS_TASK"


def make_app() -> ASGIApp:
    """The app that the environment asks for."""
    task = json.loads(os.environ[TASK])
    useid, provider = make_plugin(task["url"], issuer=task["issuer"], pki=Path(task["pki"]), **task["settings"])
    app = APPS[task["host"]](useid)

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and route_path(scope).startswith(f"{PROVIDER}/"):
            await provider({**scope, "path": route_path(scope), "root_path": ""}, receive, send)
        else:
            await app(scope, receive, send)

    return both


class HostServer(Server):
    """A host under uvicorn; browsers know it as ``url``, by default its own address."""

    def __init__(
        self,
        host: str,
        *,
        folder: Path,
        pki: Path,
        url: str = "",
        arguments: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        port = free_port()
        here = f"http://localhost:{port}"
        # By name: nginx takes addresses of what it stands in front of for its own, and leads browsers to itself.
        self.issuer = f"{here}{PROVIDER}"
        task = {"host": host, "url": url or here, "issuer": self.issuer, "pki": str(pki), "settings": settings}
        env = {TASK: json.dumps(task, default=str)}
        super().__init__("tests.hosts.served:make_app", port=port, folder=folder, env=env, factory=True)
        self.url = url or here
        self.upstream = f"127.0.0.1:{port}"
        self._command += arguments


@dataclass
class OnNetwork:
    """A served host; see :class:`~tests.hosts.people.Place`. ``http`` are arguments of its browsers' HTTP clients.

    A browser of another ``ip`` comes from another address of this machine, if ``addresses`` has one for it.
    """

    url: str
    pki: Path
    http: Mapping[str, Any] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    browsers: list[Surfer] = field(default_factory=list)

    def browser(self, *, ip: str = "") -> Surfer:
        parts = urlsplit(self.url)
        transport = httpx2.AsyncHTTPTransport(local_address=self.addresses.get(ip), **self.http)
        made = Surfer(
            http=httpx2.AsyncClient(transport=transport, timeout=PATIENCE),
            host=parts.netloc,
            origin=f"{parts.scheme}://{parts.netloc}",
            prefix=f"{path_of(self.url)}/auth",
        )
        self.browsers.append(made)
        return made

    def at_provider(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(timeout=PATIENCE)

    async def use_card(self, tc_token_url: str) -> Outcome:
        is_plain = tc_token_url.startswith("http://")
        return await use_card_over_network(tc_token_url, pki=self.pki, allow_loopback_http=is_plain)

    async def close(self) -> None:
        """Everybody leaves."""
        for browser in self.browsers:
            await browser.http.aclose()
