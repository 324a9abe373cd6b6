"""The authorization endpoint and the pages behind it, as a browser meets them."""

import json
from hashlib import sha256

import httpx2
import pytest

from tests.emulation.provider.world import CALLBACK, ISSUER, World, a_client, client_key
from useid_middleware.emulation.provider import jose
from useid_middleware.emulation.provider.driver import Arrival, approve, read_forms
from useid_middleware.emulation.provider.policy import Policy
from useid_middleware.emulation.provider.tokens import half_hash
from useid_middleware.errors import StateError


async def test_a_login_comes_back_with_code_state_issuer_and_session_state() -> None:
    arrival = await World().log_in()
    assert arrival.url.startswith(f"{CALLBACK}?")
    assert arrival.form is None
    assert set(arrival.params) == {"code", "state", "iss", "session_state"}
    assert (arrival.params["state"], arrival.params["iss"]) == ("state-1", ISSUER)


async def test_session_state_is_the_hash_that_the_standard_gives_as_example() -> None:
    world = World()
    arrival = await world.log_in()
    (state_cookie,) = [value for name, value in world.browser.cookies.items() if "state" in name]
    digest, _, salt = arrival.params["session_state"].partition(".")
    assert digest == sha256(f"rp https://rp.example {state_cookie} {salt}".encode()).hexdigest()


@pytest.mark.parametrize(
    ("response_type", "kinds"),
    [
        ("code", {"code"}),
        ("id_token", {"id_token"}),
        ("token id_token", {"access_token", "id_token"}),
        ("code id_token", {"code", "id_token"}),
        ("code token", {"code", "access_token"}),
        ("code id_token token", {"code", "id_token", "access_token"}),
    ],
)
async def test_each_response_type_gives_what_it_names(response_type: str, kinds: set[str]) -> None:
    arrival = await World().log_in(response_type=response_type)
    assert kinds == {"code", "id_token", "access_token"}.intersection(arrival.params)
    assert ("#" in arrival.url) is (response_type != "code")


async def test_a_hybrid_id_token_hashes_code_access_token_and_state() -> None:
    world = World()
    params = (await world.log_in(response_type="code id_token token")).params
    _, claims = await world.decode(params["id_token"])
    assert claims["c_hash"] == half_hash(params["code"], alg="RS256")
    assert claims["at_hash"] == half_hash(params["access_token"], alg="RS256")
    assert claims["s_hash"] == half_hash("state-1", alg="RS256")
    assert claims["nonce"] == "nonce-1"


async def test_an_id_token_alone_carries_the_claims_of_the_scopes() -> None:
    world = World()
    _, claims = await world.decode((await world.log_in(response_type="id_token")).params["id_token"])
    assert (claims["email"], claims["name"]) == ("ada@example.com", "Ada Lovelace")


def test_half_hash_is_the_one_of_the_standard() -> None:
    # OpenID Connect Core 1.0, appendix A.3 and A.4.
    assert half_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", alg="RS256") == "77QmUPtjPfzWtF2AnpK9RQ"
    assert (
        half_hash("Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk", alg="RS256") == "LDktKdoQak3Pk0cnXxCltA"
    )


@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
async def test_each_response_mode_puts_the_parameters_in_its_place(mode: str) -> None:
    arrival = await World().log_in(response_mode=mode)
    assert arrival.params["state"] == "state-1"
    assert (arrival.form is not None) is (mode == "form_post")
    assert ("?" in arrival.url, "#" in arrival.url) == (mode == "query", mode == "fragment")


@pytest.mark.parametrize("mode", ["jwt", "query.jwt", "fragment.jwt", "form_post.jwt"])
async def test_a_signed_response_says_for_whom_by_whom_and_until_when(mode: str) -> None:
    world = World()
    arrival = await world.log_in(response_mode=mode)
    assert set(arrival.params) == {"response"}
    _, claims = await world.decode(arrival.params["response"])
    assert (claims["iss"], claims["aud"], claims["state"]) == (ISSUER, "rp", "state-1")
    assert claims["exp"] == world.now + 600
    assert (await world.exchange(arrival, code=claims["code"])).status_code == 200


async def test_a_signed_response_can_be_encrypted_for_the_client() -> None:
    world = World([a_client(authorization_encrypted_response_alg="ECDH-ES")])
    arrival = await world.log_in(response_mode="jwt")
    _, claims = await world.decode(jose.decrypt(arrival.params["response"], client_key()))
    assert claims["state"] == "state-1"


async def test_the_form_post_page_sends_itself_and_nothing_else_runs() -> None:
    world = World()
    await world.log_in()
    page = await world.browser.get(world.authorization_url(response_mode="form_post", state='"><script>'))
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "form-action 'self' https://rp.example" in policy
    assert "<script>" not in page.text
    (form,) = read_forms(page.text)
    assert (form.action, form.fields["state"]) == (CALLBACK, '"><script>')


@pytest.mark.parametrize(
    "params",
    [
        {"client_id": "stranger"},
        {"redirect_uri": "https://rp.example/callback/"},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": "http://127.0.0.1/callback"},
    ],
)
async def test_nobody_is_sent_to_an_address_that_is_not_registered(params: dict[str, str]) -> None:
    world = World()
    response = await world.browser.get(world.authorization_url(**params))
    assert response.status_code == 400
    assert "location" not in response.headers
    assert response.json()["error"] == "invalid_request"


async def test_a_person_sees_such_an_error_as_a_page() -> None:
    world = World()
    headers = {"accept": "text/html", "accept-language": "de-AT"}
    response = await world.browser.get(world.authorization_url(client_id="<b>"), headers=headers)
    assert response.status_code == 400
    assert 'lang="de"' in response.text
    assert "Testprovider" in response.text
    assert "<b>" not in response.text


async def test_a_loopback_client_may_return_to_any_port_of_this_machine_and_nowhere_else() -> None:
    client = a_client(loopback=True, redirect_uris=())
    for good in ("http://127.0.0.1:8123/cb", "http://localhost/cb", "http://[::1]:9/x"):
        assert client.allows_redirect(good)
    for bad in ("https://127.0.0.1/cb", "http://127.0.0.1.evil.example/", "http://user@127.0.0.1/", "http://10.0.0.1/"):
        assert not client.allows_redirect(bad)


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"response_type": "none"}, "unsupported_response_type"),
        ({"response_type": ""}, "unsupported_response_type"),
        ({"response_mode": "smoke"}, "invalid_request"),
        ({"response_type": "code id_token", "response_mode": "query"}, "invalid_request"),
        ({"response_type": "id_token", "nonce": ""}, "invalid_request"),
        ({"response_type": "id_token", "scope": "profile"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "dance"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"claims": "{"}, "invalid_request"),
        ({"claims": '{"id_token": []}'}, "invalid_request"),
        ({"claims": '{"id_token": {"acr": 1}}'}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
    ],
)
async def test_what_is_wrong_with_a_request_goes_back_to_the_client(params: dict[str, str], error: str) -> None:
    arrival = await World().redirected(**params)
    assert arrival.url.startswith(CALLBACK)
    assert (arrival.params["error"], arrival.params["state"]) == (error, "state-1")


async def test_a_repeated_parameter_is_refused() -> None:
    world = World()
    response = await world.browser.get(world.authorization_url() + "&state=other")
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


async def test_pkce_can_be_demanded_and_is_from_public_clients() -> None:
    demanding = World(policy=Policy(require_pkce=True))
    assert (await demanding.redirected(code_challenge="")).params["error"] == "invalid_request"
    public = World([a_client(token_endpoint_auth_method="none")])
    assert (await public.redirected(code_challenge="")).params["error"] == "invalid_request"


async def test_the_login_page_lists_the_test_people_and_announces_itself() -> None:
    world = World()
    response = await world.browser.get(world.authorization_url(), follow_redirects=True)
    assert "Test provider" in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]
    names = {value for form in read_forms(response.text) for name, value in form.buttons if name == "person"}
    assert names == {"ada", "grace", "konrad", "linus", "blank"}


async def test_pages_come_in_german_and_ui_locales_win() -> None:
    world = World()
    german = {"accept-language": "de-DE,de;q=0.9,en;q=0.8"}
    response = await world.browser.get(world.authorization_url(), headers=german, follow_redirects=True)
    assert '<html lang="de">' in response.text
    response = await world.browser.get(
        world.authorization_url(ui_locales="fr en"), headers=german, follow_redirects=True
    )
    assert '<html lang="en">' in response.text


async def interaction(world: World, **params: str) -> tuple[str, httpx2.Response]:
    response = await world.browser.get(world.authorization_url(**params))
    page = str(response.headers["location"])
    return page, await world.browser.get(page)


async def test_a_wrong_password_is_said_and_changes_nothing() -> None:
    world = World()
    page, _ = await interaction(world)
    for form in ({"username": "ada", "password": "wrong"}, {"username": "nobody", "password": "test"}, {}):
        response = await world.browser.post(page, data={**form, "action": "login"})
        assert response.status_code == 400
        assert 'role="alert"' in response.text
    assert not world.browser.cookies


async def test_name_and_password_log_in() -> None:
    world = World()
    page, _ = await interaction(world)
    form = {"username": "grace", "password": "test", "action": "login"}
    response = await world.browser.post(page, data=form, follow_redirects=False)
    response = await world.browser.get(response.headers["location"])
    tokens = (await world.exchange(_arrival(response))).json()
    _, claims = await world.decode(tokens["id_token"])
    assert (claims["sub"], claims["amr"]) == ("grace-1906", ["pwd"])


async def test_cancelling_goes_back_with_an_error() -> None:
    world = World()
    page, _ = await interaction(world)
    response = await world.browser.post(page, data={"action": "cancel"})
    assert _arrival(response).params["error"] == "access_denied"
    assert (await world.browser.get(page)).status_code == 404


async def test_a_form_of_another_site_is_refused() -> None:
    world = World()
    page, _ = await interaction(world)
    response = await world.browser.post(page, data={"person": "ada"}, headers={"origin": "https://evil.example"})
    assert response.status_code == 403


async def test_a_remembered_login_has_a_cookie_that_outlives_the_browser() -> None:
    world = World()
    for remember in ("yes", ""):
        page, _ = await interaction(world, prompt="login")
        response = await world.browser.post(page, data={"person": "ada", "remember": remember})
        cookies = response.headers.get_list("set-cookie")
        assert len(cookies) == 2
        assert all(("Max-Age=43200" in cookie) is bool(remember) for cookie in cookies)
        assert all("Secure" in cookie and "SameSite=None" in cookie for cookie in cookies)
        assert "HttpOnly" in cookies[0]


async def test_one_login_serves_further_requests_silently() -> None:
    world = World()
    await world.log_in()
    arrival = await world.redirected(prompt="none")
    assert "code" in arrival.params


async def test_prompt_login_asks_again_and_renews_auth_time() -> None:
    world = World()
    _, before = await world.decode((await world.tokens())["id_token"])
    world.now += 100
    _, silent = await world.decode((await world.tokens())["id_token"])
    _, after = await world.decode((await world.tokens(prompt="login"))["id_token"])
    assert (before["auth_time"], silent["auth_time"], after["auth_time"]) == (
        world.now - 100,
        world.now - 100,
        world.now,
    )
    assert before["sid"] == after["sid"]


async def test_max_age_asks_again_once_it_has_passed() -> None:
    world = World()
    await world.log_in()
    world.now += 60
    assert "code" in (await world.redirected(prompt="none", max_age="60")).params
    world.now += 1
    assert (await world.redirected(prompt="none", max_age="60")).params["error"] == "login_required"
    _, claims = await world.decode((await world.tokens(max_age="60"))["id_token"])
    assert claims["auth_time"] == world.now


async def test_select_account_offers_who_is_logged_in_and_keeps_auth_time() -> None:
    world = World()
    await world.log_in()
    world.now += 100
    page, shown = await interaction(world, prompt="select_account")
    assert "Continue as Ada Lovelace" in shown.text
    response = await world.browser.post(page, data={"action": "continue"})
    response = await world.browser.get(response.headers["location"])
    _, claims = await world.decode((await world.exchange(_arrival(response))).json()["id_token"])
    assert claims["auth_time"] == world.now - 100


async def test_another_person_gets_another_session() -> None:
    world = World()
    _, ada = await world.decode((await world.tokens())["id_token"])
    _, grace = await world.decode((await world.tokens("grace", prompt="select_account"))["id_token"])
    assert (ada["sub"], grace["sub"]) == ("ada-1815", "grace-1906")
    assert ada["sid"] != grace["sid"]


async def test_hints_decide_whether_a_silent_login_fits() -> None:
    world = World()
    token = (await world.tokens())["id_token"]
    assert "code" in (await world.redirected(prompt="none", id_token_hint=token, login_hint="ada@example.com")).params
    assert (await world.redirected(prompt="none", login_hint="grace")).params["error"] == "login_required"
    await world.tokens("grace", prompt="login")
    assert (await world.redirected(prompt="none", id_token_hint=token)).params["error"] == "login_required"


async def test_a_login_hint_stands_in_the_form() -> None:
    world = World()
    _, page = await interaction(world, login_hint='grace"><b>')
    assert "grace&quot;&gt;&lt;b&gt;" in page.text


async def test_a_context_class_that_was_asked_for_is_reached() -> None:
    world = World()
    _, claims = await world.decode((await world.tokens(acr_values="urn:two-factor urn:one"))["id_token"])
    assert claims["acr"] == "urn:two-factor"
    assert (await world.redirected(prompt="none", acr_values="urn:three")).params["error"] == "login_required"
    claims_parameter = json.dumps({"id_token": {"acr": {"essential": True, "values": ["urn:three"]}, "groups": None}})
    _, claims = await world.decode((await world.tokens(claims=claims_parameter))["id_token"])
    assert (claims["acr"], claims["groups"]) == ("urn:three", ["engines", "mathematics"])


async def test_consent_is_asked_for_once_if_it_is_to_be_remembered() -> None:
    world = World(policy=Policy())
    url = world.authorization_url()
    assert "code" in (await approve(world.browser, url)).params
    assert (await world.redirected(prompt="none")).params["error"] == "consent_required"
    assert "code" in (await approve(world.browser, url, remember_consent=True)).params
    assert "code" in (await world.redirected(prompt="none")).params
    assert (await world.redirected(prompt="none", scope="openid roles")).params["error"] == "consent_required"
    _, shown = await interaction(world, prompt="consent")
    assert "Relying Party asks Ada Lovelace" in shown.text


async def test_saying_no_goes_back_with_an_error() -> None:
    world = World(policy=Policy())
    arrival = await approve(world.browser, world.authorization_url(), deny=True)
    assert arrival.params["error"] == "access_denied"


async def test_the_driver_says_when_there_is_nothing_to_press() -> None:
    world = World()
    with pytest.raises(StateError, match="status 400") as caught:
        await approve(world.browser, world.authorization_url(client_id="stranger"))
    assert caught.value.code == "unexpected_page"
    with pytest.raises(StateError):
        await approve(world.browser, world.authorization_url(), person="nobody")


async def test_an_issuer_with_a_path_works_mounted_and_not() -> None:
    world = World(issuer="https://op.example/realms/test")
    assert "code" in (await world.log_in()).params
    mounted = httpx2.AsyncClient(
        transport=httpx2.ASGITransport(world.provider, root_path="/realms/test"), base_url="https://op.example"
    )
    document = (await mounted.get("/realms/test/.well-known/openid-configuration")).json()
    assert document["issuer"] == "https://op.example/realms/test"
    assert document["token_endpoint"] == "https://op.example/realms/test/token"


async def test_clients_without_a_fitting_encryption_key_get_an_error() -> None:
    client = a_client(id_token_encrypted_response_alg="RSA-OAEP-256")
    world = World([client])
    response = await world.exchange(await world.log_in())
    assert (response.status_code, response.json()["error"]) == (500, "server_error")


def _arrival(response: httpx2.Response) -> Arrival:
    assert response.status_code == 303, response.text
    return Arrival(response.headers["location"])
