"""The example app's pages as people meet them: accessible, in the dark, on a narrow screen, in German."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.harbour import crowd as crowd
from tests.browser.harbour import harbour as harbour
from tests.browser.people import BrowserPhone, Crowd, Desktop, gathered, serious_findings
from tests.serving import Server

Visit = Callable[[Desktop], None]


@pytest.fixture(scope="module")
def member(browser: Browser, harbour: Server) -> Iterator[Desktop]:
    """Alice, logged in, on one desktop for all tests."""
    with gathered(browser, harbour.url) as crowd:
        desktop = crowd.desktop().open("/login")
        desktop.log_in_with_password()
        desktop.arrives("/")
        yield desktop


def _fail_login(desktop: Desktop) -> None:
    desktop.open("/login")
    desktop.widget_shows("waiting")
    desktop.log_in_with_password("looking-glass")
    desktop.sees("User name or password is wrong.")
    desktop.widget_shows("waiting")


def _wait_for_phone(path: str) -> Visit:
    def visit(desktop: Desktop) -> None:
        desktop.open(path)
        desktop.widget_shows("waiting")

    return visit


def _offer_phone(desktop: Desktop) -> None:
    desktop.open("/phones")
    desktop.offer_phone()


def _open(path: str) -> Visit:
    def visit(desktop: Desktop) -> None:
        desktop.open(path)

    return visit


STRANGER: dict[str, Visit] = {
    "home": _open("/"),
    "login": _wait_for_phone("/login"),
    "login-failed": _fail_login,
    "plugin-login": _wait_for_phone("/auth/login"),
    "not-found": _open("/nothing-here"),
}
MEMBER: dict[str, Visit] = {"home-member": _open("/"), "protected": _open("/protected"), "phones-scan": _offer_phone}


def _check(desktop: Desktop, visit: Visit, name: str) -> None:
    """No serious finding in light; in the dark only the colours differ; and the two screenshots."""
    desktop.page.emulate_media(color_scheme="light")
    visit(desktop)
    desktop.shoot(f"{name}-light")
    assert serious_findings(desktop.page) == []
    desktop.page.emulate_media(color_scheme="dark")
    desktop.shoot(f"{name}-dark")
    assert serious_findings(desktop.page, rules=["color-contrast"]) == []


@pytest.mark.parametrize("name", STRANGER)
def test_a_strangers_page_has_no_serious_finding_in_light_and_dark(crowd: Crowd, name: str) -> None:
    _check(crowd.desktop(), STRANGER[name], name)


@pytest.mark.parametrize("name", MEMBER)
def test_a_members_page_has_no_serious_finding_in_light_and_dark(member: Desktop, name: str) -> None:
    _check(member, MEMBER[name], name)


def test_every_step_of_adding_a_phone_has_no_serious_finding(member: Desktop, crowd: Crowd) -> None:
    phone: BrowserPhone = crowd.phone()
    member.page.emulate_media(color_scheme="light")
    member.open("/phones")
    code = phone.enrol(member.offer_phone(), "Phone")
    phone.shoot("phone-enrolled")
    field = member.page.get_by_label("Code from the phone")
    field.press_sequentially("12345")
    expect(field).to_have_value("123 45")
    member.press("Confirm")
    expect(member.page.get_by_role("alert").filter(has_text="Enter all six digits.")).to_be_visible()
    field.fill(str(int(code[0]) ^ 1) + code[1:])
    member.press("Confirm")
    expect(member.page.get_by_role("alert").filter(has_text="Attempts left: 4.")).to_be_visible()
    member.shoot("phones-code-wrong")
    assert serious_findings(member.page) == []
    member.confirm_phone("Phone", code)
    assert serious_findings(member.page) == []


def test_five_wrong_codes_end_the_adding_of_a_phone(member: Desktop, crowd: Crowd) -> None:
    member.open("/phones")
    code = crowd.phone().enrol(member.offer_phone(), "Phone")
    field = member.page.get_by_label("Code from the phone")
    for left in (4, 3, 2, 1):
        field.fill(str(int(code[0]) ^ 1) + code[1:])
        member.press("Confirm")
        expect(member.page.get_by_role("alert").filter(has_text=f"Attempts left: {left}.")).to_be_visible()
    field.fill(str(int(code[0]) ^ 1) + code[1:])
    member.press("Confirm")
    member.sees("The code was wrong too many times.")
    member.shoot("phones-failed")
    assert serious_findings(member.page) == []
    member.press("Try again")
    expect(member.page.get_by_role("img", name="QR code for adding a phone")).to_be_visible()


def test_a_narrow_screen_in_german_scrolls_one_way_only(crowd: Crowd) -> None:
    desktop = crowd.desktop(locale="de-DE", viewport={"width": 320, "height": 640})
    page = desktop.open("/login").page
    desktop.widget_shows("waiting")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(desktop.card).to_contain_text("Warten auf Ihr Smartphone")
    _shoot_narrow(desktop, "login")
    page.get_by_role("textbox", name="Benutzername").fill("alice")
    page.get_by_label("Passwort", exact=True).fill("wonderland")
    page.get_by_role("main").get_by_role("button", name="Anmelden").click()
    desktop.arrives("/")
    desktop.sees("Hallo, alice")
    _shoot_narrow(desktop, "home")
    desktop.open("/protected")
    expect(page.locator("#sessions li").first).to_be_visible()
    _shoot_narrow(desktop, "protected")
    desktop.open("/phones")
    page.get_by_role("button", name="Telefon hinzufügen").click()
    expect(page.get_by_role("img", name="QR-Code zum Hinzufügen")).to_be_visible()
    _shoot_narrow(desktop, "phones")


def _shoot_narrow(desktop: Desktop, name: str) -> None:
    desktop.shoot(f"narrow-de-{name}")
    assert desktop.page.evaluate("document.documentElement.scrollWidth") == 320


def test_the_language_can_be_changed_and_stays(crowd: Crowd) -> None:
    desktop = crowd.desktop().open("/login?next=/phones")
    desktop.page.get_by_role("link", name="Deutsch").click()
    expect(desktop.card).to_contain_text("Mit dem Smartphone anmelden")
    desktop.open("/")
    desktop.sees("Willkommen an Land")
