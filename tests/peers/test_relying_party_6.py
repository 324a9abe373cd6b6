"""Our relying party at npm ``oidc-provider`` 6, which is older: no ``iss`` in the callback, other kinds of tokens."""

from typing import Any, Final

import pytest
from joserfc import jws

from tests.peers.people import visit_async
from tests.peers.providers import Peer, StartPeer
from tests.peers.relying import Listener
from tests.peers.relying import listener as listener
from tests.peers.sites import PEOPLE, OurKeys, Site, asked, make_our_keys, new_person, opened, registered
from tests.servers import free_port
from useid_middleware import BackchannelLogout, FrontchannelLogout, LoginSucceeded, SessionEnded, TokenRefreshed

ORIGIN: Final = f"http://127.0.0.1:{free_port()}"
HYBRID: Final[dict[str, Any]] = {
    "response_types": ["code id_token"],
    "grant_types": ["authorization_code", "implicit", "refresh_token"],
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> OurKeys:
    return make_our_keys(tmp_path_factory.mktemp("keys") / "keys.json")


@pytest.fixture(scope="module")
def op(start_provider6: StartPeer, keys: OurKeys, listener: Listener) -> Peer:
    """A provider with a client for each way; those of the tests below say which is theirs."""

    def back(address: str) -> dict[str, Any]:
        return {"backchannel_logout_uri": address, "backchannel_logout_session_required": True}

    return start_provider6(
        [
            registered(ORIGIN),
            registered(ORIGIN, "hybrid", **HYBRID),
            registered(ORIGIN, "signing", jwks=keys.public, request_object_signing_alg="ES256"),
            registered(
                ORIGIN,
                "encrypted",
                jwks=keys.public,
                id_token_encrypted_response_alg="ECDH-ES",
                userinfo_signed_response_alg="ES256",
            ),
            registered(ORIGIN, "back", **back(f"{ORIGIN}/auth/backchannel-logout")),
            registered(ORIGIN, "seen", **back(f"{listener.origin}/back")),
            registered(
                ORIGIN,
                "front",
                frontchannel_logout_uri=f"{ORIGIN}/auth/frontchannel-logout",
                frontchannel_logout_session_required=True,
            ),
        ],
        people=PEOPLE,
        ttl={"AccessToken": 20},
        # The app serves its request objects on this machine, where each has an address of its own.
        features={"requestObjects": {"request": True, "requestUri": True, "requireUriRegistration": False}},
    )


async def test_a_person_logs_in_without_an_issuer_in_the_callback(op: Peer) -> None:
    async with opened(op, ORIGIN) as site:
        browser = site.browser()
        arrival = await site.log_in(browser)
        assert asked(arrival.url).keys() == {"code", "state", "session_state"}
        assert await site.who(browser) == "ada analyst"
        # The session state is what the monitor asks the provider's iframe about.
        page = (await browser.get("/session-monitor")).body.decode()
        assert f'data-session-state="{asked(arrival.url)["session_state"]}"' in page
        assert f'<iframe src="{op.issuer}/session/check"' in page


async def test_a_fapi_2_profile_is_not_for_a_provider_without_pushed_requests(op: Peer, keys: OurKeys) -> None:
    settings: dict[str, Any] = {"profile": "fapi2", "dpop": True, "private_keys": keys.file}
    async with opened(op, ORIGIN, **settings) as site:
        answer = await site.browser().get("/login?provider=op")
        assert (answer.status, b"metadata_invalid" in answer.body) == (502, True)


async def test_a_hybrid_answer_comes_in_a_form(op: Peer) -> None:
    async with opened(op, ORIGIN, client_id="hybrid", response_type="code id_token") as site:
        browser = site.browser()
        arrival = await site.log_in(browser)
        assert arrival.form is not None
        assert arrival.form.keys() == {"code", "id_token", "state", "session_state"}
        assert await site.who(browser) == "ada analyst"


@pytest.mark.parametrize("way", ["value", "reference"])
async def test_a_signed_request_is_taken_from_the_address_and_fetched_from_us(
    op: Peer, keys: OurKeys, way: str
) -> None:
    settings: dict[str, Any] = {"request_object": way, "private_keys": keys.file, "max_age": 600}
    async with opened(op, ORIGIN, client_id="signing", **settings) as site, site.served():
        browser = site.browser()
        name = "request" if way == "value" else "request_uri"
        assert asked(await site.begin(browser)).keys() == {"response_type", "client_id", "scope", name}
        await site.log_in(browser)
        assert await site.who(browser) == "ada analyst"
        # What only the signed request asked for is there.
        assert site.told(LoginSucceeded)[0].identity.auth_time is not None


async def test_encrypted_id_tokens_and_signed_userinfo_are_read(op: Peer, keys: OurKeys) -> None:
    settings: dict[str, Any] = {"private_keys": keys.file, "userinfo_signed": True}
    async with opened(op, ORIGIN, client_id="encrypted", **settings) as site:
        browser = site.browser()
        await site.log_in(browser)
        assert await site.who(browser) == "ada analyst"


async def test_a_token_is_renewed_and_the_refresh_token_replaced(op: Peer) -> None:
    async with opened(op, ORIGIN) as site:
        browser = site.browser()
        await site.log_in(browser)
        first = await site.token(browser)
        tokens = site.told(LoginSucceeded)[0].identity.tokens
        site.clock.seconds = 11
        second = await site.token(browser)
        assert (second[0], second[1] != first[1]) == (200, True)
        [refreshed] = site.told(TokenRefreshed)
        assert refreshed.tokens.refresh_token not in ("", tokens.refresh_token)


async def test_our_logout_goes_on_to_the_providers_and_back(op: Peer) -> None:
    async with opened(op, ORIGIN) as site, new_person() as person:
        browser = site.browser()
        await site.log_in(browser, person=person)
        done = await site.log_out(browser, person)
        assert (done.status, done.header("location")) == (303, "/")
        assert await site.who(browser) == ""
        await site.log_in(browser, person=person, login="grace")
        assert await site.who(browser) == "grace"


async def test_the_providers_logout_ends_our_session_and_the_open_page_is_told(op: Peer) -> None:
    async with opened(op, ORIGIN, client_id="back") as site, site.served(), new_person() as person:
        browser = site.browser()
        await site.log_in(browser, person=person)
        async with browser.stream("/sessions/current/events") as stream:
            await stream.next()
            assert "Logged out" in (await visit_async(person, f"{op.issuer}/session/end")).page
            await stream.end()
            assert stream.events()[-1] == ("ended", {"reason": "backchannel_logout"})
        assert await site.who(browser) == ""
        [logout] = site.told(BackchannelLogout)
        assert (logout.issuer, logout.subject) == (op.issuer, "ada")


async def deliver(site: Site, token: str) -> int:
    """Post a logout token to our back channel."""
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await site.browser().send("POST", "/auth/backchannel-logout", f"logout_token={token}".encode(), headers)
    return answer.status


async def test_a_logout_token_that_says_no_more_than_jwt_works_once(op: Peer, listener: Listener) -> None:
    async with opened(op, ORIGIN, client_id="seen") as site, new_person() as person:
        browser, other = site.browser(), site.browser()
        await site.log_in(browser, person=person)
        await site.log_in(other)
        id_token = site.told(LoginSucceeded)[0].identity.tokens.id_token
        await visit_async(person, f"{op.issuer}/session/end")
        token = listener.posted.get(timeout=10)["logout_token"]
        assert jws.extract_compact(token.encode()).headers()["typ"] == "JWT"
        # The ID token is signed by the same key for the same audience, and is none.
        assert await deliver(site, id_token) == 400
        assert await site.who(browser) == "ada analyst"
        assert await deliver(site, token) == 200
        assert (await site.who(browser), await site.who(other)) == ("", "ada analyst")
        assert await deliver(site, token) == 400
        assert [ended.reason for ended in site.told(SessionEnded)] == ["backchannel_logout"]


async def test_a_frame_of_the_providers_ends_the_session_that_it_names(op: Peer) -> None:
    async with opened(op, ORIGIN, client_id="front") as site, new_person() as person:
        browser, other = site.browser(), site.browser()
        await site.log_in(browser, person=person)
        await site.log_in(other)
        arrival = await visit_async(person, f"{op.issuer}/session/end")
        [frame] = arrival.frames
        assert asked(frame).keys() == {"iss", "sid"}
        # A browser that does not send our cookie inside the provider's page.
        answer = await site.browser().send("GET", frame.removeprefix(ORIGIN))
        assert answer.status == 200
        assert f"frame-ancestors {op.issuer}" in answer.header("content-security-policy")
        assert (await site.who(browser), await site.who(other)) == ("", "ada analyst")
        [logout] = site.told(FrontchannelLogout)
        assert (logout.issuer, logout.sid) == (op.issuer, asked(frame)["sid"])
