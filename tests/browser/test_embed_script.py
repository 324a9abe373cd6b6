"""``embed.js`` and the page in its frame: what passes between two origins, and what does not."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Browser, Frame, Page, expect

from tests.browser.eid_wire import EIDCard, EIDWire
from tests.browser.test_widget_access import SCREENSHOTS, serious_findings

#: What a page in a frame could send, and what is none of its messages.
NO_MESSAGES: tuple[object, ...] = (
    {"type": "useid:height", "height": "100"}, {"type": "useid:height", "height": None}, {"type": "useid:height"},
    {"type": "constructor"}, {"type": "__proto__", "height": 1}, {"height": 1}, "useid:height", None, [], 7,
)  # fmt: skip
NO_ADDRESSES: tuple[object, ...] = (
    "javascript:document.title='owned'", "data:text/html,owned", "eid://127.0.0.1:24727/eID-Client", "/orders", "",
    "http://shop.example/", "http://127.evil.example/", "http://localhost.evil.example/", "https://user@shop.example/",
    "https://u:p@shop.example/", ["https://shop.example/"], None, 7,
)  # fmt: skip
TAG = '<script src="{{embed}}" data-tenant="shop" {} async></script>'


@pytest.fixture
def wire() -> Iterator[EIDWire]:
    server = EIDWire(default_mode="integrated")
    server.start()
    yield server
    server.stop()


class Shop:
    """The embedding page, and the card in its frame."""

    def __init__(self, page: Page, wire: EIDWire) -> None:
        self.page = page
        self.wire = wire
        self.sent = 0
        self.iframe = page.locator("iframe")
        self.card = EIDCard(page, wire, within=page.frame_locator("iframe"))

    def open(self, path: str = "/shop") -> "Shop":
        """Load the shop's page; listens to what its script tells."""
        self.page.goto(self.wire.shop_origin + path)
        expect(self.card.root).to_be_attached()
        return self

    def listen(self, *, stay: bool = False) -> None:
        """Write down what the script's element tells, and every message to the window."""
        self.page.evaluate(
            """(stay) => {
              window.heard = [];
              window.messages = [];
              for (const name of ["useid-state", "useid-redirect", "useid-back"]) {
                document.addEventListener(name, (event) => {
                  heard.push([name, event.detail, event.target.localName]);
                  if (stay) event.preventDefault();
                });
              }
              window.addEventListener("message", (event) => messages.push([event.origin, event.data]));
            }""",
            stay,
        )

    @property
    def frame(self) -> Frame:
        """The page in the frame."""
        return next(frame for frame in self.page.frames if "/auth/widget" in frame.url)

    @property
    def height(self) -> float:
        """How high the frame is."""
        box = self.iframe.bounding_box()
        assert box is not None
        return box["height"]

    def send(self, message: object) -> None:
        """Send a message as the page in the frame would, and wait until it was heard: they arrive in their order."""
        self.sent += 1
        over = f"over {self.sent}"
        self.frame.evaluate("(all) => all.forEach((message) => parent.postMessage(message, '*'))", [message, over])
        self.page.wait_for_function("(over) => messages.some(([, data]) => data === over)", arg=over)


@pytest.fixture
def shop(page: Page, wire: EIDWire) -> Shop:
    return Shop(page, wire)


def test_the_frame_stands_behind_its_script_and_asks_for_what_the_page_says(shop: Shop) -> None:
    shop.wire.shop = TAG.format('data-tc-token-url="/eid/tctoken?session=1"') + "<p>After</p>"
    shop.open()
    assert shop.page.evaluate("document.querySelector('script').nextElementSibling.localName") == "iframe"
    asked = parse_qs(shop.wire.sent["/widget"]["?"])
    assert asked == {
        "id": ["shop"],
        "origin": [shop.wire.shop_origin],
        "tcTokenUrl": [f"{shop.wire.shop_origin}/eid/tctoken?session=1"],
        "lang": ["en"],
        "theme": ["light"],
    }
    # Where the person is on the shop's site is nobody else's business.
    assert "referer" not in shop.wire.sent["/widget"]
    assert shop.iframe.get_attribute("allow") == "clipboard-write; publickey-credentials-get"


@pytest.mark.parametrize(
    ("path", "title"), [("/shop", "Log in with your ID card"), ("/shop/de", "Mit dem Ausweis anmelden")]
)
def test_the_frame_has_a_title_in_the_page_s_language(shop: Shop, path: str, title: str) -> None:
    shop.open(path)
    assert shop.iframe.get_attribute("title") == title
    assert parse_qs(shop.wire.sent["/widget"]["?"])["lang"] == ["de" if "de" in path else "en"]


def test_a_target_that_comes_later_than_the_script_is_filled(shop: Shop) -> None:
    shop.wire.shop_head = TAG.format('data-target="#login"').format(embed=f"{shop.wire.origin}/auth/embed.js")
    shop.wire.shop = '<div id="login"><p>Loading</p></div>'
    shop.open()
    assert shop.page.evaluate("[...document.querySelector('#login').children].map((each) => each.localName)") == [
        "iframe"
    ]


@pytest.mark.parametrize(
    ("attributes", "style", "theme"),
    [
        ("", "", "light"),
        ("", '<meta name="color-scheme" content="light dark">', "auto"),
        ("", '<meta name="color-scheme" content="light">', "light"),
        ('data-theme="dark"', "", "dark"),
        ('data-theme="auto"', "", "auto"),
    ],
)
def test_the_theme_is_the_page_s(shop: Shop, attributes: str, style: str, theme: str) -> None:
    shop.wire.shop_head = style
    shop.wire.shop = TAG.format(attributes)
    shop.open()
    assert parse_qs(shop.wire.sent["/widget"]["?"])["theme"] == [theme]


def test_the_height_follows_the_content(shop: Shop) -> None:
    shop.open().card.shows("waiting")

    def fits() -> None:
        shop.page.wait_for_function(
            "(height) => Math.abs(document.querySelector('iframe').clientHeight - height) <= 1",
            arg=shop.frame.evaluate("document.documentElement.scrollHeight"),
        )
        assert shop.frame.evaluate("document.documentElement.scrollHeight <= innerHeight")

    fits()
    before = shop.height
    shop.card.root.locator("summary").click()
    shop.page.wait_for_function("(before) => document.querySelector('iframe').clientHeight > before + 50", arg=before)
    fits()
    shop.wire.move("rejected")
    shop.card.shows("rejected")
    shop.page.wait_for_function("(before) => document.querySelector('iframe').clientHeight < before", arg=before)
    fits()


def test_a_height_is_kept_within_bounds(shop: Shop) -> None:
    shop.open().card.shows("waiting")
    shop.listen()
    for height, expected in ((1234.5, 1234.5), (0, 0), (-5, 0), (4000, 4000), (4001, 4000), (1e300, 4000)):
        shop.send({"type": "useid:height", "height": height})
        assert shop.page.evaluate("parseFloat(document.querySelector('iframe').style.height)") == expected


def test_a_message_of_another_shape_changes_nothing(shop: Shop) -> None:
    shop.open().card.shows("waiting")
    shop.listen()
    shop.send({"type": "useid:height", "height": 777})
    for message in NO_MESSAGES:
        shop.send(message)
        assert shop.page.evaluate("document.querySelector('iframe').style.height") == "777px", message
    assert shop.page.evaluate("heard") == []


def test_a_message_from_another_window_changes_nothing(shop: Shop) -> None:
    shop.open().card.shows("waiting")
    shop.listen()
    redirect = {"type": "useid:redirect", "url": "https://evil.example/"}
    # The page's own window, and a second frame of the very origin that the widget's frame has.
    shop.page.evaluate("(message) => postMessage(message, '*')", redirect)
    shop.page.evaluate(
        """(src) => new Promise((resolve) => {
          const other = document.createElement("iframe");
          other.title = "Other";
          other.onload = resolve;
          other.src = src;
          document.querySelector("main").append(other);
        })""",
        f"{shop.wire.origin}/auth/widget?second",
    )
    other = next(frame for frame in shop.page.frames if frame.url.endswith("?second"))
    other.evaluate("(message) => parent.postMessage(message, '*')", redirect)
    shop.page.wait_for_function("() => messages.filter(([, { type }]) => type === 'useid:redirect').length === 2")
    assert shop.page.evaluate("heard") == []
    assert shop.page.url == f"{shop.wire.shop_origin}/shop"


def test_a_message_from_another_origin_in_the_widget_s_own_frame_changes_nothing(shop: Shop) -> None:
    shop.open().card.shows("waiting")
    shop.listen()
    with shop.page.expect_event("framenavigated", lambda frame: frame.url.startswith(shop.wire.stranger_origin)):
        shop.frame.evaluate("(url) => { location = url; }", f"{shop.wire.stranger_origin}/auth/widget?stranger")
    shop.page.evaluate("document.querySelector('iframe').style.height = '777px'")
    shop.send({"type": "useid:redirect", "url": "https://evil.example/"})
    shop.send({"type": "useid:height", "height": 4})
    assert shop.page.evaluate("document.querySelector('iframe').style.height") == "777px"
    assert shop.page.url == f"{shop.wire.shop_origin}/shop"


def test_a_sealed_address_takes_the_top_page_on(shop: Shop) -> None:
    shop.wire.refresh_origins = [shop.wire.shop_origin]
    shop.open().card.shows("waiting")
    target = f"{shop.wire.shop_origin}/refresh?token=1"
    shop.wire.seal(shop.card.read_link(), target)
    shop.card.shows("approved")
    shop.page.wait_for_url(target)
    shop.page.go_back()
    assert shop.page.url == f"{shop.wire.shop_origin}/shop"


def test_the_page_hears_of_the_state_and_never_of_the_secret(shop: Shop) -> None:
    shop.wire.refresh_origins = [shop.wire.shop_origin]
    shop.open().card.shows("waiting")
    shop.listen(stay=True)
    shop.wire.move("scanned")
    shop.card.shows("scanned")
    target = f"{shop.wire.shop_origin}/refresh?token=1"
    secret = shop.card.read_link().partition("widgetSessionSecret=")[2]
    shop.wire.seal(shop.card.read_link(), target)
    shop.page.wait_for_function("() => heard.some(([name]) => name === 'useid-redirect')")
    heard: list[list[Any]] = shop.page.evaluate("heard")
    states = [detail for name, detail, _ in heard if name == "useid-state"]
    assert states[0] == {"status": "scanned", "mode": "integrated", "code": None}
    assert states[-1] == {"status": "approved", "mode": "integrated", "code": None}
    assert heard[-1] == ["useid-redirect", {"url": target}, "script"]
    assert shop.page.url == f"{shop.wire.shop_origin}/shop"
    assert len(secret) == 43
    said = json.dumps(shop.page.evaluate("messages"))
    assert secret not in said
    assert "widgetSessionSecret" not in said


@pytest.mark.parametrize("kind", ["useid:redirect", "useid:back"])
def test_an_address_that_is_no_safe_web_page_is_not_gone_to(shop: Shop, kind: str) -> None:
    shop.open().card.shows("waiting")
    shop.listen()
    for url in NO_ADDRESSES:
        shop.send({"type": kind, "url": url})
        assert shop.page.evaluate("heard") == [], url
    assert shop.page.url == f"{shop.wire.shop_origin}/shop"
    assert shop.page.title() == "Shop"


def test_the_way_back_is_gone_by_the_top_page(shop: Shop) -> None:
    shop.wire.back = f"{shop.wire.shop_origin}/login"
    shop.open().card.shows("waiting")
    shop.wire.move("rejected")
    shop.card.shows("rejected")
    shop.card.root.get_by_role("link", name="Back").click()
    shop.page.wait_for_url(f"{shop.wire.shop_origin}/login")


def test_a_client_on_this_computer_is_opened_by_the_top_page(shop: Shop) -> None:
    shop.open().card.shows("waiting")
    shop.wire.tc_token_url = f"{shop.wire.shop_origin}/eid/tctoken"
    answer = "<!doctype html><html lang='en'><title>Client</title></html>"
    shop.page.route("http://127.0.0.1:24727/**", lambda route: route.fulfill(body=answer, content_type="text/html"))
    shop.card.button("The eID client is on this computer").click()
    shop.page.wait_for_url("http://127.0.0.1:24727/eID-Client?tcTokenURL=**")
    assert shop.page.main_frame.url == shop.page.url


def test_nothing_is_told_to_a_page_of_another_origin(browser: Browser, wire: EIDWire) -> None:
    """Even if the browser did not keep such a page from framing ours."""
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script("window.messages = []; addEventListener('message', (event) => messages.push(event.data))")

    def without_policy(route: Any) -> None:
        answer = route.fetch()
        headers = {name: value for name, value in answer.headers.items() if name != "content-security-policy"}
        route.fulfill(response=answer, headers=headers)

    page.route("**/auth/widget?*", without_policy)
    page.goto(f"{wire.stranger_origin}/shop")
    card = EIDCard(page, wire, within=page.frame_locator("iframe"))
    card.shows("waiting")
    wire.move("rejected")
    card.shows("rejected")
    assert page.evaluate("messages") == []
    context.close()


def test_a_page_of_another_origin_cannot_frame_the_widget(browser: Browser, wire: EIDWire) -> None:
    context = browser.new_context()
    page = context.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(f"{wire.stranger_origin}/shop")
    expect(page.locator("iframe")).to_be_attached()
    page.wait_for_function("window.frames.length === 1")
    page.wait_for_load_state("networkidle")
    assert [text for text in refused if "frame-ancestors" in text]
    assert wire.bodies == []
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_embedding_page_passes_axe(browser: Browser, wire: EIDWire, scheme: str) -> None:
    wire.theme = "auto"
    wire.shop = TAG.format('data-theme="auto"')
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page = context.new_page()
    shop = Shop(page, wire).open()
    shop.card.shows("waiting")
    assert serious_findings(page) == []
    assert serious_findings(shop.frame) == []  # type: ignore[arg-type]
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"embed-{scheme}.png", full_page=True)
    context.close()
