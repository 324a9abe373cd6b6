"""``<useid-session>`` in a real browser, and the pages of a login as people see them."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.session_wire import (
    EVENTS,
    HIDEABLE,
    MONITOR,
    NOBODY,
    SESSIONS,
    SIGHTED,
    SessionWire,
    page_headers,
    provide,
    show,
)
from tests.browser.session_wire import wire as wire
from tests.browser.test_widget_access import LOOKS, SCREENSHOTS, serious_findings
from tests.browser.wire import Answer
from tests.oidc.test_pages import ACCOUNT, NOW, SESSION
from useid_middleware.oidc.pages import ERROR_POLICY, PROFILE_POLICY, error_page, profile_page
from useid_middleware.widget.serve import LOGIN_POLICY, Way, login_page, logout_page, logout_policy

#: Keeps what the element's event said.
_RECORD = """
window.ends = [];
addEventListener("useid-session-ended", (event) => ends.push(event.detail.reason));
"""
REASONS = {
    "logout": ("You have logged out", "Sie haben sich abgemeldet"),
    "expired": ("Your session has expired", "Ihre Sitzung ist abgelaufen"),
    "revoked": ("Your session was ended", "Ihre Sitzung wurde beendet"),
    "backchannel_logout": ("You have been logged out", "Sie wurden abgemeldet"),
    "frontchannel_logout": ("You have been logged out", "Sie wurden abgemeldet"),
    "session_changed": ("You have been logged out", "Sie wurden abgemeldet"),
    "constructor": ("You are not logged in any more", "Sie sind nicht mehr angemeldet"),
}


class App:
    """A page of the host app with the element on it."""

    def __init__(self, page: Page, wire: SessionWire) -> None:
        self.page = page
        self.wire = wire
        self.notice: Locator = page.get_by_role("alertdialog")

    def open(self, *, path: str = "/app") -> "App":
        """Load it and wait for its stream."""
        self.page.add_init_script(_RECORD)
        self.page.goto(self.wire.url + path)
        self.wire.await_stream()
        return self

    def ends(self, *reasons: str) -> None:
        """Wait until the element has told these ends."""
        self.page.wait_for_function("(count) => ends.length >= count", arg=len(reasons))
        assert self.page.evaluate("ends") == list(reasons)


@pytest.fixture
def app(page: Page, wire: SessionWire) -> App:
    return App(page, wire)


@pytest.mark.parametrize("lang", ["en", "de"])
@pytest.mark.parametrize("reason", REASONS)
def test_the_end_of_the_session_is_told_at_once_with_its_reason(app: App, reason: str, lang: str) -> None:
    app.wire.lang = lang
    app.open()
    expect(app.notice).to_have_count(0)
    app.wire.say("ended", {"reason": reason})
    expect(app.notice).to_have_accessible_name(REASONS[reason][lang == "de"])
    expect(app.notice.get_by_role("button", name="Wieder anmelden" if lang == "de" else "Log in again")).to_be_visible()
    app.ends(reason)
    assert app.page.locator("useid-session").evaluate("(element) => element.ended") == reason
    # The stream said all there was to know.
    assert app.wire.count(SESSIONS) == 0


def test_every_reason_reads_differently(app: App) -> None:
    app.open()
    texts = app.page.evaluate(
        "import('/auth/widget/locales/en.js').then((m) => Object.values(m.default.session.ended))"
    )
    assert len({str(text) for text in texts}) == len(texts) == len(REASONS)


def test_the_notice_takes_the_focus_but_gives_it_to_no_button(app: App) -> None:
    app.open()
    app.page.get_by_label("Note").focus()
    app.wire.say("ended", {"reason": "expired"})
    expect(app.notice).to_be_focused()
    app.page.keyboard.press("Enter")
    app.page.keyboard.press("Tab")
    expect(app.page.get_by_role("button", name="Log in again")).to_be_focused()
    app.page.keyboard.press("Tab")
    expect(app.page.get_by_role("button", name="Stay on this page")).to_be_focused()
    app.page.keyboard.press("Enter")
    expect(app.notice).to_have_count(0)
    expect(app.page.get_by_label("Note")).to_be_focused()


def test_escape_puts_the_notice_away(app: App) -> None:
    app.open()
    app.wire.say("ended", {"reason": "expired"})
    expect(app.notice).to_be_visible()
    app.page.keyboard.press("Escape")
    expect(app.notice).to_have_count(0)


@pytest.mark.parametrize("look", LOOKS)
def test_the_notice_passes_axe_and_fits_the_screen(browser: Browser, wire: SessionWire, look: str) -> None:
    context = browser.new_context(reduced_motion="reduce", **LOOKS[look])
    wire.lang = "de" if look in ("german", "narrow") else "en"
    app = App(context.new_page(), wire).open()
    wire.say("ended", {"reason": "session_changed"})
    expect(app.notice).to_be_visible()
    box, size = app.notice.bounding_box(), app.page.viewport_size
    assert box is not None
    assert size is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= size["width"]
    assert serious_findings(app.page) == []
    assert app.notice.evaluate("(notice) => notice.getAnimations({ subtree: true }).length") == 0
    context.close()


def test_logging_in_again_leads_to_the_login_and_back_here(app: App) -> None:
    app.open(path="/app?a=1&b=2#part")
    app.wire.say("ended", {"reason": "logout"})
    app.page.get_by_role("button", name="Log in again").click()
    app.page.wait_for_url("**/auth/login?return=%2Fapp%3Fa%3D1%26b%3D2%23part")


def test_the_app_may_have_a_login_of_its_own(app: App) -> None:
    app.wire.attributes = 'login="/enter?return=%2Fhome"'
    app.open()
    app.wire.say("ended", {"reason": "logout"})
    app.page.get_by_role("button", name="Log in again").click()
    app.page.wait_for_url("**/enter?return=%2Fhome")


def test_a_login_address_that_is_no_web_address_is_not_followed(app: App) -> None:
    app.wire.attributes = 'login="javascript:window.hacked=1"'
    app.open()
    app.wire.say("ended", {"reason": "logout"})
    app.page.get_by_role("button", name="Log in again").click()
    assert app.page.evaluate("window.hacked") is None
    assert app.page.url.endswith("/app")


def test_the_app_can_keep_the_notice_away(app: App) -> None:
    app.page.add_init_script("addEventListener('useid-session-ended', (event) => event.preventDefault())")
    app.open()
    app.wire.say("ended", {"reason": "logout"})
    app.ends("logout")
    expect(app.notice).to_have_count(0)


def test_with_reload_the_page_is_loaded_again_instead(app: App) -> None:
    app.wire.attributes = "reload"
    app.open()
    with app.page.expect_navigation():
        app.wire.say("ended", {"reason": "logout"})
    expect(app.notice).to_have_count(0)
    assert app.wire.count("GET /app") == 2


def test_a_page_served_to_nobody_is_not_loaded_again_for_ever(app: App) -> None:
    app.wire.attributes = "reload"
    app.wire.instead["/events"] = NOBODY
    app.wire.instead["/sessions"] = NOBODY
    app.page.goto(app.wire.url + "/app")
    expect(app.notice).to_be_visible()
    assert app.wire.count("GET /app") == 1


def test_a_stream_that_is_refused_to_nobody_is_the_end(app: App) -> None:
    app.open()
    app.wire.instead["/events"] = NOBODY
    app.wire.instead["/sessions"] = NOBODY
    app.wire.cut()
    expect(app.notice).to_have_accessible_name("You are not logged in any more")
    app.ends("ended")


def test_a_broken_stream_is_opened_anew_and_alarms_nobody(app: App) -> None:
    app.open()
    app.wire.cut()
    app.wire.await_calls(EVENTS, 2)
    app.wire.say("ping", {})
    assert app.page.evaluate("ends") == []
    app.wire.say("ended", {"reason": "revoked"})
    app.ends("revoked")


def test_a_server_that_is_away_for_a_while_is_not_the_end_of_the_session(app: App) -> None:
    app.page.clock.install()
    app.open()
    app.wire.instead["/events"] = app.wire.instead["/sessions"] = Answer(503)
    app.wire.cut()
    app.wire.await_calls(EVENTS, 2)
    app.wire.await_calls(SESSIONS, 1)
    app.wire.instead.clear()
    app.page.clock.run_for(10_000)
    app.wire.await_calls(EVENTS, 3)
    app.wire.say("ended", {"reason": "expired"})
    app.ends("expired")


def test_a_server_without_the_stream_is_left_alone(app: App) -> None:
    missing = Answer(404, '{"code": "not_found", "message": "m"}')
    app.wire.instead["/events"] = app.wire.instead["/sessions"] = missing
    app.page.clock.install()
    app.page.add_init_script(_RECORD)
    # The page has heard both answers when nothing is under way any more.
    app.page.goto(app.wire.url + "/app", wait_until="networkidle")
    app.page.clock.run_for(120_000)
    assert (app.wire.count(EVENTS), app.wire.count(SESSIONS)) == (1, 1)
    assert app.page.evaluate("ends") == []


def test_a_new_login_in_this_browser_is_not_the_end(app: App) -> None:
    app.page.clock.install()
    app.open()
    app.wire.say("ended", {"reason": "rotated"})
    app.page.clock.run_for(3_000)
    app.wire.await_calls(EVENTS, 2)
    assert app.page.evaluate("ends") == []


def test_a_page_that_is_just_being_left_is_spared_the_notice_until_it_turns_out_to_stay(app: App) -> None:
    app.page.clock.install()
    app.open()
    # The answer keeps the browser on this page, as a download does.
    app.page.evaluate("location.assign('/stay-away')")
    app.wire.await_calls("GET /stay-away", 1)
    app.wire.say("ended", {"reason": "logout"})
    app.page.wait_for_function("() => document.querySelector('useid-session').ended === 'logout'")
    expect(app.notice).to_have_count(0)
    app.page.clock.run_for(3_500)
    expect(app.notice).to_be_visible()


def test_a_hidden_page_holds_no_stream_and_asks_when_it_is_shown_again(app: App) -> None:
    app.page.add_init_script(HIDEABLE)
    app.open()
    show(app.page, "hidden")
    app.wire.instead["/events"] = NOBODY
    app.wire.instead["/sessions"] = NOBODY
    assert app.page.evaluate("ends") == []
    show(app.page, "visible")
    app.ends("ended")
    assert app.wire.count(EVENTS) == 2


def test_the_monitor_s_news_reach_the_person(app: App) -> None:
    app.wire.attributes = "monitor"
    app.wire.outcome = "ended"
    provide(app.page, "changed")
    app.page.add_init_script(SIGHTED)
    app.page.add_init_script(_RECORD)
    app.page.goto(app.wire.url + "/app")
    app.ends("session_changed")
    expect(app.notice).to_have_accessible_name("You have been logged out")
    expect(app.page.locator("useid-session iframe")).to_have_count(0)


def test_a_monitor_that_cannot_watch_is_let_go_and_the_stream_goes_on(app: App) -> None:
    app.wire.attributes = "monitor"
    app.wire.op_iframe = ""
    app.open()
    app.wire.await_calls(MONITOR, 1)
    expect(app.page.locator("useid-session iframe")).to_have_count(0)
    app.wire.say("ended", {"reason": "expired"})
    app.ends("expired")


def test_other_windows_cannot_end_the_session(app: App) -> None:
    app.wire.attributes = "monitor"
    app.wire.interval = 600
    provide(app.page, "unchanged")
    app.open()
    app.page.evaluate("postMessage({ useid: 'session', state: 'ended' }, '*')")
    app.wire.say("ended", {"reason": "expired"})
    app.ends("expired")


def test_without_the_attribute_nothing_is_framed(app: App) -> None:
    app.open()
    assert app.page.locator("useid-session iframe").count() == 0
    assert app.wire.count(MONITOR) == 0


# the pages of a login


def person_page(name: str, lang: str) -> tuple[bytes, str]:
    """A page for people and its policy."""
    ways = (Way("Acme ID", "/a"), Way("Organisation-wide Login of Acme", "/b"))
    claims = {"sub": "248289761001", "address": {"country": "GB", "locality": "Zürich"}, "at_hash": "x" * 60}
    common: dict[str, Any] = {"server": "/auth", "app_name": "Acme Shop", "lang": lang}
    if name == "login":
        return login_page(**common, ways=ways), LOGIN_POLICY
    if name == "providers":
        return login_page(**common, ways=ways, with_phone=False), LOGIN_POLICY
    if name == "logout":
        return logout_page(**common, username="ada", action="/auth/logout"), logout_policy()
    if name == "profile":
        page = profile_page(
            **common, account=ACCOUNT, session=SESSION, claims=claims, access_expires_at=NOW, sessions=[SESSION],
            logout="/auth/logout",
        )  # fmt: skip
        return page, PROFILE_POLICY
    return error_page(**common, code=name, retry="/auth/login", landing="/"), ERROR_POLICY


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", ["login", "providers", "logout", "profile", "cookie_missing"])
def test_every_page_of_a_login_passes_axe_and_fits_the_screen(
    browser: Browser, wire: SessionWire, name: str, look: str
) -> None:
    context = browser.new_context(reduced_motion="reduce", **LOOKS[look])
    page = context.new_page()
    body, policy = person_page(name, "de" if look in ("german", "narrow") else "en")
    wire.instead["/person"] = Answer(200, body.decode(), page_headers(policy))
    page.goto(wire.url + "/auth/person")
    if name == "login":
        expect(page.locator("useid-login .card")).to_have_attribute("data-status", "waiting")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"oidc-{name}-{look}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert serious_findings(page) == []
    context.close()


def test_the_whole_login_page_can_be_used_from_the_keyboard(page: Page, wire: SessionWire) -> None:
    body, policy = person_page("login", "en")
    wire.instead["/person"] = Answer(200, body.decode(), page_headers(policy))
    page.goto(wire.url + "/auth/person")
    expect(page.locator("useid-login .card")).to_have_attribute("data-status", "waiting")
    names = []
    for _ in range(3):
        page.keyboard.press("Tab")
        names.append(page.locator(":focus").last.inner_text())
    assert names == ["Log in with Acme ID", "Log in with Organisation-wide Login of Acme", "Open on this device"]
