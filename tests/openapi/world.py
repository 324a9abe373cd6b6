"""A plugin with everything that there is, in the process, and everybody who is needed to walk its calls."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Final
from urllib.parse import urlencode, urlsplit

import httpx2

from tests.actors import Browser, Phone
from tests.hosts.people import use_card_here
from tests.oidc.world import KEYS
from tests.openapi.checking import Checked, Description
from tests.qr.conftest import make_settings
from useid_middleware import Identity, LimitSettings, UseID, UseIDMiddleware, login
from useid_middleware.emulation.client.flow import Outcome
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.emulation.provider.clients import Client
from useid_middleware.emulation.provider.realm import Post
from useid_middleware.emulation.server.soap_keys import CLIENT, prepare_key
from useid_middleware.http.asgi import ASGIApp, Receive, Scope, Send
from useid_middleware.oidc.keygen import new_client_keys

HOST: Final = "localhost:8000"
ORIGIN: Final = f"http://{HOST}"
ISSUER: Final = "http://127.0.0.1:9000"
#: Limits are out of the way.
ENOUGH: Final = 10**9
#: Of whoever asks for the metrics.
TOKEN: Final = "a token of tests"
FORM: Final = "application/x-www-form-urlencoded"
SHOP: Final = {"origins": ("https://shop.example",), "token_urls": ("https://shop.example/eid/",)}
SHOP_AT_PROVIDER: Final = Client(
    client_id="shop",
    client_secret="a secret of tests",
    redirect_uris=(f"{ORIGIN}/auth/callback/op",),
    post_logout_redirect_uris=(f"{ORIGIN}/auth/logout/done",),
    backchannel_logout_uri=f"{ORIGIN}/auth/backchannel-logout",
    backchannel_logout_session_required=True,
)
#: Of a provider that nobody asks.
METADATA: Final = {
    "authorization_endpoint": "http://127.0.0.1:9001/authorize",
    "token_endpoint": "http://127.0.0.1:9001/token",
    "jwks_uri": "http://127.0.0.1:9001/jwks",
    "response_types_supported": ["code"],
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["RS256"],
}


async def host_app(scope: Scope, receive: Receive, send: Send) -> None:
    """An app with a login of its own at /as/{name}; elsewhere it says who is there."""
    if scope["path"].startswith("/as/"):
        name = scope["path"].removeprefix("/as/")
        await login(SimpleNamespace(scope=scope), Identity("host", name, username=name))
    told = {"name": scope["user"].display_name, "scopes": scope["auth"].scopes, "root": scope["root_path"]}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})


def everything(pki: Path, folder: Path, *, assurance: str = "L1", post: Post | None = None) -> tuple[UseID, Provider]:
    """All ways to log in, and every setting that serves a further call; ``folder`` is for keys.

    ``post`` is how the provider calls us. Of two providers one answers; the other is there for the request objects that
    it would fetch.
    """
    service = prepare_key(folder / "services", CLIENT, now=datetime.now(UTC)).certificate_file
    provider = Provider(ISSUER, clients=[SHOP_AT_PROVIDER], keys=KEYS, post=post)
    known = {"issuer": ISSUER, "client_id": "shop", "client_secret": SHOP_AT_PROVIDER.client_secret}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "keys.json").write_bytes(new_client_keys()[0])
    silent = "http://127.0.0.1:9001"
    by_reference = known | {
        "issuer": silent,
        "request_object": "reference",
        "private_keys": folder / "keys.json",
        "metadata": METADATA | {"issuer": silent},
        "jwks": {"keys": []},
    }
    settings = make_settings(
        limits=LimitSettings(**dict.fromkeys(LimitSettings.model_fields, ENOUGH)),
        qr={"assurance": assurance, "waiting_limit": ENOUGH},
        eid={
            "server": "embedded",
            "pki": str(pki),
            "soap_clients": (service,),
            "required": ["RestrictedID", "GivenNames"],
            "username": "GivenNames",
            "waiting_limit": ENOUGH,
        },
        embed={"tenants": {"shop": SHOP}},
        oidc={"providers": {"op": known, "other": by_reference}},
        webauthn={"enabled": True},
        metrics={"path": "/metrics", "token": TOKEN},
    )
    return UseID(settings, transport=httpx2.ASGITransport(app=provider)), provider


@dataclass
class Everybody:
    """The app, held against its description, and who uses it; also a place as :mod:`tests.hosts.people` knows it."""

    app: ASGIApp
    useid: UseID
    provider: Provider
    description: Description
    pki: Path
    url: str = ORIGIN

    def browser(self, *, ip: str = "192.0.2.1") -> Browser:
        """A browser without cookies."""
        return Browser(self.app, ip=ip, host=HOST)

    def phone(self) -> Phone:
        """A phone with a key of its own, enrolled nowhere."""
        return Phone(self.app, server=f"{ORIGIN}/auth")

    async def log_in(self, name: str = "alice") -> Browser:
        """A browser that the host app logged in."""
        browser = self.browser()
        await browser.send("GET", f"/as/{name}")
        return browser

    async def enrolled_phone(self, name: str = "alice") -> Phone:
        """A phone of this user."""
        phone = self.phone()
        await phone.enrol(await self.log_in(name))
        return phone

    def at_provider(self) -> httpx2.AsyncClient:
        """The same browser as the OpenID provider sees it."""
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self.provider))

    async def use_card(self, tc_token_url: str) -> Outcome:
        """An eID client with Erika's card."""
        return await use_card_here(tc_token_url, pki=self.pki, client=self.browser(ip="198.51.100.7"))


@asynccontextmanager
async def opened(pki: Path, folder: Path, *, assurance: str = "L1") -> AsyncIterator[Everybody]:
    """Everybody, for the length of a block."""
    made: list[Everybody] = []

    async def post(url: str, form: Mapping[str, str]) -> int:
        body = urlencode(form).encode()
        return (await made[0].browser().send("POST", urlsplit(url).path, body, {"content-type": FORM})).status

    useid, provider = everything(pki, folder, assurance=assurance, post=post)
    description = Description.of(useid)
    app = Checked(UseIDMiddleware(host_app, useid=useid), description)
    made.append(Everybody(app, useid, provider, description, pki))
    try:
        yield made[0]
    finally:
        await useid.stop()
