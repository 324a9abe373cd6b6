"""A whole plugin for a fuzzer: requests of any kind for any of its routes, none of which may end in a 500.

What a fuzzer writes is a first byte that chooses the route, and behind it the request's parts, an empty line between
each two of them: what stands for the path's variable, the query, headers (one a line), the body.
"""

import asyncio
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import httpx2

from tests.actors import Browser, Phone
from tests.eid.eid_server import ScriptedEIDServer
from tests.qr.conftest import host_app, make_settings
from useid_middleware import LimitSettings, UseID, UseIDMiddleware
from useid_middleware._codec import b64url
from useid_middleware.http.asgi import Receive, Scope, Send

HOST: Final = "localhost:8000"
ORIGIN: Final = f"http://{HOST}"
_PROVIDER: Final = "https://op.example"
_METADATA: Final = {
    "issuer": _PROVIDER,
    "authorization_endpoint": f"{_PROVIDER}/authorize",
    "token_endpoint": f"{_PROVIDER}/token",
    "jwks_uri": f"{_PROVIDER}/jwks",
    "response_types_supported": ["code"],
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["RS256"],
}
#: So many requests a plugin answers before a new one takes its place: what they leave behind shall not add up.
_LIFE: Final = 20_000
#: What is drawn for a path's variable: the id of something that there is.
THE_ID: Final = b"*"


async def _nobody(scope: Scope, receive: Receive, send: Send) -> None:
    """A provider that answers everything with 404."""
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class Served:
    """The plugin, and somebody who is logged in, has a phone and has begun a login."""

    def __init__(self) -> None:
        settings = make_settings(
            limits=LimitSettings(**dict.fromkeys(LimitSettings.model_fields, 10**9)),
            webauthn={"enabled": True},
            embed={"tenants": {"shop": {"origins": ["https://shop.example"], "token_urls": ["https://shop.example/"]}}},
            oidc={
                "providers": {
                    "op": {
                        "issuer": _PROVIDER,
                        "client_id": "shop",
                        "client_secret": "s3cret",
                        "metadata": _METADATA,
                        "jwks": {"keys": []},
                    }
                }
            },
        )
        transport = httpx2.ASGITransport(app=_nobody)
        self._useid = UseID(settings, eid_server=ScriptedEIDServer(), transport=transport)
        self.app = UseIDMiddleware(host_app, useid=self._useid)
        self._runner = asyncio.Runner()
        self.routes: list[str] = list(self._useid.router.routes)
        self.answered = 0
        self.ids, self.cookies = self._runner.run(self._begin())

    async def _begin(self) -> tuple[dict[str, str], dict[str, str]]:
        owner = Browser(self.app, host=HOST)
        await owner.send("GET", "/as/alice")
        device = await Phone(self.app, server=f"{ORIGIN}/auth").enrol(owner)
        started = (await owner.post("/eid/start", {"mode": "standard"})).json()
        ids = {
            "/session/": (await owner.post("/session/create")).json()["sessionId"],
            "/devices/enrol/": (await owner.post("/devices/enrol")).json()["enrolmentId"],
            "/devices/": device["id"],
            "/eid/session/": started["sessionId"],
            "/eid/phone/": started["startUrl"].rpartition("/")[2],
        }
        return ids | {"/plain/": ids["/session/"]}, dict(owner.cookies)

    def close(self) -> None:
        """Let it end."""
        self._runner.run(self._useid.stop())
        self._runner.close()

    def request(
        self, route: str, variable: bytes, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> int:
        """The status of the answer."""
        self.answered += 1
        method, _, path = route.partition(" ")
        known = next((name for begin, name in self.ids.items() if path.startswith(begin)), "A" * 22)
        drawn = known.encode() if variable == THE_ID else variable.replace(b"/", b"") or b"x"
        filled = "/".join(drawn.decode("utf-8", "replace") if each[:1] == "{" else each for each in path.split("/"))
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items()).encode()
        defaults = [(b"host", HOST.encode()), (b"origin", ORIGIN.encode()), (b"cookie", cookie)]
        given = {name for name, _ in headers}
        scope = Browser(self.app, host=HOST).scope(method, f"/auth{filled}", {}) | {
            "query_string": query,
            "headers": [*(each for each in defaults if each[0] not in given), *headers],
        }
        return self._runner.run(self._send(scope, body))

    async def _send(self, scope: dict[str, Any], body: bytes) -> int:
        messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[Mapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message: Mapping[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return int(sent[0]["status"])


@cache
def _holder() -> list[Served]:
    return []


def served() -> Served:
    """The plugin of this process; a new one from time to time."""
    holder = _holder()
    if holder and holder[0].answered >= _LIFE:
        holder.pop().close()
    if not holder:
        holder.append(Served())
    return holder[0]


def answer_request(data: bytes) -> None:
    """Any request."""
    plugin = served()
    number, _, rest = data.partition(b"\n")
    variable, query, head, body = ([*rest.split(b"\n\n", 3), b"", b"", b""])[:4]
    lines = [line.partition(b":") for line in head.split(b"\n") if b":" in line]
    headers = [(name.strip().lower(), value.strip()) for name, _, value in lines]
    _answer(plugin, plugin.routes[_number(number) % len(plugin.routes)], variable, query, headers, body)


def answer_body(data: bytes) -> None:
    """Any JSON for a route that takes some, by somebody who is logged in."""
    plugin = served()
    number, _, body = data.partition(b"\n")
    routes = routes_with_bodies(plugin)
    route = routes[_number(number) % len(routes)]
    _answer(plugin, route, THE_ID, b"", [(b"content-type", b"application/json")], body)


def routes_with_bodies(plugin: Served) -> list[str]:
    """The routes that something is sent to."""
    return [route for route in plugin.routes if route.partition(" ")[0] not in ("GET", "DELETE")]


def _answer(
    plugin: Served, route: str, variable: bytes, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    status = plugin.request(route, variable, query, headers, body)
    assert 200 <= status < 600, (route, status)
    assert status != 500, route


def _number(digits: bytes) -> int:
    return int.from_bytes(digits[-2:], "big")


def whole_requests() -> list[bytes]:
    """A request for each route, as its callers make them."""
    query = (
        b"return=/orders&level=L2&provider=op&state=x&code=y&iss=https://op.example&id=shop&origin=https://shop.example"
    )
    head = b'last-event-id: 1\naccept-language: de;q=0.8, en\nif-none-match: "x"\nuser-agent: Mozilla/5.0 Chrome/1'
    form = b"content-type: application/x-www-form-urlencoded"
    count = len(served().routes)
    gets = [b"\n\n".join((b"%c\n*" % number, query, head, b"")) for number in range(count)]
    return gets + [b"\n\n".join((b"%c\n*" % number, b"", form, query)) for number in range(count)]


def whole_bodies() -> list[bytes]:
    """JSON with every member that there is, of the right type."""
    whole: dict[str, Any] = {
        "type": "scan",
        "keyId": b64url(bytes(16)),
        "frame": b64url(bytes(8)),
        "sessionId": b64url(bytes(16)),
        "publicKey": b64url(bytes(32)),
        "signature": b64url(bytes(64)),
        "issuedAt": 1,
        "label": "Pixel",
        "code": "123456",
        "appName": "",
        "returnUrl": "/",
        "mode": "standard",
        "tenant": "",
        "tcTokenUrl": "",
        "ceremonyId": b64url(bytes(16)),
        "username": "alice",
        "widgetSessionId": b64url(bytes(16)),
        "sealedRefreshUrl": "A" * 80,
        "attestationFormats": ["packed"],
        "credential": {
            "id": "AAAA",
            "rawId": "AAAA",
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": "e30",
                "authenticatorData": "AAAA",
                "signature": "AAAA",
                "userHandle": "AAAA",
            },
        },
    }
    body = json.dumps(whole).encode()
    return [b"%c\n%s" % (number, body) for number in range(len(routes_with_bodies(served())))]
