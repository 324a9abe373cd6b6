"""Each fault of an answer does what its name says: documents, whole HTTP answers, what passes through the browser."""

import asyncio
import gzip
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from tests.emulation.provider.world import CALLBACK, ISSUER, Prover, World, a_client, unverified
from useid_middleware.emulation.provider.answer_faults import (
    ANSWER_FAULTS,
    BROWSER_FAULTS,
    DOCUMENT_FAULTS,
    HUGE,
    MARKUP,
)
from useid_middleware.emulation.provider.driver import read_frames
from useid_middleware.emulation.provider.faults import FAULTS
from useid_middleware.http.asgi import Message

Document = Mapping[str, Any]
DISCOVERY_PATH: Final = "/.well-known/openid-configuration"

#: Words with hyphens in the list that name no module.
PROSE: Final = {"back-channel", "front-channel"}
#: Modules whose names are no fault: what they ask for is how the provider is configured, or what a test does with it.
ABILITIES: Final = {
    "idtoken-sig-rs256",
    "scope-userinfo-claims",
    "client-secret-basic",
    "discovery-openid-config",
    "discovery-jwks-uri-keys",
    "discovery-webfinger-acct",
    "discovery-webfinger-url",
    "dynamic-registration",
    "request-uri-signed-rs256",
    "userinfo-signed",
    "nonce-unless-code-flow",
    "refresh-token",
    "3rd-party-init-login",
    "rp-init-logout",
    "rp-backchannel-rpinitlogout",
    "rp-frontchannel-rpinitlogout",
    "rp-frontchannel-opinitlogout",
    "session-management",
    "happy-path",
    "happy-path-no-dpop-nonce",
}


def test_every_module_of_the_conformance_list_is_a_fault_or_an_ability(vectors: Path) -> None:
    text = (vectors / "oidc_client_conformance.md").read_text().partition("What is asked:")[0]
    words = re.findall(r"-?[a-z0-9_]+(?:-[a-z0-9_]+)+", re.sub("`[^`]*`", "", text))
    # Some modules of a row are written as endings of the one before them.
    names = {f"ensure-jarm{word}" if word.endswith("-fails") and word[0] == "-" else word.lstrip("-") for word in words}
    assert names - PROSE - ABILITIES - set(FAULTS) == set()
    assert len(names & set(FAULTS)) >= 50


DOCUMENTS: Final[Mapping[str, Callable[[Document], bool]]] = {
    "discovery-issuer-mismatch": lambda document: document["issuer"] == "https://issuer.invalid",
    "discovery-missing-issuer": lambda document: "issuer" not in document,
    "discovery-missing-endpoints": lambda document: "token_endpoint" not in document and "jwks_uri" not in document,
    "discovery-lists-alg-none": lambda document: document["id_token_signing_alg_values_supported"] == ["none"],
    "discovery-foreign-endpoints": lambda document: document["token_endpoint"].startswith("http://192.0.2.1"),
    "mtls-endpoint-aliases": lambda document: (
        document.get("mtls_endpoint_aliases", {}).get("token_endpoint") == f"{ISSUER}/mtls/token"
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_a_fault_of_the_metadata(name: str) -> None:
    world = World()
    assert not DOCUMENTS[name]((await world.machine.get(DISCOVERY_PATH)).json())
    world.provider.inject(name)
    assert DOCUMENTS[name]((await world.machine.get(DISCOVERY_PATH)).json())


async def test_the_aliases_for_mutual_tls_work_and_are_told_apart() -> None:
    world = World()
    arrival = await world.log_in()
    form = {"grant_type": "client_credentials"}
    response = await world.machine.post("/mtls/token", data=form, auth=("rp", a_client().client_secret))
    assert response.status_code == 200
    assert len(world.provider.received("/mtls/token")) == 1
    assert world.provider.received("/token") == []
    assert arrival.params["code"]


async def test_faults_of_the_jwk_set() -> None:
    world = World()
    world.provider.inject("jwks-odd-keys")
    keys = (await world.machine.get("/jwks")).json()["keys"]
    assert len(keys) == 9
    assert None in keys
    world.provider.inject("jwks-no-keys")
    assert (await world.machine.get("/jwks")).json() == {"keys": []}


TOKEN_RESPONSES: Final[Mapping[str, Callable[[Document], bool]]] = {
    "token-endpoint-response-without-expires_in": lambda document: "expires_in" not in document,
    "token-response-without-id-token": lambda document: "id_token" not in document,
    "token-response-without-access-token": lambda document: "access_token" not in document,
    "token-response-without-refresh-token": lambda document: "refresh_token" not in document,
    "token-response-expires-soon": lambda document: document["expires_in"] == 5,
    "token-response-odd-expires_in": lambda document: document["expires_in"] == "soon",
    "token-type-case-insensitivity": lambda document: document["token_type"] == "bEARER",
    "token-type-unknown": lambda document: document["token_type"] == "mac",
}


@pytest.mark.parametrize("name", TOKEN_RESPONSES)
async def test_a_fault_of_the_token_response(name: str) -> None:
    world = World()
    assert not TOKEN_RESPONSES[name](await world.tokens())
    world.provider.inject(name)
    assert TOKEN_RESPONSES[name](await world.tokens())


async def userinfo(world: World) -> httpx2.Response:
    return await world.userinfo((await world.tokens())["access_token"])


async def test_faults_of_the_userinfo_claims() -> None:
    world = World()
    world.provider.inject("userinfo-invalid-sub")
    assert (await userinfo(world)).json()["sub"] == "ada-1815-other"
    world.provider.clear()
    world.provider.inject("userinfo-missing-sub")
    assert "sub" not in (await userinfo(world)).json()


async def test_aggregated_and_distributed_claims_can_be_resolved() -> None:
    world = World()
    world.provider.inject("aggregated-claims")
    document = (await userinfo(world)).json()
    assert document["_claim_names"] == {"credit_score": "one"}
    _, claims = await world.decode(document["_claim_sources"]["one"]["JWT"])
    assert claims["credit_score"] == 650
    world.provider.clear()
    world.provider.inject("distributed-claims")
    source = (await userinfo(world)).json()["_claim_sources"]["one"]
    assert (await world.machine.get(source["endpoint"])).status_code == 401
    headers = {"authorization": f"Bearer {source['access_token']}"}
    _, claims = await world.decode((await world.machine.get(source["endpoint"], headers=headers)).text)
    assert claims["credit_score"] == 650


CALLBACKS: Final[Mapping[str, Callable[[dict[str, str]], bool]]] = {
    "form-post-error": lambda params: params["error"] == "server_error" and "code" not in params,
    "authorization-error": lambda params: params["error_description"] == MARKUP and "code" not in params,
    "authorization-error-unknown": lambda params: params["error"] == "<b>odd</b>",
    "invalid-authorization-response-iss": lambda params: params["iss"] == "https://issuer.invalid",
    "remove-authorization-response-iss": lambda params: "iss" not in params,
    "ensure-authorization-response-with-invalid-state-fails": lambda params: params["state"] == "state-1x",
    "ensure-authorization-response-with-invalid-missing-state-fails": lambda params: "state" not in params,
    "missing-code": lambda params: "code" not in params,
    "invalid-code": lambda params: params["code"].endswith("x") and len(params["code"]) == 33,
    "foreign-parameters": lambda params: params["unexpected"] == MARKUP,
    "huge-state": lambda params: len(params["state"]) > 100_000,
}


@pytest.mark.parametrize("mode", ["query", "form_post"])
@pytest.mark.parametrize("name", CALLBACKS)
async def test_a_fault_of_the_way_back(name: str, mode: str) -> None:
    world = World()
    world.provider.inject(name)
    arrival = await world.log_in(response_mode=mode)
    assert arrival.url.startswith(CALLBACK)
    assert CALLBACKS[name](arrival.params)


async def test_a_fault_of_the_way_back_is_inside_a_signed_response_as_well() -> None:
    world = World()
    world.provider.inject("ensure-authorization-response-with-invalid-state-fails")
    arrival = await world.log_in(response_mode="jwt")
    assert unverified(arrival.params["response"])[1]["state"] == "state-1x"


async def test_duplicated_parameters_come_twice() -> None:
    world = World()
    world.provider.inject("duplicated-parameters")
    arrival = await world.log_in(response_mode="form_post")
    assert arrival.form is not None
    assert [name for name, _ in arrival.form].count("state") == 2
    assert [name for name, _ in arrival.form].count("code") == 2


@pytest.mark.parametrize(
    ("name", "query"), [("rp-init-logout-other-state", "?state=sx"), ("rp-init-logout-no-state", "")]
)
async def test_a_fault_of_the_return_from_a_logout(name: str, query: str) -> None:
    world = World()
    token = (await world.tokens())["id_token"]
    world.provider.inject(name)
    params = {"id_token_hint": token, "post_logout_redirect_uri": "https://rp.example/bye", "state": "s"}
    response = await world.browser.get("/end-session", params=params)
    assert response.headers["location"] == f"https://rp.example/bye{query}"


@pytest.mark.parametrize(
    ("name", "is_there"),
    [
        ("frontchannel-wrong-iss", lambda params: params["iss"] == "https://issuer.invalid"),
        ("frontchannel-wrong-sid", lambda params: params["sid"].endswith("x")),
        ("frontchannel-no-sid", lambda params: "sid" not in params),
    ],
)
async def test_a_fault_of_the_front_channel(name: str, is_there: Callable[[Any], bool]) -> None:
    uri = "https://rp.example/front"
    world = World([a_client(frontchannel_logout_uri=uri, frontchannel_logout_session_required=True)])
    token = (await world.tokens())["id_token"]
    world.provider.inject(name)
    page = await world.browser.get("/end-session", params={"id_token_hint": token})
    ((frame,), _) = read_frames(page.text)
    assert is_there(httpx2.URL(frame).params)


@pytest.mark.parametrize("seconds", [25, -25, 3600])
async def test_the_clock_can_be_wrong_by_any_number_of_seconds(seconds: int) -> None:
    world = World()
    world.provider.inject(f"clock-skew:{seconds}")
    assert world.provider.faults == (f"clock-skew:{seconds}",)
    _, claims = await world.decode((await world.tokens())["id_token"])
    assert claims["iat"] == world.now + seconds


async def test_userinfo_can_ask_for_a_nonce_in_another_case() -> None:
    world, prover = World(), Prover()
    world.provider.inject("rs-dpop-auth-scheme-case-insensitivity")
    arrival = await world.log_in()
    response = await world.exchange(arrival, proof=prover.proof("POST", f"{ISSUER}/token"))
    token, url = response.json()["access_token"], f"{ISSUER}/userinfo"
    headers = {"authorization": f"DPoP {token}", "dpop": prover.proof("GET", url, access_token=token)}
    response = await world.machine.get("/userinfo", headers=headers)
    assert response.headers["www-authenticate"].startswith('dPoP error="use_dpop_nonce"')
    nonce = response.headers["dpop-nonce"]
    headers["dpop"] = prover.proof("GET", url, access_token=token, nonce=nonce)
    assert (await world.machine.get("/userinfo", headers=headers)).status_code == 200


def test_every_other_fault_is_tried() -> None:
    tried = {*DOCUMENTS, *TOKEN_RESPONSES, "jwks-odd-keys", "jwks-no-keys", "userinfo-invalid-sub"}
    tried |= {"userinfo-missing-sub", "aggregated-claims", "distributed-claims"}
    assert tried | {"kid-absent-single-jwks", "kid-absent-multiple-jwks"} == set(DOCUMENT_FAULTS)
    tried = {*CALLBACKS, "duplicated-parameters", "rp-init-logout-other-state", "rp-init-logout-no-state"}
    tried |= {"frontchannel-wrong-iss", "frontchannel-wrong-sid", "frontchannel-no-sid"}
    assert tried | {"clock-skew", "rs-dpop-auth-scheme-case-insensitivity"} == set(BROWSER_FAULTS)


async def ask(world: World, endpoint: str) -> httpx2.Response:
    """A request to an endpoint that would be answered well; the answer's body is not unpacked."""
    if endpoint == "discovery":
        request = world.machine.build_request("GET", DISCOVERY_PATH)
    elif endpoint == "jwks":
        request = world.machine.build_request("GET", "/jwks")
    elif endpoint == "token":
        form = {"grant_type": "client_credentials"}
        return (
            await world.token(form)
            if world.provider.faults[0].partition("-")[0] != "compressed"
            else await _raw(world, httpx2.Request("POST", f"{ISSUER}/token", data=form))
        )
    else:
        active = world.provider.faults
        world.provider.clear()
        token = (await world.tokens())["access_token"]
        world.provider.inject(*active)
        headers = {"authorization": f"Bearer {token}"}
        request = world.machine.build_request("GET", "/userinfo", headers=headers)
    return await _raw(world, request)


async def _raw(world: World, request: httpx2.Request) -> httpx2.Response:
    response = await world.machine.send(request, stream=True)
    body = b"".join([chunk async for chunk in response.aiter_raw()])
    await response.aclose()
    headers = [(name, value) for name, value in response.headers.raw if name != b"content-encoding"]
    packed = [(b"x-encoding", response.headers.get("content-encoding", "").encode())]
    return httpx2.Response(response.status_code, headers=[*headers, *packed], content=body, request=request)


def _is_json_object(response: httpx2.Response) -> bool:
    try:
        return isinstance(response.json(), dict)
    except (ValueError, RecursionError):
        return False


ANSWERS: Final[Mapping[str, Callable[[httpx2.Response], bool]]] = {
    "huge": lambda response: len(response.content) > HUGE and _is_json_object(response),
    "compressed": lambda response: (
        response.headers["x-encoding"] == "gzip"
        and len(response.content) < 100_000 < len(gzip.decompress(response.content))
    ),
    "garbage": lambda response: not _is_json_object(response) and len(response.content) > 0,
    "empty": lambda response: response.content == b"",
    "array": lambda response: json.loads(response.content) == [],
    "deep": lambda response: response.content.count(b"[") == 100_000,
    "wrong-content-type": lambda response: (
        response.headers["content-type"] == "text/html" and _is_json_object(response)
    ),
    "failing": lambda response: response.status_code == 500,
    "down": lambda response: response.status_code == 503,
    "missing": lambda response: response.status_code == 404,
}
ENDPOINTS: Final = ("discovery", "jwks", "token", "userinfo")


def test_every_fault_of_an_answer_is_tried() -> None:
    kinds = {*ANSWERS, "slow", "hanging", "redirecting"}
    assert {f"{kind}-{endpoint}" for kind in kinds for endpoint in ENDPOINTS} == set(ANSWER_FAULTS)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("kind", ANSWERS)
async def test_a_fault_of_an_answer(kind: str, endpoint: str) -> None:
    world = World()
    world.provider.inject(f"{kind}-{endpoint}")
    response = await ask(world, endpoint)
    assert ANSWERS[kind](response)
    assert int(response.headers["content-length"]) == len(response.content)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_redirect_leads_to_a_good_copy(endpoint: str) -> None:
    world = World()
    world.provider.inject(f"redirecting-{endpoint}")
    response = await ask(world, endpoint)
    assert response.status_code == 307
    target = response.headers["location"]
    assert target.startswith(f"{ISSUER}/moved/")
    if endpoint in ("discovery", "jwks"):
        assert _is_json_object(await world.machine.get(target))


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_slow_answer_begins_and_does_not_end(endpoint: str) -> None:
    world = World()
    world.provider.inject(f"slow-{endpoint}")
    with pytest.raises(ConnectionResetError):  # What the test's clock does after three bytes, as a client would.
        await ask(world, endpoint)
    assert world.pauses == 4


@pytest.mark.parametrize("endpoint", ["discovery", "jwks"])
async def test_a_hanging_answer_ends_when_the_client_leaves(endpoint: str) -> None:
    world = World()
    world.provider.inject(f"hanging-{endpoint}")
    path = DISCOVERY_PATH if endpoint == "discovery" else "/jwks"
    left = asyncio.Event()
    incoming = [{"type": "http.request", "body": b"", "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        if incoming:
            return incoming.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    task = asyncio.ensure_future(world.provider(scope, receive, send))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not task.done()
    left.set()
    await task
    assert sent == []


@pytest.mark.parametrize("endpoint", ["token", "userinfo"])
async def test_a_hanging_answer_can_be_given_up(endpoint: str) -> None:
    world = World()
    world.provider.inject(f"hanging-{endpoint}")
    task = asyncio.ensure_future(ask(world, endpoint))
    for _ in range(200):
        await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
