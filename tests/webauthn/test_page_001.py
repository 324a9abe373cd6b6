"""The page "Magnus flow" with WebAuthn, arrow by arrow, in one login of Erika Mustermann's at her bank."""

import re
from typing import Final
from urllib.parse import urlsplit

from tests.eid.magnus import BACKEND, BANK
from tests.eid.watched_store import WatchedStore
from tests.test_flow import webauthn_arrows
from tests.webauthn.magnus import App, Widget, World, bound_magnus
from tests.webauthn.world import Authenticator
from useid_middleware.eid.core.link import parse_link
from useid_middleware.events import EIDApproved, EIDLoginStarted, LoginBound

#: What a page's script cannot do: it sees no certificate of the server that it leads to. The WebAuthn server looks in
#: its place, before it releases anything (docs/security.md).
STAND_IN: Final = [
    ("widget", "eService", "create TLS connection"),
    ("eService", "widget", "return <br>[TLS certificate]"),
    ("widget", "widget", "validate TLS connection with info from WAS"),
]
#: What happens and the page does not draw, in this order; the last is what stands in.
UNDRAWN: Final = [
    "browser > webAuthnServer: GET /auth/embed.js",
    "widget > webAuthnServer: POST /auth/eid/start",
    "widget > webAuthnServer: GET /auth/eid/session/events",
    "webAuthnServer > eService: TLS",
]


async def walk(world: World) -> str:
    """One login, from the first click to the page that greets the person; returns that page."""
    drawing, smartphone = world.drawing, Authenticator(f"https://{BACKEND}")
    browser = world.network("browser", BANK)
    drawing.arrow("user", "browser", "open")
    page = (await browser.send("GET", "/")).body.decode()
    script = dict(re.findall(r'([\w-]+)="([^"]*)"', page))
    await world.network("browser", BACKEND).send("GET", urlsplit(script["src"]).path)

    widget = Widget(drawing, world.network("widget", BACKEND))
    await widget.load(tenant=script["data-tenant"], tc_token_url=script["data-tc-token-url"])
    shown = await widget.start()
    async with widget.listening() as stream:
        assert await stream.next_status() == "waiting"
        drawing.arrow("user", "smartphone", "use smartphone to scan QR code")
        link = parse_link(shown)
        assert link.widget is not None
        assert (link.tc_token_url, len(link.widget.public_key)) == (script["data-tc-token-url"], 32)
        outcome = await App(drawing, lambda host: world.network("app", host), smartphone).open(shown)
        assert (outcome.is_ok, outcome.is_sealed, outcome.is_bound, outcome.address) == (True, True, True, "")
        name, told = await stream.next()
        assert (name, told["status"]) == ("authenticate", "authenticating")
    credential = widget.ask_browser(told["options"], smartphone)
    target = urlsplit(await widget.prove(told["userId"], credential))
    drawing.arrow("widget", "browser", "redirects to refreshURL")
    welcome = await browser.send("GET", f"{target.path}?{target.query}")
    drawing.arrow("browser", "user", "view page")
    return welcome.body.decode()


async def test_the_login_goes_as_the_page_draws_it_but_for_what_no_script_can_do() -> None:
    async with bound_magnus() as world:
        assert await walk(world) == "<h1>Welcome ERIKA MUSTERMANN</h1>"
        drawn = webauthn_arrows()
        assert [arrow for arrow in drawn if arrow in STAND_IN] == STAND_IN
        assert world.drawing.arrows == [arrow for arrow in drawn if arrow not in STAND_IN]
        assert [re.sub(r"session/[\w-]{22}/", "session/", note) for note in world.drawing.undrawn] == UNDRAWN
        assert len(drawn) == 45


async def test_the_webauthn_server_learns_neither_who_it_was_nor_where_the_login_ends() -> None:
    async with bound_magnus() as world:
        await walk(world)
        assert [type(event) for event in world.heard] == [EIDLoginStarted, EIDApproved, LoginBound]
        assert isinstance(world.useid.store, WatchedStore)
        written = b"\n".join(world.useid.store.written)
        assert [each for each in (b"/eid/refresh", b"ERIKA", b"MUSTERMANN") if each in written] == []
