"""Logging in to the example app with an emulated ID card, in real browsers: on this computer, and from a phone."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.eid_phone import CardPhone, Served
from tests.browser.harbour import SETTINGS, at_localhost
from tests.browser.people import Crowd, Desktop, gathered, serious_findings
from tests.servers import free_port
from tests.serving import Server
from useid_middleware.emulation.client.app import EIDPhone
from useid_middleware.emulation.client.serving import prepare_cards

PIN, WRONG, CAN = "123456", "111111", "500540"


@dataclass
class Harbour:
    """The example app with an embedded eID server, and a phone with cards of its PKI."""

    app: Server
    phone: Served


def _harbour(tmp_path_factory: pytest.TempPathFactory, **env: str) -> Iterator[Harbour]:
    folder = tmp_path_factory.mktemp("harbour")
    phone = Served(EIDPhone(prepare_cards(folder / "pki")), lifespan="on")
    settings = {
        "USEID_EID__SERVER": "embedded",
        "USEID_EID__PKI": str(folder / "pki"),
        "USEID_EID__OPTIONAL": json.dumps(["GivenNames", "ArtisticName"]),
        "USEID_EID__AGE": "18",
        "USEID_EID__TRANSACTION_INFO": "Login at Harbour",
        "HARBOUR_EID_PHONE": phone.url,
    }
    app = Server("example_app.app:app", port=free_port(), folder=folder, env=SETTINGS | settings | env, factory=False)
    at_localhost(app)
    app.start()
    yield Harbour(app, phone)
    app.stop()
    phone.stop()


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    """With stock eID clients on phones."""
    yield from _harbour(tmp_path_factory)


@pytest.fixture(scope="module")
def integrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    """With eID clients on phones that know the widget."""
    yield from _harbour(tmp_path_factory, USEID_EID__CLIENT="integrated")


@pytest.fixture
def crowd(browser: Browser, harbour: Harbour) -> Iterator[Crowd]:
    with gathered(browser, harbour.app.url) as crowd:
        yield crowd


def _local_client(page: Page, harbour: Harbour) -> CardPhone:
    """The phone's program as the eID client of this computer, whatever listens on its usual port."""

    def lead(route: Route) -> None:
        path = route.request.url.removeprefix("http://127.0.0.1:24727/")
        route.fulfill(status=303, headers={"location": harbour.phone.url + path})

    page.route("http://127.0.0.1:24727/**", lead)
    return CardPhone(page, harbour.phone.url)


def _widget(page: Page, status: str) -> None:
    expect(page.locator("useid-eid .card")).to_have_attribute("data-status", status)


def _begin_here(desktop: Desktop) -> None:
    """From the members' page to the eID client on this computer."""
    desktop.open("/protected")
    desktop.page.get_by_role("link", name="Log in with your ID card").click()
    _widget(desktop.page, "waiting")
    desktop.page.get_by_role("button", name="The eID client is on this computer").click()
    expect(desktop.page.get_by_role("heading", name="A website asks for your ID card")).to_be_visible()


def _qr_data(desktop: Desktop) -> str:
    desktop.open("/id-card?next=/protected")
    _widget(desktop.page, "waiting")
    return str(desktop.page.locator("useid-eid").evaluate("(element) => element.qrData"))


def test_a_card_on_this_computer_logs_in_where_one_wanted_to_go(crowd: Crowd, harbour: Harbour) -> None:
    desktop = crowd.desktop()
    phone = _local_client(desktop.page, harbour)
    _begin_here(desktop)
    desktop.press("Continue")
    expect(desktop.page.get_by_text("Login at Harbour")).to_be_visible()
    expect(desktop.page.get_by_role("listitem").filter(has_text="at least 18 years old")).to_be_visible()
    desktop.page.get_by_label("Religious or artistic name").uncheck()
    desktop.shoot("eid-example-confirm")
    phone.agree()
    phone.type(WRONG)
    expect(desktop.page.get_by_role("alert")).to_have_text("That was not right. 2 tries left.")
    phone.type(PIN)
    desktop.arrives("/protected")
    expect(desktop.page.locator("#acr")).to_have_text("L3-emulated")
    expect(desktop.page.locator("#amr")).to_contain_text("smart card")
    desktop.shoot("eid-example-protected")


def test_a_phone_with_a_stock_client_logs_the_desktop_in_after_its_code(crowd: Crowd, harbour: Harbour) -> None:
    desktop = crowd.desktop()
    link = _qr_data(desktop)
    assert serious_findings(desktop.page) == []
    desktop.shoot("eid-example-id-card")
    # Another browser: the phone's own.
    phone = _local_client(crowd.desktop(viewport={"width": 480, "height": 920}).page, harbour)
    phone.switch_on()
    phone.open_link(link)
    phone.page.get_by_role("button", name="Continue").click()
    phone.page.get_by_role("link", name="The app runs on this computer").click()
    phone.page.get_by_role("button", name="Continue", exact=True).click()
    phone.agree()
    phone.type(PIN)
    expect(phone.page.get_by_role("heading", name="Type this code on your other device")).to_be_visible()
    phone.shoot("example-code")
    assert serious_findings(phone.page) == []
    code = phone.page.locator("strong").inner_text()
    desktop.look()
    _widget(desktop.page, "code")
    desktop.page.locator("useid-eid").get_by_role("textbox").fill(code)
    desktop.press("Confirm")
    desktop.arrives("/protected")
    expect(desktop.page.locator("#acr")).to_have_text("L1-emulated")


def test_a_phone_that_knows_the_widget_logs_the_desktop_in_by_itself(browser: Browser, integrated: Harbour) -> None:
    with gathered(browser, integrated.app.url) as crowd:
        desktop = crowd.desktop()
        link = _qr_data(desktop)
        assert "#widgetSessionSecret=" in link
        phone = CardPhone(crowd.desktop(viewport={"width": 480, "height": 920}).page, integrated.phone.url)
        phone.switch_on(f"#link={quote(link, safe='')}")
        phone.page.get_by_role("button", name="Continue", exact=True).click()
        phone.agree()
        phone.type(PIN)
        expect(phone.page.get_by_text("You can go on at your computer.")).to_be_visible()
        desktop.look()
        desktop.arrives("/protected")
        expect(desktop.page.locator("#acr")).to_have_text("L3-emulated")
        # What the backend passed on, it could not read.
        secret = link.rpartition("=")[2]
        assert secret not in integrated.app.log()


def test_clicking_the_qr_code_hands_it_to_the_window_of_the_demo_phone(crowd: Crowd, harbour: Harbour) -> None:
    desktop = crowd.desktop()
    _qr_data(desktop)
    with desktop.page.context.expect_page() as opened:
        desktop.page.locator("useid-eid [part=qr]").click()
    expect(desktop.page.locator("#qr-sent")).to_contain_text("The code went to the window")
    phone = CardPhone(opened.value, harbour.phone.url)
    link = re.compile(f"^{re.escape(harbour.app.url)}/auth/eid/phone/")
    expect(phone.page.get_by_label("Link", exact=True)).to_have_value(link)


@pytest.mark.parametrize(
    ("card", "told"),
    [
        ("expired", "ID card refused"),
        ("revoked", "ID card refused"),
    ],
)
def test_a_card_that_is_not_accepted_ends_the_login_on_both_sides(
    crowd: Crowd, harbour: Harbour, card: str, told: str
) -> None:
    desktop = crowd.desktop()
    link = _qr_data(desktop)
    phone = _local_client(crowd.desktop(viewport={"width": 480, "height": 920}).page, harbour)
    phone.switch_on()
    phone.page.get_by_role("combobox", name="Card").select_option(card)
    phone.open_link(link)
    phone.page.get_by_role("button", name="Continue").click()
    phone.page.get_by_role("link", name="The app runs on this computer").click()
    phone.page.get_by_role("button", name="Continue", exact=True).click()
    phone.agree()
    phone.type(PIN)
    expect(phone.page.locator("#error-code")).to_have_text("server_refused")
    desktop.look()
    expect(desktop.page.locator("useid-eid")).to_contain_text(told)
    desktop.shoot(f"eid-example-{card}")


def test_who_cancels_on_the_phone_is_nobody_on_the_desktop(crowd: Crowd, harbour: Harbour) -> None:
    desktop = crowd.desktop()
    phone = _local_client(desktop.page, harbour)
    _begin_here(desktop)
    desktop.press("Continue")
    phone.shows("Identify yourself?")
    desktop.press("Cancel")
    phone.shows("Cancelled")
    desktop.page.get_by_role("link", name="Back to the website").click()
    expect(desktop.page.get_by_role("heading", name="The login was cancelled")).to_be_visible()
    desktop.open("/protected")
    assert "/login" in desktop.page.url


def test_the_page_for_id_cards_speaks_german(crowd: Crowd) -> None:
    desktop = crowd.desktop(locale="de-DE", color_scheme="dark")
    desktop.open("/id-card")
    expect(desktop.page.get_by_role("heading", name="Mit dem Ausweis anmelden")).to_be_visible()
    _widget(desktop.page, "waiting")
    desktop.shoot("eid-example-de-dark")
    assert serious_findings(desktop.page, rules=["color-contrast"]) == []
    desktop.open("/login")
    expect(desktop.page.get_by_role("link", name="Mit dem Ausweis anmelden")).to_be_visible()
    desktop.shoot("eid-example-login-de-dark")
