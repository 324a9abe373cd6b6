"""The foreign providers really do what the tests of our relying party need them for. Plain httpx2 and joserfc only."""

import json
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2
import pytest
from joserfc import jwe, jws, jwt
from joserfc.jwe import JWERegistry
from joserfc.jwk import ECKey, RSAKey
from playwright.sync_api import Browser

from tests.peers.people import log_in, log_in_async, log_out, refuse, visit
from tests.peers.providers import Peer, StartPeer, client, new_signing_keys
from tests.peers.relying import CALLBACK, RP, VERIFIER, Listener, Relying, dpop, query
from tests.peers.relying import http as http
from tests.peers.relying import listener as listener

OUR_SIGNING_KEY = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
OUR_ENCRYPTION_KEY = RSAKey.generate_key(2048, {"use": "enc", "alg": "RSA-OAEP-256"}, auto_kid=True)
OUR_KEYS = {"keys": [OUR_SIGNING_KEY.as_dict(private=False), OUR_ENCRYPTION_KEY.as_dict(private=False)]}
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


@pytest.fixture(scope="module")
def op9(start_provider9: StartPeer, listener: Listener) -> Peer:
    channel: dict[str, Any] = {
        "backchannel_logout_uri": f"{listener.origin}/back",
        "backchannel_logout_session_required": True,
    }
    encrypted = {"id_token_encrypted_response_alg": "RSA-OAEP-256", "id_token_encrypted_response_enc": "A256GCM"}
    keyed = {"token_endpoint_auth_method": "private_key_jwt", "jwks": OUR_KEYS}
    grants = ["client_credentials", "urn:ietf:params:oauth:grant-type:device_code"]
    return start_provider9(
        [
            client(CALLBACK, post_logout_redirect_uris=[f"{RP}/bye"], **channel),
            client(CALLBACK, client_id="encrypted", jwks=OUR_KEYS, **encrypted),
            client(CALLBACK, client_id="signed", userinfo_signed_response_alg="ES256"),
            client(CALLBACK, client_id="keyed", secret=None, **keyed),
            client(
                CALLBACK,
                client_id="hybrid",
                response_types=["code id_token"],
                grant_types=["authorization_code", "implicit"],
            ),
            client(CALLBACK, client_id="machine", redirect_uris=[], response_types=[], grant_types=grants),
        ],
        people={"ada": {"name": "Ada Lovelace", "roles": ["analyst"]}},
    )


@pytest.fixture(scope="module")
def op6(start_provider6: StartPeer, listener: Listener) -> Peer:
    front: dict[str, Any] = {
        "frontchannel_logout_uri": f"{listener.origin}/front",
        "frontchannel_logout_session_required": True,
    }
    back: dict[str, Any] = {
        "backchannel_logout_uri": f"{listener.origin}/back",
        "backchannel_logout_session_required": True,
    }
    callbacks = [CALLBACK, f"{listener.origin}/callback"]
    return start_provider6(
        [client(CALLBACK, redirect_uris=callbacks, post_logout_redirect_uris=[f"{RP}/bye"], **front, **back)]
    )


def test_the_lock_file_names_no_address() -> None:
    text = (Path(__file__).parent / "package-lock.json").read_text()
    assert "://" not in text
    lock = json.loads(text)
    packages = [package for place, package in lock["packages"].items() if place]
    assert len(packages) > 100
    assert [package for package in packages if "resolved" in package] == []
    assert [package for package in packages if not package["integrity"].startswith("sha512-")] == []


def test_provider_9_announces_what_the_relying_party_is_tested_with(op9: Peer, http: httpx2.Client) -> None:
    metadata = Relying(http, op9).metadata
    assert metadata["issuer"] == op9.issuer
    assert {name for name in metadata if name.endswith(("_endpoint", "_uri"))} == {
        *("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint"),
        *("pushed_authorization_request_endpoint", "introspection_endpoint", "revocation_endpoint"),
        "device_authorization_endpoint",
    }
    assert "ES256" in metadata["dpop_signing_alg_values_supported"]
    assert {"jwt", "query.jwt", "form_post.jwt"} <= set(metadata["response_modes_supported"])
    assert metadata["backchannel_logout_session_supported"] is True
    assert metadata["authorization_response_iss_parameter_supported"] is True
    assert metadata["request_parameter_supported"] is True
    assert "private_key_jwt" in metadata["token_endpoint_auth_methods_supported"]


def test_provider_9_logs_a_person_in(op9: Peer, http: httpx2.Client) -> None:
    rp = Relying(http, op9)
    callback = log_in(http, rp.url(), login="ada")
    assert callback.startswith(f"{CALLBACK}?")
    assert query(callback).keys() == {"code", "state", "iss"}
    assert query(callback)["iss"] == op9.issuer
    tokens = rp.redeem(callback)
    claims = rp.claims(tokens["id_token"])
    assert (claims["iss"], claims["aud"], claims["sub"], claims["nonce"]) == (op9.issuer, "useid", "ada", "no")
    assert claims["sid"]
    about = http.get(rp.metadata["userinfo_endpoint"], headers={"authorization": f"Bearer {tokens['access_token']}"})
    assert about.json() == {
        "sub": "ada",
        "name": "Ada Lovelace",
        "preferred_username": "ada",
        "email": "ada@example.org",
        "email_verified": True,
        "roles": ["analyst"],
    }


def test_provider_9_knows_who_is_logged_in_already(op9: Peer, http: httpx2.Client) -> None:
    rp = Relying(http, op9)
    assert query(visit(http, rp.url(prompt="none")).url)["error"] == "login_required"
    rp.log_in()
    assert "code" in query(visit(http, rp.url(prompt="none"), login="somebody else").url)


async def test_the_pages_can_be_walked_by_an_async_client(op9: Peer, http: httpx2.Client) -> None:
    async with httpx2.AsyncClient() as client_of_a_task:
        assert "code" in query(await log_in_async(client_of_a_task, Relying(http, op9).url()))


def test_a_person_can_refuse(op9: Peer, op6: Peer, http: httpx2.Client) -> None:
    assert query(refuse(http, Relying(http, op9).url()))["error"] == "access_denied"
    assert query(refuse(http, Relying(http, op6).url()))["error"] == "access_denied"


def test_consent_is_asked_for_on_a_page_where_wanted(start_provider9: StartPeer, http: httpx2.Client) -> None:
    peer = start_provider9([client(CALLBACK)], consent="ask", claims_in_id_token=True, acr_values=["high"])
    rp = Relying(http, peer)
    claims = rp.claims(rp.log_in(acr_values="high", login_hint="eve")["id_token"])
    assert (claims["email"], claims["acr"], claims["amr"]) == ("ada@example.org", "high", ["pwd"])
    # Logged in already, so that the next page is the one that asks for the additional scope.
    assert query(refuse(http, rp.url(scope="openid offline_access", prompt="consent")))["error"] == "access_denied"


@pytest.mark.parametrize("version", [9, 6])
def test_a_refresh_token_is_replaced_and_its_second_use_revokes_all(
    version: int, op9: Peer, op6: Peer, http: httpx2.Client
) -> None:
    rp = Relying(http, {9: op9, 6: op6}[version])
    first = rp.log_in()
    second = rp.token(grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert rp.claims(second["id_token"])["sub"] == "ada"
    reused = rp.token(grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert (reused.status_code, reused.json()["error"]) == (400, "invalid_grant")
    revoked = rp.token(grant_type="refresh_token", refresh_token=second["refresh_token"])
    assert (revoked.status_code, revoked.json()["error"]) == (400, "invalid_grant")
    assert rp.peer.wait_for("grant.revoked") == {"event": "grant.revoked"}


def test_provider_9_logs_out_at_the_back_channel_and_returns(
    op9: Peer, listener: Listener, http: httpx2.Client
) -> None:
    rp = Relying(http, op9)
    tokens = rp.log_in()
    arrival = log_out(http, rp.end_session_url(tokens))
    assert arrival.url == f"{RP}/bye?state=out"
    assert op9.wait_for("backchannel.success")["client"] == "useid"
    logout_token = listener.posted.get(timeout=10)["logout_token"]
    assert jws.extract_compact(logout_token.encode()).headers()["typ"] == "logout+jwt"
    claims = rp.claims(logout_token)
    assert claims["events"] == {LOGOUT_EVENT: {}}
    assert claims["sid"] == rp.claims(tokens["id_token"])["sid"]
    assert {"jti", "exp", "iat", "iss", "aud"} <= claims.keys()
    assert "nonce" not in claims
    refused = rp.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert refused.json()["error"] == "invalid_grant"


def test_provider_9_takes_a_pushed_request(op9: Peer, http: httpx2.Client) -> None:
    rp = Relying(http, op9)
    push = rp.metadata["pushed_authorization_request_endpoint"]
    pushed = http.post(push, data=rp.request(), auth=rp.auth)
    assert pushed.status_code == 201
    asked = urlencode({"client_id": "useid", "request_uri": pushed.json()["request_uri"]})
    callback = log_in(http, f"{rp.metadata['authorization_endpoint']}?{asked}")
    assert rp.claims(rp.redeem(callback)["id_token"])["nonce"] == "no"


def assertion(client_id: str, audience: str, /, **claims: str) -> str:
    """A JWT that we signed: a client assertion, or a request object with the request as further claims."""
    times = {"iat": int(time.time()), "nbf": int(time.time()), "exp": int(time.time()) + 60}
    who = {"iss": client_id, "sub": client_id, "aud": audience, "jti": uuid.uuid4().hex, **times}
    return jwt.encode({"alg": "ES256", "kid": OUR_SIGNING_KEY.kid}, {**who, **claims}, OUR_SIGNING_KEY)


def asserted(client_id: str, audience: str) -> dict[str, str]:
    """The parameters of private_key_jwt: RFC 7523, section 2.2."""
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    return {"client_id": client_id, "client_assertion_type": kind, "client_assertion": assertion(client_id, audience)}


def test_provider_9_takes_a_signed_request_and_a_signed_client_assertion(op9: Peer, http: httpx2.Client) -> None:
    rp = Relying(http, op9, "keyed")
    asked = {"client_id": "keyed", "request": assertion("keyed", op9.issuer, **rp.request(nonce="signed"))}
    callback = log_in(http, f"{rp.metadata['authorization_endpoint']}?{urlencode(asked)}")
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    form |= {"code": query(callback)["code"], **asserted("keyed", op9.issuer)}
    answer = http.post(rp.metadata["token_endpoint"], data=form)
    claims = rp.claims(answer.json()["id_token"])
    assert (claims["aud"], claims["nonce"]) == ("keyed", "signed")


def test_provider_9_answers_in_a_signed_response(op9: Peer, http: httpx2.Client) -> None:
    rp = Relying(http, op9)
    answer = query(log_in(http, rp.url(response_mode="query.jwt")))
    assert answer.keys() == {"response"}
    assert rp.claims(answer["response"]).keys() == {"code", "state", "iss", "aud", "exp"}


def test_provider_9_answers_by_form_post_and_in_the_hybrid_flow(op9: Peer, http: httpx2.Client) -> None:
    rp = Relying(http, op9, "hybrid")
    arrival = visit(http, rp.url(response_mode="form_post", response_type="code id_token"))
    assert arrival.url == CALLBACK
    assert arrival.form is not None
    assert arrival.form.keys() == {"code", "id_token", "state"}
    assert "c_hash" in rp.claims(arrival.form["id_token"])


def test_provider_9_binds_tokens_to_a_key_and_asks_for_a_nonce(start_provider9: StartPeer, http: httpx2.Client) -> None:
    bound = start_provider9(
        [client(CALLBACK, dpop_bound_access_tokens=True)], features={"dPoP": {"requireNonce": True}}
    )
    rp = Relying(http, bound)
    endpoint = rp.metadata["token_endpoint"]
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    form["code"] = query(log_in(http, rp.url()))["code"]
    first = rp.token(dpop(OUR_SIGNING_KEY, "POST", endpoint), **form)
    assert (first.status_code, first.json()["error"]) == (400, "use_dpop_nonce")
    second = rp.token(dpop(OUR_SIGNING_KEY, "POST", endpoint, nonce=first.headers["dpop-nonce"]), **form)
    assert (second.status_code, second.json()["token_type"]) == (200, "DPoP"), second.text


def test_provider_9_encrypts_id_tokens(op9: Peer, http: httpx2.Client) -> None:
    rp = Relying(http, op9, "encrypted")
    token = rp.log_in()["id_token"]
    # It repeats the issuer and the audience in the header, which joserfc takes for unknown parameters.
    lenient = JWERegistry(algorithms=["RSA-OAEP-256", "A256GCM"], strict_check_header=False)
    opened = jwe.decrypt_compact(token, OUR_ENCRYPTION_KEY, registry=lenient)
    assert opened.plaintext is not None
    assert rp.claims(opened.plaintext.decode())["aud"] == "encrypted"


def test_provider_9_signs_userinfo(op9: Peer, http: httpx2.Client) -> None:
    rp = Relying(http, op9, "signed")
    authorization = {"authorization": f"Bearer {rp.log_in()['access_token']}"}
    about = http.get(rp.metadata["userinfo_endpoint"], headers=authorization)
    assert about.headers["content-type"].startswith("application/jwt")
    assert jws.extract_compact(about.content).headers()["alg"] == "ES256"
    assert rp.claims(about.text)["sub"] == "ada"


def test_provider_9_introspects_and_revokes(op9: Peer, http: httpx2.Client) -> None:
    rp = Relying(http, op9)
    tokens = rp.log_in()
    form = {"token": tokens["access_token"]}
    assert http.post(rp.metadata["introspection_endpoint"], data=form, auth=rp.auth).json()["active"] is True
    assert http.post(rp.metadata["revocation_endpoint"], data=form, auth=rp.auth).status_code == 200
    assert http.post(rp.metadata["introspection_endpoint"], data=form, auth=rp.auth).json() == {"active": False}


def test_provider_9_serves_machines_and_devices(op9: Peer, http: httpx2.Client) -> None:
    rp = Relying(http, op9, "machine")
    assert rp.token(grant_type="client_credentials", scope="api").json()["scope"] == "api"
    device = http.post(
        rp.metadata["device_authorization_endpoint"],
        data={"client_id": "machine", "scope": "openid"},
        auth=rp.auth,
    ).json()
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": device["device_code"]}
    assert rp.token(**form).json()["error"] == "authorization_pending"
    assert "Device connected" in visit(http, device["verification_uri_complete"]).page
    assert rp.claims(rp.token(**form).json()["id_token"])["sub"] == "ada"


def test_provider_6_logs_a_person_in_with_a_session_state(op6: Peer, http: httpx2.Client) -> None:
    rp = Relying(http, op6)
    callback = log_in(http, rp.url(), login="grace")
    assert query(callback).keys() == {"code", "state", "session_state"}
    assert rp.claims(rp.redeem(callback)["id_token"])["sub"] == "grace"


def test_provider_6_logs_out_in_frames_and_at_the_back_channel(
    op6: Peer, listener: Listener, http: httpx2.Client
) -> None:
    rp = Relying(http, op6)
    assert rp.metadata["frontchannel_logout_session_supported"] is True
    tokens = rp.log_in()
    sid = rp.claims(tokens["id_token"])["sid"]
    arrival = log_out(http, rp.end_session_url(tokens))
    (frame,) = arrival.frames
    assert frame.startswith(f"{listener.origin}/front?")
    assert query(frame) == {"iss": op6.issuer, "sid": sid}
    assert arrival.links == (f"{RP}/bye?state=out",)
    logout_token = listener.posted.get(timeout=10)["logout_token"]
    assert jws.extract_compact(logout_token.encode()).headers()["typ"] == "JWT"
    assert rp.claims(logout_token)["sid"] == sid


def test_short_lifetimes_new_keys_and_a_stopped_provider_can_be_had(
    start_provider9: StartPeer, http: httpx2.Client
) -> None:
    peer = start_provider9([client(CALLBACK)], ttl={"AccessToken": 2})
    rp = Relying(http, peer)
    assert rp.log_in()["expires_in"] == 2
    before = {key.kid for key in rp.keys}
    peer.stop()
    with pytest.raises(httpx2.ConnectError):
        http.get(peer.issuer)
    peer.restart(jwks=new_signing_keys())
    http.cookies.clear()
    assert {key.kid for key in rp.keys}.isdisjoint(before)
    assert rp.claims(rp.log_in()["id_token"])["iss"] == peer.issuer


def test_provider_9_keeps_to_fapi_2_where_wanted(start_provider9: StartPeer, http: httpx2.Client) -> None:
    keyed: dict[str, Any] = {
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": OUR_KEYS,
        "id_token_signed_response_alg": "ES256",
    }
    peer = start_provider9(
        [client(CALLBACK, secret=None, dpop_bound_access_tokens=True, **keyed)],
        features={
            "fapi": {"enabled": True, "profile": "2.0"},
            "pushedAuthorizationRequests": {"enabled": True, "requirePushedAuthorizationRequests": True},
        },
    )
    rp = Relying(http, peer)
    assert query(visit(http, rp.url()).url)["error"] == "invalid_request"
    push = rp.metadata["pushed_authorization_request_endpoint"]
    pushed = http.post(push, data={**rp.request(), **asserted("useid", peer.issuer)})
    asked = {"client_id": "useid", "request_uri": pushed.json()["request_uri"]}
    callback = log_in(http, f"{rp.metadata['authorization_endpoint']}?{urlencode(asked)}")
    endpoint = rp.metadata["token_endpoint"]
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    form |= {"code": query(callback)["code"], **asserted("useid", peer.issuer)}
    tokens = http.post(endpoint, data=form, headers=dpop(OUR_SIGNING_KEY, "POST", endpoint)).json()
    assert tokens["token_type"] == "DPoP"
    assert rp.claims(tokens["id_token"])["sub"] == "ada"


def test_a_provider_that_cannot_start_says_why(start_provider9: StartPeer) -> None:
    with pytest.raises(RuntimeError, match="Features are not enabled/disabled with a boolean"):
        start_provider9([client(CALLBACK)], features={"fapi": True})  # type: ignore[dict-item]


def test_both_frames_of_provider_6_work_in_a_browser_without_network(
    op6: Peer, listener: Listener, browser: Browser
) -> None:
    with httpx2.Client() as http:
        rp = Relying(http, op6)
        metadata, authorization_url = rp.metadata, rp.url(redirect_uri=f"{listener.origin}/callback")
    # A frame that does not answer would be waited for without end.
    ask = """([address, message]) => new Promise((resolve) => {
        const frame = document.createElement("iframe");
        addEventListener("message", (event) => resolve([event.origin, event.data]), { once: true });
        frame.onload = () => {
            frame.contentWindow.postMessage(message, "*");
            setTimeout(() => resolve("no answer"), 10_000);
        };
        frame.src = address;
        document.body.append(frame);
    })"""
    asked: set[str] = set()
    with browser.new_context() as context:
        page = context.new_page()
        page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
        page.goto(authorization_url)
        page.get_by_label("Name").fill("ada")
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"{listener.origin}/callback?*")
        frame, state = metadata["check_session_iframe"], query(page.url)["session_state"]
        assert page.evaluate(ask, [frame, f"useid {state}"]) == [op6.issuer, "unchanged"]
        assert page.evaluate(ask, [frame, f"useid {state[1:]}"]) == [op6.issuer, "changed"]
        assert page.evaluate(ask, [frame, f"another {state}"]) == [op6.issuer, "error"]
        page.goto(metadata["end_session_endpoint"])
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("heading", name="Logged out").wait_for()
    assert asked == {urlsplit(listener.origin).netloc, urlsplit(op6.issuer).netloc}
    assert listener.opened.get(timeout=10).startswith("/callback?")
    assert query(listener.opened.get(timeout=10))["iss"] == op6.issuer
