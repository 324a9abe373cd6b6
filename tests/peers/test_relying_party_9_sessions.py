"""Our relying party at npm ``oidc-provider`` 9, after the login: tokens, another provider process, logouts."""

import asyncio
import io
import json
import tomllib
from collections.abc import Mapping
from typing import Any, Final

import httpx2
import pytest
from joserfc import jws

from tests.peers.people import log_in_async, visit_async
from tests.peers.providers import SECRET, Peer, StartPeer, new_signing_keys
from tests.peers.sites import PEOPLE, HostApp, Site, log_in_as_ada, new_person, opened, registered, tokens_of
from tests.servers import free_port
from useid_middleware import BackchannelLogout, SessionEnded, TokenRefreshed
from useid_middleware.cli import main
from useid_middleware.errors import ProviderError
from useid_middleware.http.asgi import Receive, Scope, Send
from useid_middleware.oidc.core.client_authentication import basic_credentials

ORIGIN: Final = f"http://127.0.0.1:{free_port()}"
DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture(scope="module")
def op(start_provider9: StartPeer) -> Peer:
    """A provider with a client for people, one that it tells of logouts, and one for machines and devices."""
    machine: dict[str, Any] = {"redirect_uris": [], "response_types": [], "post_logout_redirect_uris": []}
    machine["grant_types"] = ["client_credentials", DEVICE_GRANT, "refresh_token"]
    back: dict[str, Any] = {"backchannel_logout_uri": f"{ORIGIN}/auth/backchannel-logout"}
    return start_provider9(
        [
            registered(ORIGIN),
            registered(ORIGIN, "back", backchannel_logout_session_required=True, **back),
            registered(ORIGIN, "machine", **machine),
        ],
        people=PEOPLE,
        # Longer than the tests take; our own clock is what runs ahead of it.
        ttl={"AccessToken": 20},
        features={"registration": {"enabled": True}},
    )


async def grant(site: Site, client_id: str = "useid", **form: str) -> httpx2.Response:
    """A token request that somebody makes who knows the client's secret."""
    endpoint = (await site.client.metadata()).token_endpoint
    async with new_person() as http:
        headers = {"authorization": basic_credentials(client_id, SECRET)}
        return await http.post(endpoint, data=form, headers=headers)


# tokens


async def test_a_short_lived_token_is_renewed_once_for_many_and_the_refresh_token_is_replaced(op: Peer) -> None:
    async with opened(op, ORIGIN) as site:
        browser, _ = await log_in_as_ada(site)
        first = tokens_of(site)
        site.clock.seconds = 11
        answers = await asyncio.gather(*(site.token(browser) for _ in range(20)))
        assert len(set(answers)) == 1
        assert answers[0] != (200, first.access_token)
        [refreshed] = site.told(TokenRefreshed)
        assert refreshed.tokens.refresh_token not in ("", first.refresh_token)
        site.clock.seconds = 22
        assert (await site.token(browser))[0] == 200
        assert len(site.told(TokenRefreshed)) == 2


async def test_a_stolen_refresh_token_that_is_used_ends_what_it_was_stolen_from(op: Peer) -> None:
    async with opened(op, ORIGIN) as site:
        browser, _ = await log_in_as_ada(site)
        stolen = tokens_of(site).refresh_token
        site.clock.seconds = 11
        assert (await site.token(browser))[0] == 200
        reused = await grant(site, grant_type="refresh_token", refresh_token=stolen)
        assert (reused.status_code, reused.json()["error"]) == (400, "invalid_grant")
        site.clock.seconds = 22
        assert await site.token(browser) == (401, "not_authenticated")


async def test_a_thief_who_is_first_loses_the_token_when_its_owner_comes(op: Peer) -> None:
    async with opened(op, ORIGIN) as site:
        browser, _ = await log_in_as_ada(site)
        taken = await grant(site, grant_type="refresh_token", refresh_token=tokens_of(site).refresh_token)
        assert taken.status_code == 200
        site.clock.seconds = 11
        assert await site.token(browser) == (401, "not_authenticated")
        again = await grant(site, grant_type="refresh_token", refresh_token=taken.json()["refresh_token"])
        assert again.json()["error"] == "invalid_grant"


async def test_a_token_that_is_revoked_is_active_no_more(op: Peer) -> None:
    async with opened(op, ORIGIN) as site:
        browser, _ = await log_in_as_ada(site)
        form = {"token": (await site.token(browser))[1]}
        answer = await site.client.call("introspection_endpoint", form)
        assert (answer["active"], answer["sub"], answer["client_id"]) == (True, "ada", "useid")
        await site.client.revoke(form["token"], hint="access_token")
        assert await site.client.call("introspection_endpoint", form) == {"active": False}


async def test_a_device_without_a_browser_logs_a_person_in(op: Peer) -> None:
    async with opened(op, ORIGIN, client_id="machine") as site:
        offer = await site.client.call("device_authorization_endpoint", {"scope": "openid profile"})
        form = {"grant_type": DEVICE_GRANT, "device_code": offer["device_code"]}
        with pytest.raises(ProviderError) as pending:
            await site.client.grant(form)
        assert pending.value.details["error"] == "authorization_pending"
        async with new_person() as person:
            arrival = await visit_async(person, offer["verification_uri_complete"])
        assert "Device connected" in arrival.page
        tokens = await site.client.grant(form, expects_id_token=True)
        assert (await site.client.userinfo(tokens, expected_subject="ada"))["name"] == "Ada Lovelace"


def test_the_command_line_gets_a_token_for_itself_and_asks_about_it(
    op: Peer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("USEID_CONFIG", raising=False)
    known = {"issuer": op.issuer, "client_id": "machine", "client_secret": SECRET}
    monkeypatch.setenv("USEID_OIDC__PROVIDERS", json.dumps({"op": known}))
    assert main(["oidc", "test-connection"]) == 0
    assert "ok      device code" in capsys.readouterr().out
    assert main(["oidc", "client-credentials", "--scope", "api"]) == 0
    tokens = json.loads(capsys.readouterr().out)
    assert tokens["scope"] == "api"
    monkeypatch.setattr("sys.stdin", io.StringIO(tokens["access_token"] + "\n"))
    assert main(["oidc", "introspect"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["active"], answer["client_id"], answer["scope"]) == (True, "machine", "api")


async def test_a_client_that_registered_itself_logs_people_in(op: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["oidc", "register", op.issuer, "--redirect-uri", f"{ORIGIN}/auth/callback", "--name", "Shop"]
    assert await asyncio.to_thread(main, arguments) == 0
    settings = tomllib.loads(capsys.readouterr().out)["oidc"]["providers"]["NAME"]
    assert settings.pop("issuer") == op.issuer
    async with opened(op, ORIGIN, **settings) as site:
        await log_in_as_ada(site)


# when the provider changes


async def test_new_keys_and_an_absence_of_the_provider_are_survived(start_provider9: StartPeer) -> None:
    peer = start_provider9([registered(ORIGIN)], people=PEOPLE)
    async with opened(peer, ORIGIN) as site:
        await log_in_as_ada(site)
        old = jws.extract_compact(tokens_of(site).id_token.encode()).headers()["kid"]
        peer.restart(jwks=new_signing_keys())
        await log_in_as_ada(site)
        assert jws.extract_compact(tokens_of(site).id_token.encode()).headers()["kid"] != old

        browser = site.browser()
        async with new_person() as person:
            callback = await log_in_async(person, await site.begin(browser))
        peer.stop()
        answer = await browser.send("GET", callback.removeprefix(ORIGIN))
        assert (answer.status, b"The login provider cannot be reached" in answer.body) == (503, True)
        assert await site.who(browser) == ""

        peer.restart(jwks=new_signing_keys())
        # Its keys are asked for again no sooner than this, whoever signs with unknown ones.
        site.clock.seconds = 31
        await log_in_as_ada(site)


# logging out


async def test_our_logout_goes_on_to_the_providers_and_back(op: Peer) -> None:
    async with opened(op, ORIGIN) as site, new_person() as person:
        browser = site.browser()
        await site.log_in(browser, person=person)
        done = await site.log_out(browser, person)
        assert (done.status, done.header("location")) == (303, "/")
        assert await site.who(browser) == ""
        # The provider asks who it is again: its own session is over.
        await site.log_in(browser, person=person, login="grace")
        assert await site.who(browser) == "grace"


async def end_at_provider(peer: Peer, person: httpx2.AsyncClient) -> None:
    """The person logs out at the provider itself."""
    arrival = await visit_async(person, f"{peer.issuer}/session/end")
    assert "Logged out" in arrival.page


async def test_the_providers_logout_ends_our_session_and_the_open_page_is_told(op: Peer) -> None:
    async with opened(op, ORIGIN, client_id="back") as site, site.served(), new_person() as person:
        browser, other = site.browser(), site.browser()
        await site.log_in(browser, person=person)
        await site.log_in(other)
        async with browser.stream("/sessions/current/events") as stream:
            await stream.next()
            await end_at_provider(op, person)
            await stream.end()
            assert stream.events()[-1] == ("ended", {"reason": "backchannel_logout"})
        assert await site.who(browser) == ""
        assert op.wait_for("backchannel.success")["client"] == "back"
        assert op.events("backchannel.error") == []
        [logout] = site.told(BackchannelLogout)
        assert (logout.issuer, logout.subject) == (op.issuer, "ada")
        assert [ended.reason for ended in site.told(SessionEnded)] == ["backchannel_logout"]
        # The same person's session in another browser is another session of the provider's.
        assert await site.who(other) == "ada analyst"


class Gate:
    """A host app that holds requests to /held until it is opened, and then looks for their access token."""

    def __init__(self) -> None:
        self.held = 0
        self.all_in = asyncio.Event()
        self.open = asyncio.Event()
        self._app = HostApp()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["path"] == "/held":
            self.held += 1
            if self.held == 10:
                self.all_in.set()
            await self.open.wait()
            scope = {**scope, "path": "/token"}
        await self._app(scope, receive, send)


async def test_requests_in_flight_during_the_providers_logout_get_a_token_or_are_told_to_log_in(op: Peer) -> None:
    gate = Gate()
    settings: Mapping[str, Any] = {"client_id": "back", "host_app": gate}
    async with opened(op, ORIGIN, **settings) as site, site.served(), new_person() as person:
        browser = site.browser()
        await site.log_in(browser, person=person)
        # The token is due, so that each of them wants a new one while the session ends.
        site.clock.seconds = 11
        held = [asyncio.ensure_future(browser.send("GET", "/held")) for _ in range(10)]
        await gate.all_in.wait()
        leaving = asyncio.ensure_future(end_at_provider(op, person))
        running = [asyncio.ensure_future(browser.send("GET", "/token")) for _ in range(10)]
        await leaving
        gate.open.set()
        late, early = await asyncio.gather(*held), await asyncio.gather(*running)
        assert {(answer.status, answer.body) for answer in late} == {(401, b"not_authenticated")}
        for answer in early:
            assert answer.status == 200 or (answer.status, answer.body) == (401, b"not_authenticated")
        assert await site.who(browser) == ""
