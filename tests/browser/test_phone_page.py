"""The browser phone as a person uses it: in a real Chromium, against a server that checks every signature."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.emulation.phone.fake_server import CODE, SESSION_ID, FakeServer, serving
from useid_middleware._codec import b64url
from useid_middleware.qr.core.signing import Decision, RequestContext

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
SHOWN_CODE = f"{CODE[:3]} {CODE[3:]}"


@dataclass
class Desk:
    """A phone's window and the server behind it."""

    server: FakeServer
    origin: str
    page: Page

    def scan(self, link: str) -> None:
        self.page.get_by_label("Link of the QR code").fill(link)
        self.page.get_by_role("button", name="Open link").click()

    def enrol(self) -> None:
        self.scan(self.server.enrolment_link())
        self.page.get_by_role("button", name="Trust and add").click()
        expect(self.page.get_by_role("heading", name="Almost done")).to_be_visible()
        self.page.get_by_role("button", name="Done").click()
        expect(self.page.get_by_role("heading", name="Your keys")).to_be_visible()
        self.server.calls.clear()

    def expect_error(self, code: str) -> None:
        expect(self.page.get_by_role("heading", name="That did not work")).to_be_visible()
        expect(self.page.locator("#error-code")).to_have_text(code)

    def shoot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"phone-{name}.png", animations="disabled")


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A window high enough for the whole phone."""
    context = browser.new_context(locale="en-GB", timezone_id="Europe/Berlin", viewport={"width": 520, "height": 920})
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def desk(page: Page) -> Iterator[Desk]:
    """A phone without keys."""
    server = FakeServer()
    with serving(server) as origin:
        page.goto(f"{origin}/phone/")
        yield Desk(server, origin, page)


def _serious(page: Page) -> list[Any]:
    violations = Axe().run(page).response["violations"]
    return [found["id"] for found in violations if found["impact"] in ("serious", "critical")]


def test_a_phone_is_enrolled_after_the_user_saw_and_trusted_the_server(desk: Desk) -> None:
    desk.shoot("empty")
    desk.scan(desk.server.enrolment_link())
    expect(desk.page.get_by_role("heading", name="Add this phone?")).to_be_focused()
    expect(desk.page.get_by_text(desk.server.server)).to_be_visible()
    desk.shoot("enrol")
    assert desk.server.calls == []
    desk.page.get_by_label("Name of this phone").fill("Jürgens Händi 📱")
    desk.page.get_by_role("button", name="Trust and add").click()
    expect(desk.page.get_by_label("Confirmation code")).to_have_text(SHOWN_CODE)
    desk.shoot("enrolled")
    assert desk.server.calls[0][1]["label"] == "Jürgens Händi 📱"
    desk.page.get_by_role("button", name="Done").click()
    expect(desk.page.get_by_role("listitem")).to_contain_text(["Tana"])
    desk.shoot("home")


def test_an_enrolment_that_is_cancelled_sends_nothing(desk: Desk) -> None:
    desk.scan(desk.server.enrolment_link())
    desk.page.get_by_role("button", name="Cancel").click()
    expect(desk.page.get_by_role("heading", name="Your keys")).to_be_visible()
    assert desk.server.calls == []


def test_a_login_is_shown_whole_and_approved_with_the_code(desk: Desk) -> None:
    desk.enrol()
    desk.scan(desk.server.login_link())
    expect(desk.page.get_by_role("heading", name="Log in?")).to_be_focused()
    details = desk.page.locator("#request-details")
    shown = ("Tana", "https://app.example", "alice", "Berlin, 203.0.113.7", "Chrome on Linux", "21 Nov 2026, 03:40:00")
    for text in (*shown, b64url(SESSION_ID)):
        expect(details).to_contain_text(text)
    expect(desk.page.get_by_role("timer")).to_contain_text("Expires in 4:")
    desk.shoot("request")
    desk.page.get_by_role("button", name="Approve").click()
    expect(desk.page.get_by_label("Confirmation code")).to_have_text(SHOWN_CODE)
    desk.shoot("approved")
    assert desk.server.decision is Decision.APPROVE


def test_an_approval_without_a_code_shows_none(desk: Desk) -> None:
    desk.server.code = None
    desk.enrol()
    desk.scan(desk.server.login_link(frame=b""))
    desk.page.get_by_role("button", name="Approve").click()
    expect(desk.page.get_by_text("The desktop goes on by itself.")).to_be_visible()
    expect(desk.page.get_by_label("Confirmation code")).to_be_hidden()
    desk.shoot("approved-without-code")


def test_a_rejection_is_signed_too(desk: Desk) -> None:
    desk.enrol()
    desk.scan(desk.server.login_link())
    desk.page.get_by_role("button", name="Reject").click()
    expect(desk.page.get_by_role("heading", name="Rejected")).to_be_focused()
    desk.shoot("rejected")
    assert desk.server.decision is Decision.REJECT


def test_t14_nothing_is_sent_to_a_server_that_is_not_enrolled(desk: Desk) -> None:
    desk.enrol()
    desk.scan(desk.server.login_link(server=f"{desk.origin}/other"))
    desk.expect_error("server_untrusted")
    desk.shoot("untrusted")
    assert desk.server.calls == []


def test_another_origin_is_named_as_out_of_reach_before_anything_is_sent(desk: Desk) -> None:
    desk.server.server = "https://elsewhere.example/auth"
    desk.scan(desk.server.enrolment_link())
    desk.page.get_by_role("button", name="Trust and add").click()
    desk.expect_error("origin_unreachable")
    assert desk.server.calls == []


@pytest.mark.parametrize("link", ["", "tana://auth", "https://app.example/", "tana://pay?session=x", "<b>hello</b>"])
def test_a_link_that_is_none_is_refused_with_its_code(desk: Desk, link: str) -> None:
    desk.scan(link)
    desk.expect_error("link_refused")
    expect(desk.page.get_by_role("alert")).to_have_text("This is not a link that this app understands.")
    desk.page.get_by_role("button", name="Back").click()
    expect(desk.page.get_by_role("heading", name="Your keys")).to_be_visible()


def test_the_servers_refusal_is_explained_and_keeps_its_code(desk: Desk) -> None:
    desk.enrol()
    desk.server.fail(f"/session/{b64url(SESSION_ID)}", 410, {"code": "session_expired", "message": "start again"})
    desk.scan(desk.server.login_link())
    desk.expect_error("session_expired")
    expect(desk.page.get_by_text("The code has expired.").first).to_be_visible()
    desk.shoot("expired")


@pytest.mark.parametrize(
    "body", [b"not json", b"null", b"{}", b'{"context": {"appName": 1}, "expiresIn": 9}', b"[" + b" " * 20_000 + b"]"]
)
def test_an_answer_that_is_not_of_the_reference_is_not_shown(desk: Desk, body: bytes) -> None:
    desk.enrol()
    desk.server.fail(f"/session/{b64url(SESSION_ID)}", 200, body)
    desk.scan(desk.server.login_link())
    desk.expect_error("answer_invalid")


def test_an_effect_that_the_app_cannot_explain_is_not_signed(desk: Desk) -> None:
    desk.enrol()
    context = dict.fromkeys(RequestContext.__struct_fields__, "x")
    desk.server.fail(f"/session/{b64url(SESSION_ID)}", 200, {"context": context, "expiresIn": 60})
    desk.scan(desk.server.login_link())
    desk.expect_error("effect_unknown")


def test_a_request_that_nobody_answers_expires_on_the_phone(desk: Desk) -> None:
    desk.enrol()
    desk.page.clock.install()
    desk.scan(desk.server.login_link())
    expect(desk.page.get_by_role("heading", name="Log in?")).to_be_visible()
    desk.page.clock.fast_forward("04:50")
    desk.expect_error("session_expired")


def test_text_of_the_request_is_never_markup_and_cannot_reorder_the_line(desk: Desk) -> None:
    desk.server.context = RequestContext(
        "<img src=x onerror=alert(1)>", "https://app.example", "", "", "safe\u202eevil\nApp", "soon"
    )
    desk.enrol()
    desk.scan(desk.server.login_link())
    details = desk.page.locator("#request-details")
    expect(details).to_contain_text("<img src=x onerror=alert(1)>")
    expect(details).to_contain_text("safe\ufffdevil\ufffdApp")
    expect(details).to_contain_text("soon")
    assert details.locator("img").count() == 0
    desk.page.get_by_role("button", name="Approve").click()
    expect(desk.page.get_by_role("heading", name="Approved")).to_be_visible()


def test_a_click_on_the_code_of_the_other_window_scans_it(desk: Desk) -> None:
    desk.enrol()
    other = desk.page.context.new_page()
    other.goto(f"{desk.origin}/phone/phone.css")
    post = "(data) => new BroadcastChannel('useid-demo-phone').postMessage(data)"
    for nonsense in (None, "text", {"qrData": 5}, {"other": "x"}):
        other.evaluate(post, nonsense)
    other.evaluate(post, {"qrData": desk.server.login_link()})
    expect(desk.page.get_by_role("heading", name="Log in?")).to_be_visible()
    # A second message must not put another request under the finger that is about to approve this one.
    other.evaluate(post, {"qrData": desk.server.login_link(frame=b"")})
    desk.page.get_by_role("button", name="Reject").click()
    expect(desk.page.get_by_role("heading", name="Rejected")).to_be_visible()
    assert [path for path, _ in desk.server.calls] == [f"/session/{b64url(SESSION_ID)}", "/reject"]


def test_a_link_in_the_address_is_opened_once(desk: Desk) -> None:
    desk.enrol()
    desk.page.goto(f"{desk.origin}/phone/#link={quote(desk.server.login_link(), safe='')}")
    expect(desk.page.get_by_role("heading", name="Log in?")).to_be_visible()
    assert desk.page.url == f"{desk.origin}/phone/"
    desk.page.reload()
    expect(desk.page.get_by_role("heading", name="Your keys")).to_be_visible()


def test_keys_outlive_a_reload_and_cannot_be_exported(desk: Desk) -> None:
    desk.enrol()
    desk.page.reload()
    expect(desk.page.get_by_role("listitem")).to_contain_text(["Tana"])
    kept = desk.page.evaluate(
        """async () => {
          const [key] = await (await import("./keystore.js")).listKeys();
          const exported = await crypto.subtle.exportKey("jwk", key.privateKey).catch((error) => error.name);
          return [key.privateKey.extractable, exported];
        }"""
    )
    assert kept == [False, "InvalidAccessError"]


def test_a_key_is_removed_after_a_question(desk: Desk) -> None:
    desk.enrol()
    remove = desk.page.get_by_role("button", name="Remove the key of alice at Tana")
    desk.page.once("dialog", lambda dialog: dialog.dismiss())
    remove.click()
    expect(remove).to_be_visible()
    desk.page.once("dialog", lambda dialog: dialog.accept())
    remove.click()
    expect(desk.page.get_by_text("No key yet.")).to_be_visible()
    expect(desk.page.get_by_role("status")).to_have_text("Key removed.")


def test_several_accounts_of_a_server_are_offered(desk: Desk) -> None:
    desk.enrol()
    desk.page.evaluate(
        """async () => {
          const { listKeys, keepKey } = await import("./keystore.js");
          const [key] = await listKeys();
          await keepKey({ ...key, username: "bob" });
        }"""
    )
    desk.scan(desk.server.login_link())
    expect(desk.page.get_by_role("heading", name="Which account?")).to_be_focused()
    desk.shoot("choose")
    assert desk.server.calls == []
    desk.page.get_by_role("button", name="Tana, bob").click()
    expect(desk.page.locator("#request-details")).to_contain_text("bob")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_screen_has_a_serious_barrier(desk: Desk, scheme: Any) -> None:
    desk.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    assert _serious(desk.page) == []
    desk.scan(desk.server.enrolment_link())
    expect(desk.page.get_by_role("heading", name="Add this phone?")).to_be_visible()
    assert _serious(desk.page) == []
    desk.page.get_by_role("button", name="Trust and add").click()
    expect(desk.page.get_by_label("Confirmation code")).to_be_visible()
    assert _serious(desk.page) == []
    desk.page.get_by_role("button", name="Done").click()
    expect(desk.page.get_by_role("listitem")).to_be_visible()
    assert _serious(desk.page) == []
    desk.scan(desk.server.login_link())
    expect(desk.page.get_by_role("heading", name="Log in?")).to_be_visible()
    assert _serious(desk.page) == []
    desk.shoot(f"request-{scheme}")
    desk.page.get_by_role("button", name="Reject").click()
    expect(desk.page.get_by_role("heading", name="Rejected")).to_be_visible()
    assert _serious(desk.page) == []
    desk.page.get_by_role("button", name="Done").click()
    desk.scan("nothing")
    desk.expect_error("link_refused")
    assert _serious(desk.page) == []


def test_a_german_reader_is_addressed_in_german(browser: Browser) -> None:
    server = FakeServer()
    with serving(server) as origin:
        context = browser.new_context(
            locale="de-AT", timezone_id="Europe/Vienna", viewport={"width": 390, "height": 844}
        )
        page = context.new_page()
        page.goto(f"{origin}/phone/")
        expect(page.locator("html")).to_have_attribute("lang", "de")
        page.get_by_label("Link des QR-Codes").fill(server.enrolment_link())
        page.get_by_role("button", name="Link öffnen").click()
        page.get_by_role("button", name="Vertrauen und hinzufügen").click()
        expect(page.get_by_label("Bestätigungscode")).to_have_text(SHOWN_CODE)
        page.get_by_role("button", name="Fertig").click()
        page.get_by_label("Link des QR-Codes").fill(server.login_link())
        page.get_by_role("button", name="Link öffnen").click()
        expect(page.get_by_role("heading", name="Anmelden?")).to_be_visible()
        Desk(server, origin, page).shoot("request-de")
        page.get_by_role("button", name="Zustimmen").click()
        expect(page.get_by_role("heading", name="Zugestimmt")).to_be_visible()
        context.close()


def test_both_languages_say_the_same_things(desk: Desk) -> None:
    names = desk.page.evaluate(
        """async () => {
          const { textsFor } = await import("./texts.js");
          const names = (texts) => [...Object.keys(texts), ...Object.keys(texts.errors)].sort();
          return [names(textsFor(["en"]).texts), names(textsFor(["fr", "de-CH"]).texts), textsFor(["fr"]).language];
        }"""
    )
    assert names[0] == names[1]
    assert names[2] == "en"
