"""What the suite lacks about logins: stale, stormy, mixed-up and forged ones, and what becomes of each."""

import asyncio
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from tests.actors import ORIGIN, SERVER, Browser
from tests.oidc.conformance import QUIET, Setup, claims_told, is_refused, logs_in, playing, plays, seen_id_tokens
from tests.oidc.network import Internet
from tests.oidc.wire import authorization_requests, claims_of, token_requests, userinfo_requests
from tests.oidc.world import CLIENT, ISSUER, KEYS, asked, opened, provider_settings
from tests.qr.conftest import Clock
from useid_middleware import LoginCompleted, LoginFailed
from useid_middleware.emulation.provider.app import Provider

#: Where no login may lead, in the spellings by which redirects have been stolen.
EVIL = """
//evil.example
///evil.example
////evil.example
//evil.example/%2f..
//evil%00.example
//evil。example
/\\evil.example
/\\/evil.example
\\\\evil.example
\\/evil.example
\\evil.example
/%5cevil.example
/%5c%5cevil.example
/%5C/evil.example
/%255cevil.example
/%25255cevil.example
/%2fevil.example
/%2f%2fevil.example
/%2F/evil.example
/%252fevil.example
/%252f%252fevil.example
/%09/evil.example
/%0a/evil.example
/%0d/evil.example
/%0d%0a/evil.example
/%250d%250a//evil.example
/%00
/%00//evil.example
http://evil.example
http://evil.example/
https://evil.example/
https:evil.example
https:/evil.example
https:///evil.example
https:\\\\evil.example
http:evil.example
HTTP://EVIL.EXAMPLE/
ftp://evil.example/
ws://evil.example/
file:///etc/passwd
javascript:alert(1)
JaVaScRiPt:alert(1)
javascript://127.0.0.1:8000/%0aalert(1)
data:text/html,x
vbscript:x
blob:http://127.0.0.1:8000/x
view-source:http://evil.example/
http://127.0.0.1:8000@evil.example/
http://127.0.0.1:8000:x@evil.example/
http://127.0.0.1:8000%40evil.example/
http://127.0.0.1:8000#@evil.example/
http://127.0.0.1:8000\\@evil.example/
http://127.0.0.1:8000.evil.example/
http://127.0.0.1:8000evil.example/
http://127.0.0.1:80001/
http://127.0.0.1:8001/
http://127.0.0.1/
https://127.0.0.1:8000/
http://0x7f000001:8000/
http://localhost:8000/
http://[::1]:8000/
http://[::1/
http://127.0.0.1:8000
http://127.0.0.1:8000//evil.example
http://127.0.0.1:8000/%2fevil.example
http://127.0.0.1:8000/\\evil.example
http://user:word@127.0.0.1:8000/
evil.example
?next=//evil.example
#//evil.example
start
""".strip().splitlines()
#: Those that a line cannot hold, and one without end.
EVIL += [" /start", "/sta rt", "/\tevil.example", "\t//evil.example", "/\r\nX: y", "/\u2028", "/é", "/" + "a" * 5000]


@plays("asked-here", "stale iat")
async def test_an_id_token_of_yesterday_is_refused_though_it_has_not_expired(
    plan: str, module: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with playing("stale-iat") as world:
        await is_refused(world, "token_claim_invalid", "id_token: iat:", caplog, asks_token=1)


@plays("asked-here", "typ confusion")
async def test_a_token_of_another_kind_is_no_id_token(plan: str, module: str, caplog: pytest.LogCaptureFixture) -> None:
    for fault in ("typ-at-jwt", "typ-logout-jwt"):
        async with playing(fault) as world:
            await is_refused(world, "token_claim_invalid", "id_token: typ:", caplog, asks_token=1)


@plays("asked-here", "duplicated callback")
async def test_the_same_callback_twice_is_one_login(plan: str, module: str) -> None:
    async with playing() as world:
        browser, stranger = world.browser(), world.browser()
        arrival = await world.approve(await world.begin(browser))
        elsewhere = await world.come_back(stranger, arrival)  # Without our cookie nobody uses the code up …
        assert (elsewhere.status, await world.who(stranger)) == (400, "")
        assert not token_requests(world)
        both = await asyncio.gather(world.come_back(browser, arrival), world.come_back(browser, arrival))
        assert sorted(answer.header("location") for answer in both) == ["/", "/auth/login?provider=op"]
        again = await world.come_back(browser, arrival)  # … and the back button tells a logged-in person nothing.
        assert (again.status, again.header("location")) == (303, "/")
        assert await world.who(browser) == "ada"
        assert len(token_requests(world)) == 1
        assert len(world.told(LoginCompleted)) == 1
        assert [failed.code for failed in world.told(LoginFailed)] == ["cookie_missing", "state_mismatch"]


async def test_parameters_that_come_twice_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with playing("duplicated-parameters") as world:
        await is_refused(world, "callback_invalid", "callback: expected each parameter once", caplog, asks_token=0)


@plays("asked-here", "two tabs")
async def test_two_tabs_log_in_at_once_whichever_comes_back_first(plan: str, module: str) -> None:
    for order in ((0, 1), (1, 0)):
        async with playing() as world:
            browser = world.browser()
            addresses = [await world.begin(browser, **{"return": f"/tab{number}"}) for number in (0, 1)]
            arrivals = [await world.approve(address) for address in addresses]
            for number in order:
                answer = await world.come_back(browser, arrivals[number])
                assert (answer.status, answer.header("location")) == (303, f"/tab{number}")
                assert await world.who(browser) == "ada"
            assert not world.told(LoginFailed)


async def test_of_too_many_tabs_the_oldest_begins_anew() -> None:
    async with playing(oidc={"attempt_slots": 3}) as world:
        browser = world.browser()
        arrivals = []
        for _ in range(4):
            arrivals.append(await world.approve(await world.begin(browser)))
            world.clock.advance(1)
        answer = await world.come_back(browser, arrivals[0])
        assert answer.header("location") == "/auth/login?provider=op"
        assert [failed.code for failed in world.told(LoginFailed)] == ["state_mismatch"]


@plays("asked-here", "fetch storm by random kids")
async def test_unknown_keys_make_one_more_fetch_and_no_storm(
    plan: str, module: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with playing() as world:
        await logs_in(world)
        world.provider.inject("random-kid")
        for _ in range(10):
            await is_refused(world, "token_key_unknown", "id_token:", caplog, asks_token=1)
            world.clock.advance(1)
        browsers = [world.browser() for _ in range(10)]
        arrivals = [await world.approve(await world.begin(browser)) for browser in browsers]
        await asyncio.gather(*map(world.come_back, browsers, arrivals))
        assert len(world.provider.received("/jwks")) == 2
        assert len(world.told(LoginFailed)) == 20
        world.provider.clear()  # The good keys are still there for everybody else.
        await world.log_in(browser := world.browser())
        assert await world.who(browser) == "ada"
        assert len(world.provider.received("/jwks")) == 2


@plays("asked-here", "JWKS down with a warm cache")
async def test_keys_that_are_known_serve_while_their_endpoint_is_down_for_a_day(
    plan: str, module: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with playing() as world:
        await logs_in(world)
        world.provider.inject("down-jwks", "down-discovery")
        for _ in range(3):
            world.clock.advance(3601)
            await logs_in(world)
        assert "using what a provider said 10803 s ago, since provider_unreachable" in caplog.text
        world.clock.advance(86400)
        answer = await world.browser().get("/login?provider=op")
        assert answer.status == 503
        assert [failed.code for failed in world.told(LoginFailed)] == ["provider_unreachable"]
        world.provider.clear()
        world.clock.advance(31)
        await world.log_in(browser := world.browser())
        assert await world.who(browser) == "ada"


@plays("asked-here", "mix-up between two providers")
async def test_a_code_of_one_provider_never_reaches_another(plan: str, module: str) -> None:
    evil_issuer = "http://127.0.0.1:9666"
    clock = Clock()
    client = replace(CLIENT, redirect_uris=(f"{SERVER}/callback/op", f"{SERVER}/callback/evil"))
    honest = Provider(ISSUER, clients=[client], keys=KEYS, clock=clock)
    evil = Provider(evil_issuer, clients=[client], keys=KEYS, clock=clock)
    providers = {"op": provider_settings(), "evil": provider_settings(issuer=evil_issuer)}
    network = Internet({ISSUER: honest, evil_issuer: evil})
    async with opened(op=honest, clock=clock, transport=network, oidc={"providers": providers}) as world:
        browser = world.browser()
        # The person begins a login at the attacker's provider, which sends them on to the honest one …
        for callback, code in (("evil", "callback_issuer_mismatch"), ("op", "state_mismatch")):
            begun = (await browser.get("/login?provider=evil")).header("location")
            assert asked(begun)["redirect_uri"] == f"{SERVER}/callback/evil"
            request = asked(begun) | {"redirect_uri": f"{SERVER}/callback/{callback}"}
            arrival = await world.approve(f"{ISSUER}/authorize?{urlencode(request)}")
            assert arrival.url.startswith(f"{SERVER}/callback/{callback}?")
            await world.come_back(browser, arrival)
            assert world.told(LoginFailed)[-1].code == code
        # … and gets the code in neither way.
        assert not evil.received("/token")
        assert not honest.received("/token")
        assert await world.who(browser) == ""


@plays("asked-here", "evil redirect corpus")
async def test_a_login_leads_to_no_page_elsewhere(plan: str, module: str) -> None:
    assert len(EVIL) >= 60
    async with playing() as world:
        for target in EVIL:
            for path in (
                f"/login?{urlencode({'provider': 'op', 'return': target})}",
                f"/initiate?{urlencode({'iss': ISSUER, 'target_link_uri': target})}",
            ):
                browser = world.browser()
                begun = await browser.get(path)
                assert begun.status == 303, (target, begun.body)
                answer = await world.come_back(browser, await world.approve(begun.header("location")))
                assert (answer.status, answer.header("location")) == (303, "/"), target
        assert not world.told(LoginFailed)


@plays("asked-here", "proxy scheme")
async def test_scheme_and_host_are_those_of_the_settings_whatever_headers_say(plan: str, module: str) -> None:
    origin = "https://shop.example"
    client = replace(QUIET, redirect_uris=(f"{origin}/auth/callback",))
    lies = {
        "x-forwarded-proto": "http",
        "x-forwarded-host": "evil.example",
        "forwarded": "host=evil.example;proto=http",
    }
    async with opened(client=client, origin=origin) as world:
        browser = Browser(world.app, headers={"accept": "text/html", **lies}, host="evil.example")
        answer = await world.log_in(browser)
        assert (answer.status, answer.header("location")) == (303, "/")
        assert {params["redirect_uri"] for params in authorization_requests(world)} == {f"{origin}/auth/callback"}
        assert await world.who(browser) == "ada"
        cookies = [value.decode() for name, value in answer.headers if name == b"set-cookie"]
        assert [cookie.split("=")[0] for cookie in cookies] == ["__Host-useid-session"]
        assert "Secure" in cookies[0]
    async with playing() as world:  # In development the request's own loopback host counts, and no header about it.
        browser = Browser(world.app, headers={"accept": "text/html", **lies})
        await world.log_in(browser)
        assert await world.who(browser) == "ada"
        stranger = Browser(world.app, headers={"accept": "text/html"}, host="evil.example")
        assert (await stranger.get("/login?provider=op")).status == 421


@plays("asked-here", "10 KB ID token")
async def test_a_large_id_token_fits_and_the_cookies_stay_small(plan: str, module: str) -> None:
    async with playing("large-id-token", setup=Setup(client=QUIET)) as world:
        tokens = seen_id_tokens(world)
        browser = world.browser()
        answer = await world.log_in(browser)
        assert len(tokens[0]) > 10 * 1024
        assert await world.who(browser) == "ada"
        assert len(userinfo_requests(world)) == 1
        assert len(claims_told(world)["padding"]) == 10 * 1024
        assert sum(len(name) + len(value) for name, value in answer.headers) < 1000
        assert sum(len(name) + len(value) for name, value in browser.cookies.items()) < 200
        headers = {"content-type": "application/x-www-form-urlencoded", "origin": ORIGIN}
        left = await browser.send("POST", "/auth/logout", b"", headers)
        # Servers refuse addresses as long as that; without the hint the provider asks the person.
        sent = asked(left.header("location"))
        assert "id_token_hint" not in sent
        assert sent["client_id"] == world.provider.realm.clients["shop"].client_id
        assert claims_of(tokens[0])["sub"] == "ada-1815"
