"""``<useid-eid>`` with an integrated client: the secret, the sealed address, and what nobody can make of them."""

from base64 import urlsafe_b64encode

from playwright.sync_api import BrowserContext, Request, expect

from tests.browser.eid_wire import CLAIM, NONCE, START, EIDCard
from tests.browser.eid_wire import card as card
from tests.browser.eid_wire import wire as wire
from tests.browser.wire import SESSION, Answer
from useid_middleware.eid.core.sealing import seal_refresh_url

#: Refresh addresses that must not be opened, and the origin that the server expects them at.
NO_TARGETS = (
    ("https://evil.example/refresh", "https://shop.example"),
    ("https://shop.example.evil.example/", "https://shop.example"),
    ("https://shop.example:8443/", "https://shop.example"),
    ("https://user:word@shop.example/", "https://shop.example"),
    ("https://user@shop.example/", "https://shop.example"),
    ("http://shop.example/", "http://shop.example"),
    ("http://127.evil.example/", "http://127.evil.example"),
    ("javascript:document.title='owned'", "null"),
    ("data:text/html,owned", "null"),
    ("blob:https://shop.example/x", "https://shop.example"),
    ("eid://127.0.0.1:24727/eID-Client", "null"),
    ("/done", "ORIGIN"),
    ("//ORIGIN/done", "ORIGIN"),
    ("", "ORIGIN"),
)


def integrated(card: EIDCard) -> EIDCard:
    card.wire.default_mode = "integrated"
    return card.open().shows("waiting")


def test_the_secret_ends_the_link_in_its_fragment_and_is_new_for_every_login(card: EIDCard) -> None:
    integrated(card)
    first = card.scan()
    assert card.read_link().partition("#")[0] == card.wire.link
    assert first.widget is not None
    assert (first.widget.session_id, first.widget.server) == (SESSION, f"{card.wire.url}/auth")
    assert len(first.widget.secret) == 32
    card.open().shows("waiting")
    second = card.scan()
    assert second.widget is not None
    assert second.widget.secret != first.widget.secret


def test_a_sealed_address_is_opened_without_a_claim(card: EIDCard) -> None:
    integrated(card)
    target = f"{card.wire.origin}/done?x=1&y=%C3%A4"
    card.wire.seal(card.read_link(), target)
    card.shows("approved")
    card.page.wait_for_url(target)
    assert card.wire.count(CLAIM) == 0


def test_the_secret_is_never_sent(card: EIDCard, context: BrowserContext) -> None:
    sent: list[str] = []

    def note(request: Request) -> None:
        sent.append(f"{request.url} {request.all_headers()} {request.post_data or ''}")

    context.on("request", note)
    integrated(card)
    widget = card.scan().widget
    assert widget is not None
    spelt = urlsafe_b64encode(widget.secret).decode().rstrip("=")
    assert spelt in card.read_link()
    card.wire.seal(card.read_link(), f"{card.wire.origin}/done")
    card.page.wait_for_url("**/done")
    assert any("/eid/start" in each for each in sent)
    assert not [each for each in sent if spelt in each or "widgetSessionSecret" in each]


def sealed_wrongly(card: EIDCard) -> dict[str, str]:
    """Sealed addresses of which none is what the reference says."""
    widget = card.scan().widget
    assert widget is not None
    good = {"secret": widget.secret, "session_id": SESSION, "nonce": NONCE}
    target = f"{card.wire.origin}/done"
    sealed = seal_refresh_url(target, **good)  # type: ignore[arg-type]
    last = "A" if sealed[-6] != "A" else "B"
    return {
        "tampered": f"{sealed[:-6]}{last}{sealed[-5:]}",
        "cut": sealed[:-4],
        "too short": sealed[:16],
        "empty": "",
        "padded": sealed + "=" * (-len(sealed) % 4 or 4),
        "not base64url": "§" * 60,
        "another secret": seal_refresh_url(target, secret=b"x" * 32, session_id=SESSION, nonce=NONCE),
        "another session": seal_refresh_url(target, secret=widget.secret, session_id="B" * 22, nonce=NONCE),
    }


def test_what_was_not_sealed_for_this_page_opens_nothing(card: EIDCard) -> None:
    integrated(card)
    faults = list(sealed_wrongly(card))
    for starts, fault in enumerate(faults, start=1):
        card.wire.sealed = sealed_wrongly(card)[fault]
        card.wire.move("approved")
        card.shows("error")
        expect(card.alert).to_contain_text("not meant for this page")
        assert card.state()["error"]["code"] == "sealed_invalid", fault
        assert card.wire.count(START) == starts
        # It cannot become better by reading it again: another attempt is another login.
        card.button("Try again").click()
        card.shows("waiting")
    assert "/auth/eid" in card.page.url


def test_an_approval_without_an_address_opens_nothing(card: EIDCard) -> None:
    integrated(card)
    snapshot = card.wire.snapshot() | {"status": "approved", "version": 9}
    snapshot.pop("sealedRefreshUrl", None)
    card.wire.say("status", snapshot)
    card.shows("error")
    assert card.state()["error"]["code"] == "sealed_invalid"


def test_an_address_that_the_login_must_not_lead_to_is_not_opened(card: EIDCard) -> None:
    card.wire.instead["/create"] = Answer(503)
    card.wire.default_mode = "integrated"
    card.open().shows("error")
    card.wire.instead.clear()
    card.page.evaluate("document.addEventListener('useid-claimed', () => { window.claimed = true; })")
    for target, allowed in NO_TARGETS:
        card.wire.refresh_origins = [allowed.replace("ORIGIN", card.wire.origin)]
        card.button("Try again").click()
        card.shows("waiting")
        card.wire.seal(card.read_link(), target.replace("ORIGIN", card.wire.origin.removeprefix("http://")))
        card.shows("error")
        assert card.state()["error"]["code"] == "refresh_refused", target
    assert card.page.evaluate("window.claimed") is None
    assert card.page.title() == "Log in to Acme Shop"


def test_an_address_of_another_site_is_opened_where_the_server_expects_it(card: EIDCard) -> None:
    card.page.route("https://shop.example/**", lambda route: route.fulfill(body="<title>Shop</title>"))
    card.wire.refresh_origins = ["https://other.example", "https://shop.example"]
    integrated(card)
    card.wire.seal(card.read_link(), "https://shop.example/refresh?token=1")
    card.page.wait_for_url("https://shop.example/refresh?token=1")


def test_an_integrated_client_can_cancel_and_fail(card: EIDCard) -> None:
    integrated(card)
    card.wire.reason = "document"
    card.wire.move("rejected")
    card.shows("rejected")
    expect(card.alert).to_contain_text("ID card refused")


def test_a_page_without_secure_crypto_says_so_before_anything_is_scanned(card: EIDCard) -> None:
    card.page.add_init_script("Object.defineProperty(crypto, 'subtle', { value: undefined })")
    card.wire.default_mode = "integrated"
    card.open().shows("error")
    expect(card.alert).to_contain_text("loaded over https")
    assert card.state()["error"]["code"] == "insecure_page"
