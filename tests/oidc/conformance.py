"""How the modules of the OpenID conformance suite are played: our relying party against the provider that lies.

A module is a test whose id is the plan and the module's full name in the suite. It opens a world in which the
provider misbehaves as the module says, and looks at what the relying party does; when the world closes, ``wire`` looks
at each request that was sent, as the suite does.
"""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey, KeyParameters, RSAKey

from tests.actors import Answer, Browser
from tests.oidc.wire import check_wire, token_requests, userinfo_requests
from tests.oidc.world import CLIENT, ISSUER, World, open_world
from useid_middleware import LoginCompleted, LoginFailed, UserCreated
from useid_middleware.emulation.provider.clients import Client
from useid_middleware.emulation.provider.policy import Policy
from useid_middleware.oidc.core.dpop import dpop_key_from, dpop_proof

OIDCC = "oidcc-client-test"
FAPI = "fapi2-security-profile-final-client-test"
#: The one module of the FAPI plans whose name does not begin as those of its siblings.
FAPI_REFRESH = "fapi2-security-profile-final-client-refresh-token-test"

#: The status of the page that a person sees, by the code of what went wrong.
STATUSES: Mapping[str, int] = {
    "authorization_refused": 403,
    "callback_invalid": 400,
    "state_mismatch": 303,  # The login begins anew.
}


def plays(plan: str, *modules: str) -> pytest.MarkDecorator:
    """A test that plays these modules, each as it is in each of the plans (which have spaces between them).

    Modules are named without the prefix of their suite; an empty one is the plain test.
    """
    return pytest.mark.parametrize(
        ("plan", "module"),
        [pytest.param(each, name, id=f"{each}:{full_name(each, name)}") for each in plan.split() for name in modules],
    )


def full_name(plan: str, module: str) -> str:
    """What the suite calls a module."""
    if plan == "asked-here":
        return module
    if plan.startswith("fapi2"):
        return FAPI_REFRESH if module == "refresh-token" else f"{FAPI}-{module}"
    return f"{OIDCC}-{module}" if module else OIDCC


@dataclass(frozen=True)
class Setup:
    """Who we are to the provider: its registration, our settings, and what it must see of them."""

    client: Client = CLIENT
    policy: Policy = field(default_factory=Policy)
    provider: Mapping[str, Any] = field(default_factory=dict)
    scope: str = "openid profile email"
    response_mode: str = ""

    @property
    def response_type(self) -> str:
        """The settings' response type."""
        return str(self.provider.get("response_type", "code"))


CODE = Setup()
FORM_POST = Setup(provider={"response_mode": "form_post"}, response_mode="form_post")
HYBRID = Setup(provider={"response_type": "code id_token"}, response_mode="form_post")
#: Hears of no logout.
QUIET = replace(CLIENT, backchannel_logout_uri="", frontchannel_logout_uri="")
#: Is given refresh tokens without asking for them.
REFRESHING = Setup(policy=Policy(refresh_tokens="always"))
#: HS256 needs a secret of 32 bytes.
LONG_SECRET = "a client's secret of more than thirty-two bytes: %/+"
SETUPS: Mapping[str, Setup] = {"basic": CODE, "form_post": FORM_POST, "hybrid": HYBRID}


@asynccontextmanager
async def playing(*faults: str, setup: Setup = CODE, **values: Any) -> AsyncIterator[World]:
    """A world whose provider has these faults; whatever was sent in it is checked in the end."""
    world = await open_world(client=setup.client, policy=setup.policy, provider=setup.provider, **values)
    world.provider.inject(*faults)
    try:
        yield world
    finally:
        await world.close()
    check_wire(world, scope=setup.scope, response_type=setup.response_type, response_mode=setup.response_mode)


async def logs_in(world: World, browser: Browser | None = None, **how: Any) -> Browser:
    """A login that succeeds: the browser, with whom everybody agrees that Ada sits before it."""
    before = len(world.told(LoginCompleted))
    browser = browser or world.browser()
    answer = await world.log_in(browser, **how)
    assert (answer.status, answer.header("location")) == (303, "/"), answer.body
    assert await world.who(browser) == "ada"
    done = world.told(LoginCompleted)
    assert len(done) == before + 1
    assert done[-1].provider == ISSUER
    assert not world.told(LoginFailed)
    return browser


async def is_refused(
    world: World,
    code: str,
    words: str,
    log: pytest.LogCaptureFixture,
    *,
    error: str = "",
    asks_userinfo: int = 0,
    asks_token: int | None = None,
) -> Answer:
    """A login that fails with ``code``: the log and the listeners hear of it, the person is told, nobody is logged in.

    ``words`` are those of the log behind the code, ``error`` the provider's own code. Of the provider, userinfo was
    asked so often and the token endpoint, where ``asks_token`` is given, so often, on top of what it was before.
    """
    browser = world.browser()
    tokens, userinfos = len(token_requests(world)), len(userinfo_requests(world))
    completed = len(world.told(LoginCompleted))
    answer = await world.log_in(browser)
    assert answer.status == STATUSES.get(code, 502), answer.body
    assert answer.header("cache-control") == "no-store"
    assert "useid-session" not in browser.cookies
    assert await world.who(browser) == ""
    assert answer.status == 303 or f"<code>{code}</code>".encode() in answer.body
    failed = world.told(LoginFailed)[-1]
    assert (failed.code, failed.provider, failed.error) == (code, ISSUER, error)
    assert f"login at provider op failed: {code}: {words}" in log.text
    assert len(world.told(LoginCompleted)) == completed
    assert len(userinfo_requests(world)) == userinfos + asks_userinfo
    if asks_token is not None:
        assert len(token_requests(world)) == tokens + asks_token
    assert not [record for record in log.records if record.levelno >= logging.ERROR]
    return answer


def claims_told(world: World) -> Mapping[str, Any]:
    """What the app learned of the person at their first login."""
    [created] = world.told(UserCreated)
    claims: Mapping[str, Any] = created.claims
    return claims


async def call_userinfo(world: World, browser: Browser) -> httpx2.Response:
    """The host app calls an API, the userinfo endpoint, with the session's access token as it is meant to be used."""
    scope = browser.scope("GET", "/", {})
    await world.app.useid.authenticate(scope)
    token = await scope["auth"].token()
    client = next(iter(world.provider.realm.clients.values()))
    path = "/mtls/userinfo" if client.tls_client_certificate_bound_access_tokens else "/userinfo"
    headers = {"authorization": f"{token.kind} {token.value}"}
    if token.key:
        headers["dpop"] = dpop_proof(
            dpop_key_from(token.key),
            method="GET",
            url=ISSUER + path,
            now=int(world.clock()),
            jti=f"of the app {len(world.provider.requests)}",
            access_token=token.value,
            nonce=world.provider.realm.dpop_nonce,
        )
    async with world.at_provider() as api:
        return await api.get(ISSUER + path, headers=headers)


@cache
def client_keys(algorithm: str) -> tuple[bytes, dict[str, Any]]:
    """A key of ours for ``algorithm``: private, to be kept in a file, and public, to be registered, as JWK Sets."""
    named: KeyParameters = {"alg": algorithm, "use": "sig", "kid": f"ours-{algorithm}"}
    key = ECKey.generate_key("P-256", named) if algorithm == "ES256" else RSAKey.generate_key(2048, named)
    private, public = ({"keys": [key.as_dict(private=is_private)]} for is_private in (True, False))
    return json.dumps(private).encode(), public


def keys_file(folder: Path, document: bytes) -> Path:
    """Our private keys where the settings look for them."""
    path = folder / "client-keys.json"
    path.write_bytes(document)
    return path


def seen_id_tokens(world: World) -> list[str]:
    """The ID tokens that listeners are handed with a new user, from now on."""
    tokens: list[str] = []
    world.events.on(UserCreated)(lambda event: tokens.append(event.tokens.id_token))
    return tokens
