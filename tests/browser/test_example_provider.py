"""The example app and the development provider in real browsers: log in, add a phone, and leave in every way."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.people import Crowd, enrol, gathered, serious_findings
from tests.browser.provided import Port, agree, log_in_at_provider, log_out_at_provider
from tests.browser.provided import port as port


@pytest.fixture
def crowd(browser: Browser, port: Port) -> Iterator[Crowd]:
    with gathered(browser, port.app.url) as crowd:
        yield crowd


def test_a_new_user_is_told_who_gives_roles_and_an_existing_one_goes_where_they_wanted(crowd: Crowd) -> None:
    desktop = crowd.desktop().open("/protected")
    log_in_at_provider(desktop, "Konrad Zuse")
    desktop.arrives("/")
    desktop.sees("Hello, konrad")
    desktop.sees("A system administrator must assign your departments and permissions.")
    assert serious_findings(desktop.page) == []
    desktop.shoot("provider-new-user")
    again = crowd.desktop().open("/protected")
    log_in_at_provider(again, "Konrad Zuse")
    again.arrives("/protected")
    again.sees("Members’ page")


def test_roles_of_the_provider_are_roles_of_the_user(crowd: Crowd) -> None:
    desktop = crowd.desktop().open("/login")
    log_in_at_provider(desktop, "Ada Lovelace")
    desktop.open("/protected")
    expect(desktop.page.locator("#roles")).to_have_text("adminstaff")


def test_logging_out_ends_our_session_and_the_providers(crowd: Crowd) -> None:
    desktop = crowd.desktop().open("/login")
    log_in_at_provider(desktop, "Grace Hopper")
    desktop.open("/protected")
    desktop.press("Log out")
    desktop.arrives("/")
    desktop.sees("Welcome ashore")
    # The provider asks who it is again: its session is over too.
    desktop.open("/login")
    log_in_at_provider(desktop, "Grace Hopper")


def test_a_phone_added_after_a_provider_login_logs_in_and_its_session_ends_with_the_providers(
    crowd: Crowd, port: Port
) -> None:
    first = crowd.desktop().open("/login")
    log_in_at_provider(first, "Ada Lovelace")
    first.arrives("/")
    phone = crowd.phone()
    first.look()
    enrol(first, phone, "Ada’s phone")
    phone.look()
    phone.done()

    second = crowd.desktop().open("/login?next=/protected")
    link = second.qr_link()
    phone.look()
    phone.scan(link)
    phone.sees_request()
    phone.approve()
    code = phone.code()
    second.look()
    second.type_code(code)
    second.arrives("/protected")
    second.sees("ada")

    # Nobody touches the second desktop any more; the provider tells us, and the open page knows at once.
    elsewhere = first.page.context.new_page()
    log_out_at_provider(elsewhere, port.issuer)
    second.look()
    expect(second.page.locator("useid-session")).to_contain_text("Your login provider has ended your session")
    second.shoot("provider-session-ended")
    second.open("/protected")
    assert "/login" in second.page.url
    first.look()
    first.open("/protected")
    assert "/login" in first.page.url


def test_the_monitor_notices_that_somebody_else_logged_in_at_the_provider(crowd: Crowd, port: Port) -> None:
    desktop = crowd.desktop().open("/login")
    log_in_at_provider(desktop, "Grace Hopper")
    desktop.open("/protected")
    # Another login in this browser at the provider, for another application, as somebody else.
    other = desktop.page.context.new_page()
    other.goto(
        f"{port.issuer}/authorize?client_id=demo&response_type=code&scope=openid&prompt=login&state=x&nonce=y"
        "&redirect_uri=http://127.0.0.1:9/none"
    )
    other.get_by_role("button", name="Ada Lovelace").click()
    desktop.look()
    expect(desktop.page.locator("useid-session")).to_contain_text("You have been logged out")
    desktop.open("/protected")
    assert "/login" in desktop.page.url


def test_a_refusal_at_the_provider_leads_to_a_page_that_offers_a_way_on(crowd: Crowd) -> None:
    desktop = crowd.desktop().open("/login")
    desktop.page.get_by_role("link", name="Log in with the test provider").click()
    desktop.page.get_by_role("button", name="Cancel and go back").click()
    expect(desktop.page.get_by_text("authorization_refused")).to_be_visible()
    assert serious_findings(desktop.page) == []
    desktop.shoot("provider-refused")
    desktop.page.get_by_role("link", name="Try again").click()
    expect(desktop.page.get_by_text("Test provider for development")).to_be_visible()


def test_without_cookies_a_login_ends_in_a_clear_page_and_not_in_a_loop(crowd: Crowd, port: Port) -> None:
    desktop = crowd.desktop().open("/login")
    desktop.page.get_by_role("link", name="Log in with the test provider").click()
    desktop.page.context.clear_cookies(name="useid-oidc")
    desktop.page.get_by_role("button", name="Ada Lovelace").click()
    agree(desktop.page)
    expect(desktop.page.get_by_text("cookie_missing")).to_be_visible()
