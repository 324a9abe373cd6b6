"""The logins that must work at every host, each once: they know a place, and nothing of what serves it."""

import json
from typing import Any, Final
from urllib.parse import urlencode

from tests.actors import Answer, Browser
from tests.hosts.people import Caller, Place, path_of
from tests.webauthn.world import Authenticator
from useid_middleware.emulation.provider.driver import approve

#: Where the logins lead, below the app's own address.
TARGET: Final = "/who"


def here(place: Place, path: str) -> str:
    """The path of a page of the app, from the host's root."""
    return path_of(place.url) + path


async def page(place: Place, browser: Browser, path: str) -> Answer:
    """A page of the app."""
    return await browser.send("GET", here(place, path))


async def who(place: Place, browser: Browser) -> dict[str, Any]:
    """Whom the framework's request object knows."""
    answer = await page(place, browser, "/who")
    assert answer.status == 200, answer.body
    told: dict[str, Any] = json.loads(answer.body)
    assert told["root"] == path_of(place.url)
    return told


async def by_qr(place: Place) -> None:
    """Scan with a phone, see it on the page at once, type the code."""
    desktop, phone = place.browser(), Caller(place)
    owner = place.browser()
    assert (await page(place, owner, "/as/alice")).status < 300
    await phone.enrol(owner)
    created = await desktop.post("/session/create", {"returnUrl": here(place, TARGET)})
    assert created.status == 201, created.body
    session_id, link = created.json()["sessionId"], created.json()["qrData"]
    async with desktop.stream(f"/session/{session_id}/events") as stream:
        assert await stream.next_status() == "waiting"
        assert not stream.ended
        code = (await phone.approve(link)).json()["code"]
        assert [await stream.next_status() for _ in range(2)] == ["scanned", "approved"]
        assert not stream.ended
    claimed = await desktop.post(f"/session/{session_id}/claim", {"code": code})
    assert (claimed.status, claimed.json()["redirectTo"]) == (200, here(place, TARGET))
    told = await who(place, desktop)
    assert (told["name"], told["scopes"]) == ("alice", ["authenticated", "L0", "L1"])


async def at_provider(place: Place) -> None:
    """Leave for the provider, log in there, come back."""
    browser = place.browser()
    query = urlencode({"provider": "op", "return": here(place, TARGET)})
    left = await browser.get(f"/login?{query}")
    assert left.status == 303, left.body
    async with place.at_provider() as there:
        arrival = await approve(there, left.header("location"))
    assert arrival.url.startswith(f"{place.url}/auth/callback")
    back = await browser.send("GET", path_of(arrival.url))
    assert (back.status, back.header("location")) == (303, here(place, TARGET)), back.body
    assert (await who(place, browser))["name"] == "ada"


async def by_card(place: Place) -> None:
    """The ID card at this device: tcToken, PAOS, and back by the refresh address."""
    browser = place.browser()
    started = await browser.post("/eid/start", {"mode": "same-device", "returnUrl": here(place, TARGET)})
    assert started.status == 201, started.body
    assert started.json()["tcTokenUrl"].startswith(f"{place.url}/auth/eid/tctoken/")
    outcome = await place.use_card(started.json()["tcTokenUrl"])
    assert outcome.is_ok, outcome
    back = await browser.send("GET", path_of(outcome.address), headers={"accept": "text/html"})
    assert (back.status, back.header("location")) == (303, here(place, TARGET)), back.body
    told = await who(place, browser)
    assert (told["name"], told["scopes"][-1]) == ("ERIKA", "L3")


async def by_passkey(place: Place) -> None:
    """Add a passkey to an account, and log in with it elsewhere."""
    owner, browser = place.browser(), place.browser()
    origin = place.url.removesuffix(path_of(place.url))
    authenticator = Authenticator(origin=origin)
    assert (await page(place, owner, "/as/carol")).status < 300
    await ceremony(owner, "/passkeys/options", "/passkeys", authenticator.create)
    claimed = await ceremony(browser, "/passkeys/login/options", "/passkeys/login", authenticator.get)
    assert claimed.status == 200
    told = await who(place, browser)
    assert (told["name"], told["scopes"][-1]) == ("carol", "L2")


async def ceremony(browser: Browser, begin: str, finish: str, use: Any) -> Answer:
    """Both calls of a ceremony, and the authenticator between them."""
    begun = await browser.post(begin)
    assert begun.status == 200, begun.body
    credential = use(begun.json()["options"])
    done = await browser.post(finish, {"ceremonyId": begun.json()["ceremonyId"], "credential": credential})
    assert done.status < 300, done.body
    return done


async def own_login(place: Place) -> None:
    """The app's own login and logout by way of the plugin, and a page that the framework's guard keeps."""
    browser = place.browser()
    assert await who(place, browser) == {
        "name": "", "id": "", "scopes": [], "root": path_of(place.url), "isAuthenticated": False
    }  # fmt: skip
    assert (await page(place, browser, "/guarded")).status in (401, 302)
    assert (await page(place, browser, "/as/bob")).status < 300
    told = await who(place, browser)
    assert (told["name"], told["isAuthenticated"], len(told["id"])) == ("bob", True, 22)
    assert (await page(place, browser, "/guarded")).status == 200
    assert (await page(place, browser, "/out")).status < 300
    assert (await who(place, browser))["isAuthenticated"] is False


LOGINS: Final = {
    "qr": by_qr,
    "oidc": at_provider,
    "eid": by_card,
    "passkey": by_passkey,
    "own": own_login,
}
