"""The page "Magnus flow", arrow by arrow, in one login of Erika Mustermann's at her bank."""

import re
from typing import Final
from urllib.parse import urlsplit

from tests.eid.magnus import BACKEND, BANK, SECRET, App, Widget, World, magnus
from tests.eid.watched_store import WatchedStore
from tests.test_flow import magnus_arrows
from useid_middleware.eid.core.link import parse_link
from useid_middleware.events import EIDApproved, EIDLoginStarted

#: What happens and the page does not draw, in this order: the widget's script, the widget's session with its cookie,
#: and the dialogue between eID server and card, of which the page has the first and the last message.
UNDRAWN: Final = [
    "browser > backend: GET /auth/embed.js",
    "widget > backend: POST /auth/eid/start",
    "app > server: EAC1Output",
    "server > app: EAC2Input",
    "app > server: EAC2Output",
    "server > app: Transmit",
]


async def walk(world: World) -> str:
    """One login, from the first click to the page that greets the person; returns that page."""
    drawing = world.drawing
    browser = world.network("browser", BANK)
    drawing.arrow("user", "browser", "open")
    page = (await browser.send("GET", "/")).body.decode()
    script = dict(re.findall(r'([\w-]+)="([^"]*)"', page))
    await world.network("browser", BACKEND).send("GET", urlsplit(script["src"]).path)

    widget = Widget(drawing, world.network("widget", BACKEND))
    await widget.load(tenant=script["data-tenant"], tc_token_url=script["data-tc-token-url"])
    link = await widget.start()
    async with widget.listening() as stream:
        assert await stream.next_status() == "waiting"
        shown = widget.show(link)

        drawing.arrow("user", "smartphone", "open camera")
        drawing.arrow("smartphone", "widget", "scan QR Code")
        assert parse_link(shown).tc_token_url == script["data-tc-token-url"]
        drawing.arrow("widget", "smartphone", "return <br>[eIDClientURL]")
        outcome = await App(drawing, lambda host: world.network("app", host)).open(shown)
        assert (outcome.is_ok, outcome.is_sealed, outcome.address) == (True, True, "")

        name, told = await stream.next()
        assert (name, told["status"]) == ("status", "approved")
    target = urlsplit(widget.decrypt(told["sealedRefreshUrl"]))
    drawing.arrow("widget", "browser", "redirect to <br>[refreshURL]")
    welcome = await browser.send("GET", f"{target.path}?{target.query}")
    drawing.arrow("browser", "user", "view page")
    return welcome.body.decode()


async def test_the_login_goes_as_the_magnus_page_draws_it() -> None:
    async with magnus() as world:
        assert await walk(world) == "<h1>Welcome ERIKA MUSTERMANN</h1>"
        assert world.drawing.arrows == magnus_arrows()
        assert world.drawing.undrawn == UNDRAWN
        assert len(world.drawing.arrows) == 40


async def test_the_widgets_backend_learns_that_somebody_logged_in_and_neither_who_nor_where() -> None:
    async with magnus() as world:
        await walk(world)
        assert [type(event) for event in world.heard] == [EIDLoginStarted, EIDApproved]
        assert isinstance(world.useid.store, WatchedStore)
        written = b"\n".join(world.useid.store.written)
        # It was told the tcTokenURL; what the client sent it is sealed.
        assert b"/eid/tctoken" in written
        assert [each for each in (b"/eid/refresh", b"ERIKA", b"MUSTERMANN", SECRET) if each in written] == []
