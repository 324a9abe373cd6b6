"""The servers that we promise something about, started by the commands of docs/howto/workers.md."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx2

from tests.hosts.people import Surfer
from tests.servers import PATIENCE, free_port
from tests.serving import Server
from useid_middleware.emulation.client.flow import Outcome

APP: Final = "tests.workers.site:app"
#: Each server's own patience with what is open when it is to stop (s) …
GRACE: Final = 5
#: … and how long the whole stop may take, on a machine with much else to do; reached only when something is wrong.
STOP_LIMIT: Final = 4 * GRACE


@dataclass(frozen=True)
class Kind:
    """How a server is started, and what it says when it serves. ``{port}`` stands for the port."""

    arguments: str
    announcement: str
    #: Its workers are told of the end before what is open is cut off.
    tells: bool = True


#: Two workers each, but for those that are one process.
KINDS: Final = {
    "uvicorn": Kind(f"uvicorn {APP} --port {{port}} --timeout-graceful-shutdown {GRACE}", "Uvicorn running on"),
    "uvicorn-workers": Kind(
        f"uvicorn {APP} --port {{port}} --workers 2 --timeout-graceful-shutdown {GRACE}", "startup complete"
    ),
    "granian": Kind(
        f"granian {APP} --interface asgi --port {{port}} --workers 2 --backpressure 2000"
        f" --workers-kill-timeout {GRACE}",
        "Started worker-2",
    ),
    "hypercorn": Kind(
        f"hypercorn {APP} --bind 127.0.0.1:{{port}} --workers 0 --graceful-timeout {GRACE}", "Running on http"
    ),
    "hypercorn-workers": Kind(
        f"hypercorn {APP} --bind 127.0.0.1:{{port}} --workers 2 --graceful-timeout {GRACE}",
        "Running on http",
        tells=False,
    ),
}


class AnyServer(Server):
    """A server of one of these kinds."""

    def __init__(self, kind: Kind, *, folder: Path, env: Mapping[str, str]) -> None:
        port = free_port()
        super().__init__(APP, port=port, folder=folder, env=env, factory=False)
        self.url = f"http://localhost:{port}"
        self.kind = kind
        self.announcement = kind.announcement
        self._command = [sys.executable, "-m", *kind.arguments.format(port=port).split()]

    def end(self) -> int:
        """SIGTERM to the process that was started, and to no other; its exit status. ``TimeoutExpired``."""
        assert self._process is not None, "not started"
        self._process.terminate()
        try:
            return self._process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"still there:\n{self.log()}") from None
        finally:
            self.stop()


class Crowd:
    """A :class:`~.people.Site` for many browsers at once, which have their connections from one pool."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.pki = Path()
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        self._transport = httpx2.AsyncHTTPTransport(verify=False, limits=limits)

    def browser(self, *, ip: str = "") -> Surfer:
        """A browser without cookies."""
        http = httpx2.AsyncClient(transport=self._transport, timeout=PATIENCE, trust_env=False)
        return Surfer(http=http, host=urlsplit(self.url).netloc, origin=self.url)

    def at_provider(self) -> httpx2.AsyncClient:
        raise AssertionError("there is no provider here")

    async def use_card(self, tc_token_url: str) -> Outcome:
        raise AssertionError("there are no cards here")

    async def close(self) -> None:
        """Everybody leaves."""
        await self._transport.aclose()
