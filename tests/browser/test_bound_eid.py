"""Logins with an ID card that are bound to the desktop's browser, on the example app: page 001 in a real Chromium.

Card, eID client and eID server are emulated. The phone's passkey answers by Chromium's virtual authenticator where the
phone is near, and by a window of the phone where a demo has no radio.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.bound import Waiter, bound_harbour, cookies, markup, waiter
from tests.browser.bound_wire import widget_key
from tests.browser.eid_phone import CardPhone, Served
from tests.browser.people import Crowd, gathered, serious_findings, shoot
from tests.browser.virtual import Near, come_near
from tests.serving import Server
from useid_middleware._codec import b64url
from useid_middleware.emulation.client.app import EIDPhone
from useid_middleware.emulation.client.serving import prepare_cards
from useid_middleware.emulation.phone.authenticator import CredentialSource
from useid_middleware.emulation.phone.authenticator_client import Page as Asking

PIN = "123456"
PHONE = {"width": 480, "height": 920}


@dataclass
class Harbour:
    """The example app with an embedded eID server, and a phone with cards of its PKI."""

    app: Server
    phone: EIDPhone
    phone_url: str

    def passkey_for(self, waiter: Waiter) -> CredentialSource:
        """The phone's passkey that the waiting page has to ask for."""
        asked = waiter.page.evaluate("(id) => fetch(`/auth/eid/session/${id}`).then((a) => a.json())", waiter.session)
        return self.phone.passkeys.find(asked["options"], page=Asking(self.app.url))


@contextmanager
def _harbour(folder: Path, **env: str) -> Iterator[Harbour]:
    phone = EIDPhone(prepare_cards(folder / "pki"))
    served = Served(phone, lifespan="on")
    settings = {
        "USEID_EID__SERVER": "embedded",
        "USEID_EID__PKI": str(folder / "pki"),
        "USEID_EID__CLIENT": "bound",
        "HARBOUR_EID_PHONE": served.url,
    }
    try:
        with bound_harbour(folder, **settings, **env) as app:
            yield Harbour(app, phone, served.url)
    finally:
        served.stop()


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    """For browsers that reach phones."""
    with _harbour(tmp_path_factory.mktemp("harbour")) as harbour:
        yield harbour


@pytest.fixture
def crowd(browser: Browser, harbour: Harbour) -> Iterator[Crowd]:
    """People for one test."""
    with gathered(browser, harbour.app.url) as crowd:
        yield crowd


def erika(crowd: Crowd, **options: object) -> Waiter:
    """At a desktop."""
    return waiter(crowd, element="useid-eid", **options)


def identify(window: Page, harbour: Harbour, link: str) -> CardPhone:
    """On the phone: the card is read, and the login's passkey made."""
    phone = CardPhone(window, harbour.phone_url)
    phone.switch_on(f"#link={quote(link, safe='')}")
    window.get_by_role("button", name="Continue", exact=True).click()
    phone.agree()
    phone.type(PIN)
    phone.shows("Make a passkey for this login?")
    window.get_by_role("button", name="Make the passkey").click()
    phone.shows("One step left")
    return phone


def arrives(waiter: Waiter) -> None:
    """Logged in with the card."""
    waiter.desktop.arrives("/protected")
    expect(waiter.page.locator("#acr")).to_have_text("L3-emulated")
    expect(waiter.page.locator("#amr")).to_contain_text("smart card")


def test_a_card_on_the_phone_logs_the_browser_in_that_reaches_the_phone(crowd: Crowd, harbour: Harbour) -> None:
    desktop = erika(crowd)
    link = desktop.begin("/id-card?next=/protected")
    hand = crowd.desktop(viewport=PHONE).page
    identify(hand, harbour, link)
    desktop.desktop.look()
    desktop.shows("authenticate")
    shown = markup(desktop.page)
    passkey = harbour.passkey_for(desktop)
    come_near(desktop.page, passkey)
    desktop.press()
    arrives(desktop)

    [options] = desktop.asked.options
    assert options["hints"] == ["hybrid"]
    assert options["userVerification"] == "required"
    assert options["allowCredentials"] == [{"id": b64url(passkey.id), "type": "public-key", "transports": ["hybrid"]}]
    key = b64url(widget_key(link))
    secrets = cookies(desktop)
    assert key in shown
    for place in (harbour.app.log(), "\n".join(desktop.said)):
        assert [secret for secret in (key, *secrets) if secret in place] == []
    for place in (shown, markup(desktop.page), markup(hand)):
        assert [secret for secret in secrets if secret in place] == []


def test_a_relayed_code_brings_the_attacker_a_question_that_only_the_victims_phone_can_answer(
    crowd: Crowd, harbour: Harbour
) -> None:
    attacker = erika(crowd)
    identify(crowd.desktop(viewport=PHONE).page, harbour, attacker.begin("/id-card?next=/protected"))
    attacker.desktop.look()
    attacker.shows("authenticate")
    Near(attacker.page)
    attacker.press()
    expect(attacker.alert).to_contain_text("Your phone was not reached")
    assert attacker.asked.ends == [{"error": "NotAllowedError"}]
    attacker.is_nobody()


def test_by_hand_the_phones_own_window_gives_the_passkey(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        _harbour(tmp_path_factory.mktemp("by-hand"), HARBOUR_HYBRID="emulated") as harbour,
        gathered(browser, harbour.app.url) as crowd,
    ):
        desktop = erika(crowd)
        link = desktop.begin("/id-card?next=/protected")
        identify(crowd.desktop(viewport=PHONE).page, harbour, link)
        desktop.desktop.look()
        desktop.shows("authenticate")
        with desktop.page.expect_popup() as opened:
            desktop.press()
        window = opened.value
        expect(window.locator("#asker")).to_have_text(harbour.app.url)
        expect(window.locator("#site")).to_have_text("localhost")
        window.get_by_role("button", name="Use the passkey").click()
        desktop.desktop.look()
        arrives(desktop)


@pytest.mark.parametrize(
    ("locale", "scheme", "headline"), [("en-GB", "light", "One more step"), ("de-DE", "dark", "Noch ein Schritt")]
)
def test_the_last_step_is_for_everybody(
    crowd: Crowd, harbour: Harbour, locale: str, scheme: str, headline: str
) -> None:
    desktop = erika(crowd, locale=locale, color_scheme=scheme, reduced_motion="reduce")
    link = desktop.begin("/id-card?next=/protected")
    identify(crowd.desktop(viewport=PHONE).page, harbour, link)
    desktop.desktop.look()
    desktop.shows("authenticate")
    expect(desktop.card.get_by_role("status").first).to_contain_text(headline)
    shoot(desktop.page, f"bound-eid-login-{locale[:2]}-{scheme}")
    assert serious_findings(desktop.page) == []
