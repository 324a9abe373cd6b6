"""The ways through the calls: whoever walks them all has been told every success that the description knows."""

import json
import re
from html import unescape
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from tests.actors import Answer, Browser, Phone
from tests.eid.world import SECRET, code_in, path_of, token_url_in
from tests.hosts.logins import at_provider, by_card, by_passkey, by_qr, ceremony
from tests.oidc.world import asked
from tests.openapi.world import FORM, ISSUER, ORIGIN, SHOP, TOKEN, Everybody
from tests.webauthn.bound import BoundPhone, Desktop
from tests.webauthn.world import Authenticator
from useid_middleware.eid.core.sealing import seal_refresh_url
from useid_middleware.emulation.provider.driver import approve


async def call(browser: Browser, method: str, path: str, body: Any) -> Answer:
    """A call with JSON."""
    headers = {"content-type": "application/json", "origin": ORIGIN}
    return await browser.send(method, f"/auth{path}", json.dumps(body).encode(), headers)


async def submit(browser: Browser, path: str, **fields: str) -> Answer:
    """A form of our own pages."""
    headers = {"content-type": FORM, "origin": ORIGIN}
    return await browser.send("POST", f"/auth{path}", urlencode(fields).encode(), headers)


async def seen(browser: Browser, path: str, status: int, headers: dict[str, str] | None = None) -> Answer:
    """A page or file that is there, and that is not sent again to who has it."""
    answer = await browser.get(path, headers)
    assert answer.status == status, (path, answer.body)
    if answer.header("etag"):
        again = await browser.get(path, {"if-none-match": answer.header("etag")})
        assert again.status == 304, path
    return answer


async def until_over(browser: Browser, path: str) -> None:
    """Follow a stream to its end, and ask once more."""
    async with browser.stream(path) as stream:
        await stream.end()
        _, told = stream.events()[-1]
    again = await browser.get(path, {"last-event-id": str(told["version"])})
    assert again.status == 204, again.body


async def phones_and_sessions(everybody: Everybody) -> None:
    """Add a phone, use it, revoke it; list sessions, end others, log out."""
    owner, other, phone = await everybody.log_in("dora"), await everybody.log_in("dora"), everybody.phone()
    second = everybody.phone()
    offer = (await owner.post("/devices/enrol")).json()
    await seen(owner, f"/devices/enrol/{offer['enrolmentId']}", 200)
    proof = await phone.prove(offer["qrData"])
    await owner.post(f"/devices/enrol/{offer['enrolmentId']}/confirm", {"code": proof.json()["code"]})
    await until_over(owner, f"/devices/enrol/{offer['enrolmentId']}/events")
    await second.enrol(owner)
    devices = (await owner.get("/devices")).json()["devices"]
    await rejected(everybody, second)
    assert [(await owner.delete(f"/devices/{each['id']}")).status for each in devices] == [204, 204]
    found = (await owner.get("/sessions")).json()["sessions"]
    async with other.stream("/sessions/current/events") as stream:
        assert (await stream.next())[0] == "alive"
        (ended,) = [each["id"] for each in found if not each["current"]]
        assert (await owner.delete(f"/sessions/{ended}")).status == 204
        assert (await stream.next())[0] == "ended"
    assert (await owner.delete("/sessions")).status == 204
    assert (await owner.post("/logout")).status == 204
    assert (await submit(owner, "/logout")).status == 303


async def rejected(everybody: Everybody, phone: Phone) -> None:
    """The phone's user says no."""
    desktop = everybody.browser()
    created = (await desktop.post("/session/create")).json()
    await seen(desktop, f"/session/{created['sessionId']}", 200)
    await seen(desktop, f"/session/{created['sessionId']}/qr.svg", 200)
    assert (await phone.reject(created["qrData"])).status == 200
    await until_over(desktop, f"/session/{created['sessionId']}/events")


async def passkeys(everybody: Everybody) -> None:
    """Add, list, rename, use and delete one."""
    owner, authenticator = await everybody.log_in("emil"), Authenticator(ORIGIN)
    made = (await ceremony(owner, "/passkeys/options", "/passkeys", authenticator.create)).json()
    assert (await call(owner, "PATCH", f"/passkeys/{made['id']}", {"label": "Key"})).status == 204
    assert len((await owner.get("/passkeys")).json()["passkeys"]) == 1
    await seen(owner, "/passkeys/manage", 200)
    await seen(owner, "/step-up", 200)
    await ceremony(owner, "/passkeys/step-up/options", "/passkeys/step-up", authenticator.get)
    await seen(owner, "/step-up", 303)
    assert (await owner.delete(f"/passkeys/{made['id']}")).status == 204


async def pages(everybody: Everybody) -> None:
    """What anybody may look at, and what only somebody who is logged in."""
    stranger, owner = everybody.browser(), await everybody.log_in()
    widget = urlencode({"id": "shop", "origin": SHOP["origins"][0]})
    for path in ("/login", "/error", "/eid", "/embed.js", "/openapi.json", f"/widget?{widget}"):
        await seen(stranger, path, 200)
    for path in ("/widget/qr-auth.js", "/widget/locales/de.js"):
        await seen(stranger, path, 200)
    for path in ("/login?provider=op", "/logout", "/passkeys/manage", "/logout/done?state=x"):
        await seen(stranger, path, 303)
    for path in ("/logout", "/profile", "/session-monitor", "/session-monitor/renew"):
        await seen(owner, path, 200)


async def metrics(everybody: Everybody) -> None:
    """What Prometheus reads."""
    await seen(everybody.browser(), "/metrics", 200, {"authorization": f"Bearer {TOKEN}"})


async def without_script(everybody: Everybody) -> None:
    """The login by QR of a browser without JavaScript."""
    desktop, phone = everybody.browser(), await everybody.enrolled_phone()
    page = (await submit(desktop, "/plain", returnUrl="/orders")).header("location").removeprefix("/auth")
    (link,) = set(re.findall(r'href="(tana:[^"]+)"', (await seen(desktop, page, 200)).body.decode()))
    code = (await phone.approve(unescape(link))).json()["code"]
    assert (await submit(desktop, page, code="")).status == 403
    finished = await submit(desktop, page, code=code)
    assert (finished.status, finished.header("location")) == (303, "/orders")


async def card_by_phone(everybody: Everybody) -> None:
    """The card at a phone with a stock client, whose browser shows the code; and the page without script."""
    desktop, phone = everybody.browser(), everybody.browser(ip="198.51.100.7")
    started = (await desktop.post("/eid/start", {"mode": "standard"})).json()
    start = path_of(started["startUrl"]).removeprefix("/auth")
    await seen(phone, start, 200)
    outcome = await everybody.use_card(token_url_in(await submit(phone, start)))
    assert outcome.is_ok, outcome
    code = code_in(await phone.send("GET", path_of(outcome.address)))
    claimed = await desktop.post(f"/eid/session/{started['sessionId']}/claim", {"code": code})
    assert claimed.status == 200, claimed.body
    await until_over(desktop, f"/eid/session/{started['sessionId']}/events")
    assert (await submit(everybody.browser(), "/eid/plain")).status == 200


async def card_with_widget(everybody: Everybody) -> None:
    """The client that knows the widget."""
    desktop, phone = everybody.browser(), everybody.browser(ip="198.51.100.7")
    started = (await desktop.post("/eid/start", {"mode": "integrated"})).json()
    login = f"/eid/session/{started['sessionId']}"
    assert (await phone.send("GET", path_of(started["tcTokenUrl"]))).status == 200
    sealed = seal_refresh_url(f"{ORIGIN}/x", secret=SECRET, session_id=started["sessionId"], nonce=bytes(12))
    assert (await call(phone, "POST", f"{login}/sealed", {"sealedRefreshUrl": sealed})).status == 204
    assert (await desktop.get(login)).json()["sealedRefreshUrl"] == sealed


async def other_service(everybody: Everybody) -> None:
    """A message to the embedded server's SOAP interface; it too says what is wrong with the status 200."""
    answer = await everybody.browser().send("POST", "/auth/eid/soap", b"<x/>", {"content-type": "text/xml"})
    assert answer.status == 200


async def provider_and_back(everybody: Everybody) -> None:
    """What a provider's session does: is watched, renewed, and ends by either side."""
    browser = everybody.browser()
    async with everybody.at_provider() as there:
        left = (await browser.get("/login?provider=op")).header("location")
        await browser.send("GET", path_of((await approve(there, left, remember_consent=True)).url))
        renewal = (await seen(browser, "/session-monitor/renew", 303)).header("location")
        silent = await there.get(renewal)
        assert (await browser.send("GET", path_of(silent.headers["location"]))).status == 200
    assert (await browser.get("/sessions")).status == 200
    assert (await browser.post("/logout")).json()["redirectTo"].startswith(ISSUER)


async def provider_calls(everybody: Everybody) -> None:
    """Calls of providers and of third parties."""
    browser, elsewhere = everybody.browser(), {"content-type": FORM, "sec-fetch-site": "cross-site"}
    state = asked((await browser.get("/login?provider=op")).header("location"))["state"]
    posted = await everybody.browser().send("POST", "/auth/callback/op", f"code=1&state={state}".encode(), elsewhere)
    assert (await browser.send("GET", posted.header("location"))).status == 502
    await seen(browser, f"/initiate?{urlencode({'iss': ISSUER})}", 303)
    assert (await submit(browser, "/initiate", iss=ISSUER)).status == 303
    by_reference = asked((await browser.get("/login?provider=other")).header("location"))["request_uri"]
    assert (await everybody.browser().send("GET", urlsplit(by_reference).path)).status == 200
    await seen(browser, f"/frontchannel-logout?{urlencode({'iss': ISSUER, 'sid': 'of nobody'})}", 200)


async def logged_out_by_provider(everybody: Everybody) -> None:
    """The back channel: once by the provider, and a token that is none."""
    await at_provider(everybody)
    assert {each.status for each in await everybody.provider.logout(subject="ada-1815")} == {200}
    assert (await submit(everybody.browser(), "/backchannel-logout", logout_token="x")).status == 400


async def bound(everybody: Everybody) -> None:
    """At L2: the page is asked for the phone's credential."""
    desktop, phone = Desktop(everybody.browser()), BoundPhone(everybody.phone())
    await phone.phone.enrol(await everybody.log_in())
    await desktop.start()
    async with desktop.browser.stream(f"/session/{desktop.session_id}/events") as stream:
        await phone.take_part(desktop)
        while (await stream.next())[0] != "authenticate":
            pass
    proved = await desktop.prove(await desktop.status(), phone.authenticator)
    assert proved.status == 200, proved.body
    assert (await desktop.follow((await desktop.status())["sealedRefreshUrl"])).status == 303


#: At L1; the last one is for a plugin at L2.
WALKS: Final = (
    *(by_qr, at_provider, by_card, by_passkey, phones_and_sessions, passkeys, pages, metrics, without_script),
    *(card_by_phone, card_with_widget, other_service, provider_and_back, provider_calls, logged_out_by_provider),
)
BOUND: Final = bound
