"""The end of a session: asked for by an application, by the person, or by an administrator."""

from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.emulation.provider.world import ISSUER, NOW, World, a_client
from useid_middleware.emulation.provider.driver import log_out, read_forms, read_frames
from useid_middleware.emulation.provider.network import fetch_document, post_form
from useid_middleware.emulation.provider.refusals import OAuthError
from useid_middleware.emulation.provider.tokens import LOGOUT_EVENT

BYE = "https://rp.example/bye"


def logout_url(**params: str) -> str:
    return f"{ISSUER}/end-session?{urlencode(params)}"


async def test_a_good_hint_logs_out_at_once_and_leads_back() -> None:
    world = World()
    token = (await world.tokens())["id_token"]
    world.now += 3600  # An expired hint is a good hint.
    response = await world.browser.get(logout_url(id_token_hint=token, post_logout_redirect_uri=BYE, state="s 1"))
    assert response.status_code == 303
    assert response.headers["location"] == f"{BYE}?state=s+1"
    assert (await world.redirected(prompt="none")).params["error"] == "login_required"


async def fresh(world: World) -> str:
    return str((await world.tokens())["id_token"])


async def test_without_a_hint_the_person_is_asked() -> None:
    world = World()
    await world.log_in()
    page = await world.browser.get(logout_url(client_id="rp", post_logout_redirect_uri=BYE, state="s"))
    assert "Relying Party asks to log Ada Lovelace out" in page.text
    assert "form-action 'self' https://rp.example" in page.headers["content-security-policy"]
    assert "code" in (await world.redirected(prompt="none")).params
    stayed = await log_out(world.browser, logout_url(client_id="rp"), stay=True)
    assert "still logged in" in stayed.text
    assert "code" in (await world.redirected(prompt="none")).params
    url = logout_url(client_id="rp", post_logout_redirect_uri=BYE, state="s")
    assert (await log_out(world.browser, url)).headers["location"] == f"{BYE}?state=s"
    assert (await world.redirected(prompt="none")).params["error"] == "login_required"


async def test_a_hint_for_somebody_else_asks_as_well() -> None:
    world = World()
    token = await fresh(world)
    await world.tokens("grace", prompt="login")
    page = await world.browser.get(logout_url(id_token_hint=token))
    assert read_forms(page.text)
    assert "code" in (await world.redirected(prompt="none")).params


async def test_the_question_is_answered_by_our_own_page_alone() -> None:
    world = World()
    await world.log_in()
    evil = {"origin": "https://evil.example"}
    response = await world.browser.post("/end-session/confirm", data={"action": "logout"}, headers=evil)
    assert response.status_code == 403


async def test_a_logout_of_nobody_still_leads_back() -> None:
    world = World()
    response = await world.browser.get(logout_url(client_id="rp", post_logout_redirect_uri=BYE))
    assert response.headers["location"] == BYE
    response = await world.browser.get(logout_url())
    assert "You are logged out" in response.text


@pytest.mark.parametrize(
    "params",
    [
        {"client_id": "rp", "post_logout_redirect_uri": "https://evil.example/"},
        {"post_logout_redirect_uri": BYE},
        {"client_id": "stranger"},
        {"id_token_hint": "not a token"},
        {"id_token_hint": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEtMTgxNSIsImF1ZCI6InJwIn0."},
    ],
)
async def test_a_logout_that_cannot_be_trusted_is_refused(params: dict[str, str]) -> None:
    world = World()
    await world.log_in()
    response = await world.browser.get(logout_url(**params))
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert "code" in (await world.redirected(prompt="none")).params


async def test_a_hint_and_another_client_do_not_fit() -> None:
    world = World([a_client(), a_client(client_id="other")])
    token = await fresh(world)
    assert (await world.browser.get(logout_url(id_token_hint=token, client_id="other"))).status_code == 400


async def test_every_client_of_the_session_hears_of_its_end_over_the_back_channel() -> None:
    other = a_client(client_id="other", backchannel_logout_uri="https://other.example/out")
    silent = a_client(client_id="silent", backchannel_logout_uri="")
    world = World([a_client(), other, silent, a_client(client_id="unused")])
    _, id_claims = await world.decode((await world.tokens())["id_token"])
    await world.log_in(client_id="other")
    await world.log_in(client_id="silent")
    token = (await world.tokens())["id_token"]
    await world.browser.get(logout_url(id_token_hint=token))
    assert [url for url, _ in world.posted] == ["https://rp.example/backchannel", "https://other.example/out"]
    header, claims = await world.decode(world.posted[0][1]["logout_token"])
    assert (header["typ"], header["alg"]) == ("logout+jwt", "RS256")
    assert claims == {
        "iss": ISSUER,
        "aud": "rp",
        "sub": "ada-1815",
        "sid": id_claims["sid"],
        "iat": NOW,
        "exp": NOW + 120,
        "jti": claims["jti"],
        "events": {LOGOUT_EVENT: {}},
    }
    _, other_claims = await world.decode(world.posted[1][1]["logout_token"])
    assert (other_claims["aud"], other_claims["jti"] != claims["jti"]) == ("other", True)


async def test_an_administrator_ends_sessions_by_person_or_by_session() -> None:
    world = World()
    _, claims = await world.decode(await fresh(world))
    assert await world.provider.logout(subject="grace-1906") == []
    (delivery,) = await world.provider.logout(sid=claims["sid"])
    assert (delivery.client_id, delivery.status) == ("rp", 200)
    assert world.provider.deliveries == [delivery]
    await world.log_in()
    assert len(await world.provider.logout(subject="ada-1815")) == 1
    assert (await world.redirected(prompt="none")).params["error"] == "login_required"


async def test_a_logout_ends_tokens_but_for_offline_access() -> None:
    world = World()
    online, offline = await world.tokens(), await world.tokens(scope="openid offline_access")
    await world.provider.logout(subject="ada-1815")
    assert (await world.userinfo(online["access_token"])).status_code == 401
    assert (await world.refresh(online["refresh_token"])).status_code == 400
    assert (await world.refresh(offline["refresh_token"])).status_code == 200


async def test_the_front_channel_frames_every_client_and_then_goes_on() -> None:
    framed = a_client(frontchannel_logout_uri="https://rp.example/front?x=1", frontchannel_logout_session_required=True)
    plain = a_client(client_id="plain", frontchannel_logout_uri="https://plain.example/front")
    world = World([framed, plain])
    _, claims = await world.decode(await fresh(world))
    await world.log_in(client_id="plain")
    token = await fresh(world)
    page = await world.browser.get(logout_url(id_token_hint=token, post_logout_redirect_uri=BYE, state="s"))
    frames, target = read_frames(page.text)
    assert target == f"{BYE}?state=s"
    assert frames[1] == "https://plain.example/front"
    assert parse_qs(urlsplit(frames[0]).query) == {"x": ["1"], "iss": [ISSUER], "sid": [claims["sid"]]}
    policy = page.headers["content-security-policy"]
    assert "frame-src https://rp.example https://plain.example" in policy


async def test_a_logout_that_the_person_begins_reaches_the_front_channel_too() -> None:
    world = World([a_client(frontchannel_logout_uri="https://rp.example/front")])
    await world.log_in()
    frames, target = read_frames((await log_out(world.browser, logout_url())).text)
    assert (frames, target) == (["https://rp.example/front"], "")


async def test_a_logout_removes_both_cookies() -> None:
    world = World()
    token = await fresh(world)
    response = await world.browser.get(logout_url(id_token_hint=token))
    cookies = response.headers.get_list("set-cookie")
    assert len(cookies) == 2
    assert all("Max-Age=0" in cookie for cookie in cookies)
    assert not world.browser.cookies


async def test_logout_works_by_post_as_well() -> None:
    world = World()
    token = await fresh(world)
    response = await world.browser.post("/end-session", data={"id_token_hint": token, "post_logout_redirect_uri": BYE})
    assert response.headers["location"] == BYE


async def test_an_application_that_is_away_does_not_stop_the_logout() -> None:
    world = World()

    async def away(url: str, form: Any) -> int:
        return 0

    world.provider.realm.post = away
    token = await fresh(world)
    assert (await world.browser.get(logout_url(id_token_hint=token))).status_code == 200
    assert world.provider.deliveries[-1].status == 0


async def test_the_default_network_reports_a_peer_that_is_away() -> None:
    # Port 9 of this machine (discard) is not served.
    assert await post_form("http://127.0.0.1:9/", {"logout_token": "x"}) == 0
    with pytest.raises(OAuthError, match="cannot be fetched"):
        await fetch_document("http://127.0.0.1:9/")
