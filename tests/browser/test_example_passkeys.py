"""The example app's passkeys in a real browser: made, named, picked in the field, used by button and at the vault."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.harbour import SETTINGS, at_localhost
from tests.browser.harbour import crowd as crowd
from tests.browser.harbour import harbour as harbour
from tests.browser.passkey_wire import NO_AUTOFILL, Authenticator
from tests.browser.people import Crowd, Desktop, gathered, serious_findings
from tests.serving import Serve, Server


@dataclass
class Owner:
    """Somebody at a desktop with an authenticator of its own."""

    desktop: Desktop
    authenticator: Authenticator

    @property
    def card(self) -> Locator:
        """The element's card."""
        return self.desktop.page.locator("useid-passkey section.card")

    @property
    def rows(self) -> Locator:
        """The passkeys on the list."""
        return self.card.get_by_role("listitem")

    def shows(self, status: str) -> None:
        """Wait until the card is in ``status``."""
        expect(self.card).to_have_attribute("data-status", status)

    def log_in_with_password(self, path: str) -> None:
        """To this page. Nobody touches the authenticator meanwhile, so that the field's offer is left alone."""
        self.authenticator.is_touched(touched=False)
        self.desktop.open(f"/login?next={path}").log_in_with_password()
        self.desktop.page.wait_for_url(f"**{path}")
        self.authenticator.is_touched(touched=True)

    def add(self, label: str) -> None:
        """Make a passkey on its page, and name it."""
        self.shows("ready")
        self.desktop.press("Add a passkey")
        field = self.card.get_by_label("Name", exact=True)
        expect(field).to_be_focused()
        field.fill(label)
        self.desktop.press("Save")
        expect(self.rows.filter(has_text=label)).to_be_visible()

    def log_out(self) -> None:
        """Leave."""
        self.desktop.press("Log out")
        self.desktop.arrives("/")


def new_owner(crowd: Crowd, **options: object) -> Owner:
    """Alice, in a browser that has not logged in yet."""
    desktop = crowd.desktop(**options)
    return Owner(desktop, Authenticator(desktop.page))


@pytest.fixture
def owner(browser: Browser, harbour: Server, crowd: Crowd) -> Iterator[Owner]:
    """As :func:`new_owner`. The account has no passkey, and has none afterwards."""
    yield new_owner(crowd)
    with gathered(browser, harbour.url) as people:
        desktop = people.desktop().open("/login")
        desktop.log_in_with_password()
        desktop.arrives("/")
        desktop.page.evaluate(
            """async () => {
              const { passkeys } = await (await fetch("/auth/passkeys")).json();
              for (const { id } of passkeys) await fetch(`/auth/passkeys/${id}`, { method: "DELETE" });
            }"""
        )


@pytest.fixture
def enrolled(owner: Owner) -> Owner:
    """Alice, logged in with her password, with a passkey."""
    owner.log_in_with_password("/passkeys")
    owner.add("Laptop")
    return owner


# ── the page Passkeys ──


def test_a_passkey_is_made_and_named_on_a_page_that_all_can_read(owner: Owner) -> None:
    owner.log_in_with_password("/passkeys")
    owner.shows("ready")
    expect(owner.card).to_contain_text("You have no passkeys yet.")
    owner.desktop.shoot("example-passkeys-none")
    assert serious_findings(owner.desktop.page) == []
    owner.add("Laptop")
    expect(owner.rows).to_have_count(1)
    expect(owner.rows).to_contain_text("On one device")
    [kept] = owner.authenticator.credentials()
    assert (kept["rpId"], kept["userName"]) == ("localhost", "alice")
    for scheme in ("light", "dark"):
        owner.desktop.page.emulate_media(color_scheme=scheme)
        owner.desktop.shoot(f"example-passkeys-{scheme}")
        assert serious_findings(owner.desktop.page) == []


def test_a_passkey_is_given_another_name(enrolled: Owner) -> None:
    enrolled.desktop.press("Rename Laptop")
    enrolled.card.get_by_label("Name", exact=True).fill("Old laptop")
    enrolled.desktop.page.keyboard.press("Enter")
    expect(enrolled.rows.filter(has_text="Old laptop")).to_be_visible()
    enrolled.desktop.page.reload()
    expect(enrolled.rows).to_contain_text(["Old laptop"])


def test_a_deleted_passkey_logs_nobody_in(enrolled: Owner) -> None:
    page = enrolled.desktop.page
    enrolled.desktop.press("Delete Laptop")
    page.get_by_role("alertdialog").get_by_role("button", name="Keep").click()
    expect(enrolled.rows).to_have_count(1)
    enrolled.desktop.press("Delete Laptop")
    page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    expect(enrolled.card).to_contain_text("You have no passkeys yet.")
    expect(enrolled.card).to_contain_text("Passkey deleted")
    enrolled.log_out()
    enrolled.desktop.page.add_init_script(NO_AUTOFILL)
    enrolled.desktop.open("/login")
    enrolled.shows("ready")
    enrolled.desktop.press("Use a passkey")
    # Whether the browser took the hint and forgot it, or asked for it and was refused.
    expect(enrolled.card.get_by_role("alert")).to_contain_text("passkey")
    enrolled.desktop.open("/protected")
    assert "/login" in page.url


def test_a_second_passkey_asks_for_the_first(enrolled: Owner) -> None:
    before = enrolled.authenticator.credentials()[0]["signCount"]
    second = Authenticator(enrolled.desktop.page, transport="usb")
    enrolled.add("Key ring")
    expect(enrolled.rows).to_have_count(2)
    assert enrolled.authenticator.credentials()[0]["signCount"] > before
    assert len(second.credentials()) == 1
    enrolled.desktop.open("/protected")
    expect(enrolled.desktop.page.locator("#acr")).to_have_text("L2")


# ── logging in ──


def test_a_passkey_picked_in_the_field_logs_in_where_one_wanted_to_go(enrolled: Owner) -> None:
    enrolled.log_out()
    enrolled.authenticator.is_touched(touched=False)
    enrolled.desktop.open("/login?next=/protected")
    enrolled.shows("ready")
    field = enrolled.desktop.page.get_by_role("textbox", name="User name")
    expect(field).to_have_attribute("autocomplete", "username webauthn")
    enrolled.authenticator.is_touched(touched=True)
    enrolled.desktop.page.reload()
    enrolled.desktop.arrives("/protected")
    expect(enrolled.desktop.page.locator("#acr")).to_have_text("L2")
    expect(enrolled.desktop.page.locator("#amr")).to_contain_text("key in hardware")


def test_a_passkey_logs_in_with_the_button_beside_the_waiting_qr_code(enrolled: Owner) -> None:
    enrolled.log_out()
    enrolled.desktop.page.add_init_script(NO_AUTOFILL)
    enrolled.desktop.open("/login?next=/protected")
    enrolled.desktop.widget_shows("waiting")
    enrolled.desktop.press("Use a passkey")
    enrolled.desktop.arrives("/protected")


def test_a_stranger_at_the_vault_logs_in_with_a_passkey_and_is_there(enrolled: Owner) -> None:
    enrolled.log_out()
    enrolled.desktop.open("/vault")
    enrolled.desktop.arrives("/vault")
    expect(enrolled.desktop.page.get_by_role("heading", level=1)).to_have_text("Vault")


def test_the_qr_code_and_the_offer_in_the_field_begin_at_once_and_neither_ends_the_other(crowd: Crowd) -> None:
    for _ in range(5):
        owner = new_owner(crowd)
        owner.authenticator.is_touched(touched=False)
        with owner.desktop.page.expect_response("**/passkeys/login/options"):
            owner.desktop.open("/login")
        owner.desktop.widget_shows("waiting")
        snapshot = owner.desktop.page.locator("useid-login").evaluate(
            "async (element) => (await fetch(`/auth/session/${element.state.sessionId}`)).status"
        )
        assert snapshot == 200


# ── the vault ──


def test_the_vault_asks_a_password_login_for_the_passkey_and_opens(enrolled: Owner) -> None:
    page = enrolled.desktop.page
    enrolled.desktop.open("/protected")
    expect(page.locator("#acr")).to_have_text("L0")
    page.get_by_role("link", name="Open the vault").click()
    expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    assert serious_findings(page) == []
    enrolled.desktop.press("Confirm with a passkey")
    enrolled.desktop.arrives("/vault")
    expect(page.locator("#acr")).to_have_text("L2")
    expect(page.locator("#amr code")).to_have_text(["pwd", "pop", "hwk", "user", "mfa"])
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        enrolled.desktop.shoot(f"example-vault-{scheme}")
        assert serious_findings(page) == []
    # From now on it opens without a question.
    enrolled.desktop.open("/")
    enrolled.desktop.open("/vault")
    enrolled.desktop.sees("You are in")


def test_the_vault_stays_shut_for_who_cancels(enrolled: Owner) -> None:
    enrolled.authenticator.recognises(user=False)
    enrolled.desktop.open("/vault")
    enrolled.desktop.press("Confirm with a passkey")
    enrolled.shows("cancelled")
    enrolled.desktop.open("/vault")
    expect(enrolled.desktop.page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()


def test_the_vault_has_no_way_in_for_who_has_no_passkey(owner: Owner) -> None:
    owner.log_in_with_password("/passkeys")
    owner.desktop.open("/vault")
    owner.desktop.sees("Nothing that your account has can show that.")


# ── other screens, other addresses ──


def test_on_a_narrow_screen_in_german_the_pages_scroll_one_way_only(owner: Owner, crowd: Crowd) -> None:
    narrow = new_owner(crowd, locale="de-DE", viewport={"width": 320, "height": 640})
    page = narrow.desktop.page
    narrow.authenticator.is_touched(touched=False)
    narrow.desktop.open("/login?next=/passkeys")
    expect(narrow.card).to_contain_text("Mit Passkey anmelden")
    _fits(narrow, "login")
    page.get_by_role("textbox", name="Benutzername").fill("alice")
    page.get_by_label("Passwort", exact=True).fill("wonderland")
    page.get_by_role("region", name="Mit Passwort").get_by_role("button", name="Anmelden").click()
    narrow.desktop.arrives("/passkeys")
    narrow.authenticator.is_touched(touched=True)
    narrow.desktop.press("Passkey hinzufügen")
    narrow.desktop.press("Speichern")
    expect(narrow.rows).to_have_count(1)
    _fits(narrow, "passkeys")
    narrow.desktop.open("/vault")
    page.locator("useid-passkey").get_by_role("button").click()
    narrow.desktop.arrives("/vault")
    _fits(narrow, "vault")


def _fits(owner: Owner, name: str) -> None:
    owner.desktop.shoot(f"narrow-de-example-{name}")
    assert owner.desktop.page.evaluate("document.documentElement.scrollWidth") == 320


def test_at_an_address_the_page_leads_to_localhost(browser: Browser, harbour: Server) -> None:
    address = harbour.url.replace("localhost", "127.0.0.1")
    with gathered(browser, address) as crowd:
        desktop = crowd.desktop().open("/login?next=/passkeys")
        desktop.log_in_with_password()
        desktop.arrives("/passkeys")
        assert serious_findings(desktop.page) == []
        desktop.shoot("example-passkeys-address")
        desktop.page.get_by_role("link", name="this page at localhost").click()
        # Another origin, where nobody is logged in yet.
        desktop.page.wait_for_url(f"{harbour.url}/login?next=*")


def test_in_the_demo_the_browser_is_asked_for_its_passkeys_and_no_emulated_phone(
    browser: Browser, serve: Serve
) -> None:
    env = {"HARBOUR_HYBRID": "emulated", "HARBOUR_EID_PHONE": "http://127.0.0.1:9/"}
    server = serve("example_app.app:app", env=SETTINGS | env)
    at_localhost(server)
    with gathered(browser, server.url) as crowd:
        owner = new_owner(crowd)
        owner.desktop.page.add_init_script(NO_AUTOFILL)
        owner.log_in_with_password("/passkeys")
        owner.add("Laptop")
        owner.log_out()
        owner.desktop.open("/login?next=/vault")
        owner.desktop.press("Use a passkey")
        owner.desktop.arrives("/vault")
        assert len(owner.desktop.page.context.pages) == 1
