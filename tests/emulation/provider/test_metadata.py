"""What the provider says about itself, registers and remembers."""

import asyncio
from typing import Any

import pytest

from tests.emulation.provider.world import ISSUER, World, a_client
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.emulation.provider.clients import DEMO
from useid_middleware.emulation.provider.driver import approve
from useid_middleware.http.asgi import Message


async def test_the_metadata_names_endpoints_that_are_there() -> None:
    world = World()
    document = (await world.machine.get("/.well-known/openid-configuration")).json()
    assert document["issuer"] == ISSUER
    endpoints = {name: url for name, url in document.items() if name.endswith(("_endpoint", "_uri", "_iframe"))}
    assert len(endpoints) == 11
    for url in endpoints.values():
        assert (await world.machine.get(url)).status_code != 404, url


async def test_the_keys_are_public_and_each_has_its_use() -> None:
    world = World()
    keys = (await world.machine.get("/jwks")).json()["keys"]
    assert [(key["kty"], key["use"]) for key in keys] == [("RSA", "sig"), ("EC", "sig"), ("OKP", "sig"), ("EC", "enc")]
    assert all("d" not in key for key in keys)
    assert len({key["kid"] for key in keys}) == 4


async def test_rotated_keys_replace_the_published_ones_and_old_hints_still_count() -> None:
    world = World()
    before = {key["kid"] for key in (await world.machine.get("/jwks")).json()["keys"] if key["use"] == "sig"}
    token = (await world.tokens())["id_token"]
    world.provider.rotate_keys()
    after = {key["kid"] for key in (await world.machine.get("/jwks")).json()["keys"] if key["use"] == "sig"}
    assert before.isdisjoint(after)
    await world.decode((await world.tokens())["id_token"])
    assert "code" in (await world.redirected(prompt="none", id_token_hint=token)).params


@pytest.mark.parametrize("resource", ["acct:ada@op.example", "https://op.example/ada"])
async def test_webfinger_names_the_issuer(resource: str) -> None:
    world = World()
    rel = "http://openid.net/specs/connect/1.0/issuer"
    response = await world.machine.get("/.well-known/webfinger", params={"resource": resource, "rel": rel})
    assert response.headers["content-type"] == "application/jrd+json"
    assert response.json() == {"subject": resource, "links": [{"rel": rel, "href": ISSUER}]}
    other = await world.machine.get("/.well-known/webfinger", params={"resource": resource, "rel": "other"})
    assert other.json()["links"] == []
    assert (await world.machine.get("/.well-known/webfinger")).status_code == 400


async def test_a_client_that_registers_can_log_people_in() -> None:
    world = World()
    metadata = {"redirect_uris": ["https://new.example/cb"], "client_name": "New", "unknown": 1, "loopback": True}
    response = await world.machine.post("/register", json=metadata)
    assert response.status_code == 201
    client: dict[str, Any] = response.json()
    assert client["client_secret_expires_at"] == 0
    assert not world.provider.realm.clients[client["client_id"]].loopback
    arrival = await world.log_in(client_id=client["client_id"], redirect_uri="https://new.example/cb")
    auth = (client["client_id"], client["client_secret"])
    form = {"grant_type": "authorization_code", "code": arrival.params["code"]}
    form |= {
        "redirect_uri": "https://new.example/cb",
        "code_verifier": "the-verifier-of-the-test-is-43-characters-long",
    }
    assert (await world.token(form, auth=auth)).status_code == 200


async def test_a_client_that_needs_no_secret_gets_none() -> None:
    metadata = {"redirect_uris": ["app.example:/cb"], "token_endpoint_auth_method": "none"}
    client = (await World().machine.post("/register", json=metadata)).json()
    assert "client_secret" not in client
    assert client["token_endpoint_auth_method"] == "none"


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ({}, "invalid_redirect_uri"),
        ({"redirect_uris": ["/relative"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://a.example/#x"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": "https://a.example/"}, "invalid_client_metadata"),
        ({"redirect_uris": ["https://a.example/"], "token_endpoint_auth_method": "x"}, "invalid_client_metadata"),
        ({"redirect_uris": ["https://a.example/"], "id_token_signed_response_alg": "none"}, "invalid_client_metadata"),
        ([], "invalid_client_metadata"),
    ],
)
async def test_metadata_that_makes_no_sense_is_refused(metadata: Any, error: str) -> None:
    response = await World().machine.post("/register", json=metadata)
    assert (response.status_code, response.json()["error"]) == (400, error)


async def test_registration_takes_json_alone() -> None:
    response = await World().machine.post("/register", data={"redirect_uris": "https://a.example/"})
    assert response.json()["error"] == "invalid_client_metadata"


async def test_the_provider_remembers_what_it_was_asked() -> None:
    world = World()
    document = await world.tokens()
    await world.userinfo(document["access_token"])
    (asked,) = world.provider.received("/authorize")
    assert (asked.method, asked.param("client_id")) == ("GET", "rp")
    (exchanged,) = world.provider.received("/token")
    assert (exchanged.authorization_scheme, exchanged.param("grant_type")) == ("Basic", "authorization_code")
    assert world.provider.requests[-1].authorization_scheme == "Bearer"
    assert world.provider.requests[-1].query == []
    assert world.provider.received("/nowhere") == []


async def test_unknown_addresses_methods_and_large_bodies_are_refused() -> None:
    world = World()
    assert (await world.machine.get("/nowhere")).status_code == 404
    assert (await world.machine.get("/static/../app.py")).status_code == 404
    assert (await world.machine.get("/token")).status_code == 405
    assert (await world.machine.post("/token", content=b"x" * 20_000)).status_code == 413


@pytest.mark.parametrize("name", ["provider.css", "check-session.js", "form-post.js", "logout.js"])
async def test_the_pages_files_are_served(name: str) -> None:
    response = await World().machine.get(f"/static/{name}")
    assert response.status_code == 200
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_the_check_session_iframe_may_be_framed_by_anybody_and_runs_one_script() -> None:
    world = World()
    response = await world.machine.get("/check-session")
    policy = response.headers["content-security-policy"]
    assert "frame-ancestors *" in policy
    assert "script-src 'self'" in policy
    await world.log_in()
    (state_cookie,) = [name for name in world.browser.cookies if "state" in name]
    assert f'data-cookie="{state_cookie}"' in response.text


async def test_other_pages_may_not_be_framed() -> None:
    world = World()
    response = await world.browser.get(world.authorization_url(), follow_redirects=True)
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]


async def test_two_providers_on_one_host_do_not_share_cookies() -> None:
    one, two = World(issuer="http://127.0.0.1:9001"), World(issuer="http://127.0.0.1:9002")
    await one.log_in()
    await two.log_in()
    assert set(one.browser.cookies).isdisjoint(two.browser.cookies)


async def test_the_demo_client_works_out_of_the_box() -> None:
    provider = Provider("http://127.0.0.1:9000")
    world = World([DEMO], issuer="http://127.0.0.1:9000")
    url = world.authorization_url(client_id="demo", redirect_uri="http://localhost:8000/auth/callback")
    arrival = await approve(world.browser, url)
    form = {"grant_type": "authorization_code", "code": arrival.params["code"]}
    form |= {
        "redirect_uri": "http://localhost:8000/auth/callback",
        "code_verifier": "the-verifier-of-the-test-is-43-characters-long",
    }
    assert (await world.token(form, auth=("demo", "demo-secret"))).status_code == 200
    assert list(provider.realm.clients) == ["demo"]


async def test_a_client_can_be_added_later() -> None:
    world = World([])
    world.provider.add_client(a_client())
    assert "code" in (await world.log_in()).params


async def test_lifespan_and_websockets_are_answered() -> None:
    provider = World().provider
    sent: list[Message] = []
    incoming = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}, {"type": "websocket.connect"}])

    async def receive() -> Message:
        return next(incoming)

    async def send(message: Message) -> None:
        sent.append(message)

    await provider({"type": "lifespan"}, receive, send)
    await provider({"type": "websocket", "path": "/"}, receive, send)
    kinds = [message["type"] for message in sent]
    assert kinds == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]


async def test_many_logins_at_once_all_succeed() -> None:
    world = World()

    async def one(number: int) -> int:
        browser = world.new_browser()
        arrival = await approve(browser, world.authorization_url(state=str(number)), person="grace")
        assert arrival.params["state"] == str(number)
        return (await world.exchange(arrival)).status_code

    assert set(await asyncio.gather(*(one(number) for number in range(50)))) == {200}
