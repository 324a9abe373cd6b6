"""Logins by QR code that are bound to the desktop's browser, on the example app: page 001 in a real Chromium."""

import re
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from playwright.sync_api import Browser, Page, Response, Route, expect

from tests.browser.bound import PROCEED, PocketPhone, Waiter, bound_harbour, cookies, markup, waiter
from tests.browser.bound_wire import widget_key
from tests.browser.people import BrowserPhone, Crowd, Desktop, enrol, gathered, serious_findings, shoot
from tests.browser.virtual import LENDABLE, Near, bring_near, come_near
from tests.serving import Server
from useid_middleware._codec import b64url

REFRESH = re.compile(r"/auth/session/refresh/([\w-]+)")
#: Lets the first of two calls go when the second is made, or waits for its turn.
AT_ONCE = """
(() => {
  const { fetch } = window;
  const made = new Set();
  window.answered = [];
  window.fetch = async (url, init) => {
    if (!/(session.create|login.options)$/.test(url)) return fetch(url, init);
    made.add(url);
    const isAlone = async () => made.size < 2 && !(await navigator.locks.query()).pending.length;
    while (await isAlone()) await new Promise((done) => setTimeout(done));
    const response = await fetch(url, init);
    answered.push(url);
    return response;
  };
})();
"""


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The example app, whose logins by QR code are bound."""
    with bound_harbour(tmp_path_factory.mktemp("harbour")) as server:
        yield server


@pytest.fixture(scope="module")
def phone(browser: Browser, harbour: Server, tmp_path_factory: pytest.TempPathFactory) -> PocketPhone:
    """Alice's phone, enrolled; its passkeys can be brought near."""
    phone = PocketPhone(tmp_path_factory.mktemp("phone"))
    with gathered(browser, harbour.url) as crowd:
        enrol(crowd.desktop(), phone, "Alice’s phone")
    return phone


@pytest.fixture
def crowd(browser: Browser, harbour: Server) -> Iterator[Crowd]:
    """People for one test."""
    with gathered(browser, harbour.url) as crowd:
        yield crowd


@pytest.fixture
def alice(crowd: Crowd) -> Waiter:
    """At a desktop."""
    return waiter(crowd)


def asked(waiter: Waiter, phone: PocketPhone, path: str = "/login?next=/vault") -> Near:
    """Scanned, approved, credential made, and the phone is here."""
    phone.approve(waiter.begin(path))
    waiter.shows("authenticate")
    return come_near(waiter.page, phone.newest)


def arrives(waiter: Waiter, path: str = "/vault") -> None:
    """Logged in at L2, where one wanted to go."""
    waiter.desktop.arrives(path)
    waiter.desktop.open("/protected")
    expect(waiter.page.locator("#acr")).to_have_text("L2")
    expect(waiter.page.locator("#user")).to_have_text("alice")


# ── page 001 ──


def test_a_login_approved_by_the_phone_and_proved_by_the_browser_beside_it_opens_the_vault(
    crowd: Crowd, harbour: Server, alice: Waiter
) -> None:
    phone = crowd.phone()
    phone.page.context.add_init_script(LENDABLE)
    phone.switch_on()
    alices_phone = crowd.desktop()
    enrol(alices_phone, phone, "In a browser")
    phone.done()
    log_before = len(harbour.log())
    phone_said: list[str] = []
    phone.page.context.on("console", lambda message: phone_said.append(message.text))
    refreshed: list[str] = []
    alice.page.on("request", lambda request: refreshed.extend(REFRESH.findall(request.url)))

    link = alice.begin("/login?next=/vault")
    phone.scan(link)
    phone.sees_request()
    alice.shows("scanned")
    phone.page.get_by_role("button", name="Approve").click()
    alice.shows("confirmed")
    phone.page.get_by_role("button", name="Make passkey").click()
    alice.shows("authenticate")
    shown = markup(alice.page)
    bring_near(alice.page, phone.page)
    assert alice.asked.options == []
    alice.press()
    arrives(alice)

    [token] = refreshed
    log = harbour.log()[log_before:]
    [line] = [line for line in log.splitlines() if token in line]
    assert f"GET /auth/session/refresh/{token} " in line
    assert line.endswith("303 See Other")
    said = "\n".join(alice.said + phone_said)
    key = b64url(widget_key(link))
    # The widget's key is in the code, and so in the page; nothing of it goes to a server.
    assert key in shown
    for place in (log, said):
        assert [secret for secret in (key, *cookies(alice)) if secret in place] == []
    for place in (shown, said, markup(alice.page), markup(phone.page)):
        assert [secret for secret in (token, *cookies(alice)) if secret in place] == []


def test_chromium_is_asked_for_the_phones_credential_alone_over_the_hybrid_transport(
    alice: Waiter, phone: PocketPhone
) -> None:
    asked(alice, phone)
    told = alice.page.evaluate("(id) => fetch(`/auth/session/${id}`).then((answer) => answer.json())", alice.session)
    alice.press()
    arrives(alice)
    [options] = alice.asked.options
    assert options == {
        "challenge": told["options"]["challenge"],
        "allowCredentials": [{"id": b64url(phone.newest.id), "type": "public-key", "transports": ["hybrid"]}],
        "rpId": "localhost",
        "hints": ["hybrid"],
        "userVerification": "required",
    }
    [credential] = alice.asked.ends
    assert (credential["id"], credential["authenticatorAttachment"]) == (b64url(phone.newest.id), "cross-platform")


# ── what people and networks do ──


def test_somebody_who_cancels_is_asked_again_and_the_same_challenge_serves(alice: Waiter, phone: PocketPhone) -> None:
    near = asked(alice, phone)
    near.recognises(user=False)
    alice.press()
    expect(alice.alert).to_contain_text("Your phone was not reached")
    assert alice.asked.ends == [{"error": "NotAllowedError"}]
    alice.shows("authenticate")
    near.recognises(user=True)
    alice.press("Try again")
    arrives(alice)
    first, second = alice.asked.options
    assert first == second


def test_an_answer_that_is_lost_on_its_way_is_made_up_for_by_the_stream(alice: Waiter, phone: PocketPhone) -> None:
    asked(alice, phone)
    answered: list[int] = []

    def lose(route: Route) -> None:
        answered.append(route.fetch().status)
        route.abort("connectionreset")

    alice.page.route("**/assertions", lose)
    # Nor can the page ask how it went.
    alice.page.route(re.compile(r"/auth/session/[\w-]+$"), lambda route: route.abort())
    alice.press()
    arrives(alice)
    assert answered == [200]


# ── who gets in ──


def test_of_two_desktops_and_one_phone_only_the_one_whose_code_was_scanned_gets_in(
    crowd: Crowd, alice: Waiter, phone: PocketPhone
) -> None:
    other = waiter(crowd)
    other.begin("/login?next=/vault")
    asked(alice, phone)
    told = alice.page.evaluate("(id) => fetch(`/auth/session/${id}`).then((answer) => answer.json())", alice.session)
    # Even at the same place, with the other's question put to the same phone, it proves nothing.
    come_near(other.page, phone.newest)
    refused = other.page.evaluate(
        """async ({ userId, options }) => {
          document.dispatchEvent(new Event("useid-asking"));
          const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
          const credential = await navigator.credentials.get({ publicKey });
          const answer = await fetch(`/auth/webauthn/accounts/${userId}/assertions`, {
            method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ credential }),
          });
          return [answer.status, (await answer.json()).code];
        }""",
        told,
    )
    assert refused == [404, "binding_unknown"]
    alice.shows("authenticate")
    alice.press()
    arrives(alice)
    other.shows("waiting")
    other.is_nobody()


def test_a_relayed_code_brings_the_attacker_a_question_that_only_the_victims_phone_can_answer(
    crowd: Crowd, phone: PocketPhone
) -> None:
    attacker = waiter(crowd)
    # The victim scans it on a phishing page, and approves. Their phone is with them.
    phone.approve(attacker.begin("/login?next=/vault"))
    attacker.shows("authenticate")
    own = Near(attacker.page)
    attacker.press()
    expect(attacker.alert).to_contain_text("Your phone was not reached")
    assert attacker.asked.ends == [{"error": "NotAllowedError"}]
    own.leave()
    come_near(attacker.page, phone.newest, key=generate_private_key(SECP256R1()))
    attacker.press("Try again")
    attacker.shows("rejected")
    expect(attacker.alert).to_contain_text("It could not be shown that your phone is near this computer.")
    assert attacker.state()["error"]["code"] == "webauthn_signature_invalid"
    assert attacker.asked.ends[1]["id"] == b64url(phone.newest.id)
    attacker.is_nobody()


# ── two elements on one page ──


def test_two_elements_that_begin_at_once_are_given_one_cookie_that_holds_for_both(alice: Waiter) -> None:
    alice.page.add_init_script(AT_ONCE)
    given: list[str] = []

    def note(response: Response) -> None:
        if response.url.endswith(("/session/create", "/login/options")):
            given.append(response.header_value("set-cookie") or "")

    alice.page.on("response", note)
    alice.begin("/login")
    alice.page.wait_for_function("() => answered.length === 2")
    assert sorted(cookie.partition("=")[0] for cookie in given) == ["", "useid-browser"]
    alice.shows("waiting")


def test_what_the_browser_offers_in_the_field_makes_way_for_the_phone_and_comes_back(
    alice: Waiter, phone: PocketPhone
) -> None:
    near = asked(alice, phone)
    alice.page.wait_for_function("() => window.offers === 1")
    near.recognises(user=False)
    alice.press()
    expect(alice.alert).to_contain_text("Your phone was not reached")
    alice.page.get_by_role("textbox", name="User name").focus()
    alice.page.wait_for_function("() => window.offers === 2")
    near.recognises(user=True)
    alice.press("Try again")
    arrives(alice)


# ── by hand, without any virtual authenticator ──


def test_by_hand_the_phones_window_and_the_desktops_of_one_browser_go_all_the_way(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        bound_harbour(tmp_path_factory.mktemp("by-hand"), HARBOUR_HYBRID="emulated") as server,
        gathered(browser, server.url) as crowd,
    ):
        phone = crowd.phone()
        phone.page.context.set_default_timeout(20_000)
        desktop = Desktop(phone.page.context.new_page(), server.url)
        enrol(desktop, phone, "Second window")
        desktop.press("Log out")
        desktop.arrives("/")
        _log_in_by_hand(desktop, phone)


def _log_in_by_hand(desktop: Desktop, phone: BrowserPhone) -> None:
    desktop.look()
    desktop.open("/login?next=/vault")
    desktop.widget_shows("waiting")
    phone.done()
    desktop.page.locator("useid-login [part=qr]").click()
    phone.look()
    phone.sees_request()
    phone.page.get_by_role("button", name="Approve").click()
    phone.page.get_by_role("button", name="Make passkey").click()
    _shows(phone.page, "Approved")
    desktop.look()
    desktop.widget_shows("authenticate")
    desktop.card.get_by_role("button", name=PROCEED).click()
    phone.look()
    _shows(phone.page, "A computer nearby asks for your passkey")
    expect(phone.page.locator("#nearby-details")).to_contain_text(desktop.url)
    phone.page.get_by_role("button", name="Use passkey").click()
    _shows(phone.page, "Passkey used")
    desktop.look()
    desktop.arrives("/vault")
    desktop.open("/protected")
    expect(desktop.page.locator("#acr")).to_have_text("L2")


def _shows(page: Page, heading: str) -> None:
    expect(page.get_by_role("heading", name=heading, exact=True, level=1)).to_be_visible()


# ── for everybody ──


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("locale", "headline", "button"),
    [("en-GB", "One more step", PROCEED), ("de-DE", "Noch ein Schritt", "Weiter mit dem Smartphone")],
)
def test_the_last_step_is_for_everybody_in_each_language_and_scheme(
    crowd: Crowd, phone: PocketPhone, locale: str, headline: str, button: str, scheme: str
) -> None:
    someone = waiter(crowd, locale=locale, color_scheme=scheme, reduced_motion="reduce")
    asked(someone, phone)
    expect(someone.card.get_by_role("status").first).to_contain_text(headline)
    expect(someone.card.get_by_role("button", name=button)).to_be_focused()
    shoot(someone.page, f"bound-login-{locale[:2]}-{scheme}")
    assert serious_findings(someone.page) == []
