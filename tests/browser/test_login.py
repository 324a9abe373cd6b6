"""The whole login, end to end: the example app under uvicorn, a real desktop browser, a real (emulated) phone."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.browser.harbour import SETTINGS, kill
from tests.browser.harbour import crowd as crowd
from tests.browser.harbour import harbour as harbour
from tests.browser.harbour import phone as phone
from tests.browser.people import BrowserPhone, CommandLinePhone, Crowd, Desktop, enrol, gathered
from tests.servers import free_port
from tests.serving import Server


def approve_with_code(desktop: Desktop, phone: BrowserPhone) -> None:
    """Scan what the desktop shows, approve, and type the code there."""
    phone.scan(desktop.qr_link())
    phone.sees_request()
    phone.approve()
    desktop.type_code(phone.code())
    phone.done()


def test_a_phone_is_enrolled_and_from_then_on_logs_the_desktop_in(crowd: Crowd) -> None:
    desktop, phone = crowd.desktop(), crowd.phone()
    desktop.open("/phones")
    desktop.log_in_with_password()
    desktop.arrives("/phones")
    desktop.sees("No phone yet.")
    desktop.shoot("phones-empty")
    link = desktop.offer_phone()
    desktop.shoot("phones-scan")
    code = phone.enrol(link, "Pocket phone")
    expect(desktop.page.get_by_label("Code from the phone")).to_be_focused()
    desktop.shoot("phones-code")
    desktop.confirm_phone("Pocket phone", code)
    phone.done()
    expect(desktop.page.get_by_role("list").filter(has_text="not used yet")).to_contain_text("Pocket phone")
    desktop.shoot("phones-done")
    desktop.press("Log out")
    desktop.arrives("/")

    # From a new browser the phone's code is asked for.
    desktop.open("/protected")
    phone.scan(desktop.qr_link())
    desktop.shoot("login-waiting")
    phone.sees_request()
    phone.shoot("phone-asks")
    desktop.widget_shows("scanned")
    desktop.shoot("login-scanned")
    phone.approve()
    phone.shoot("phone-approved")
    desktop.widget_shows("code")
    desktop.shoot("login-code")
    desktop.type_code(phone.code())
    desktop.widget_shows("approved")
    expect(desktop.card).to_contain_text("Approved!")
    desktop.shoot("login-approved")
    desktop.arrives("/protected")
    expect(desktop.page.locator("#acr").first).to_have_text("L1")
    expect(desktop.page.locator("#amr")).to_contain_text("mca")
    expect(desktop.page.locator("#sessions li")).to_contain_text(["Chrome on Linux"])
    desktop.shoot("protected")
    phone.done()

    # The browser is known now, so the second time the phone's word is enough.
    desktop.press("Log out")
    desktop.arrives("/")
    desktop.open("/protected")
    phone.scan(desktop.qr_link())
    phone.sees_request()
    phone.approve()
    desktop.arrives("/protected")
    expect(desktop.page.locator("#amr")).to_contain_text("rba")


def test_a_click_on_the_qr_code_is_a_scan_by_the_phone_in_the_other_window(crowd: Crowd) -> None:
    desktop = crowd.desktop()
    with desktop.open("/login").page.expect_popup() as opened:
        desktop.page.get_by_role("link", name="demo phone").click()
    phone = BrowserPhone(opened.value, crowd.url)
    phone.switch_on()
    desktop.look()
    desktop.open("/phones")
    desktop.log_in_with_password()
    desktop.arrives("/phones")
    desktop.offer_phone()
    desktop.page.get_by_role("img", name="QR code").click()
    phone.look()
    phone.page.get_by_role("button", name="Trust and add").click()
    code = phone.page.locator("#code:not(:empty)").inner_text()
    phone.done()
    desktop.look()
    desktop.confirm_phone("Browser phone", code)
    desktop.press("Log out")
    desktop.arrives("/")
    desktop.open("/login")
    desktop.widget_shows("waiting")
    desktop.card.get_by_role("img", name="QR code").click()
    desktop.sees("The code went to the demo phone’s window.")
    phone.look()
    phone.sees_request()
    phone.approve()
    code = phone.code()
    desktop.look()
    desktop.type_code(code)
    desktop.arrives("/")


def test_a_rejected_login_lets_nobody_in_and_can_be_tried_again(crowd: Crowd, phone: BrowserPhone) -> None:
    desktop = crowd.desktop().open("/protected")
    phone.scan(desktop.qr_link())
    phone.sees_request()
    phone.reject()
    phone.shoot("phone-rejected")
    phone.done()
    desktop.widget_shows("rejected")
    expect(desktop.card).to_contain_text("Login rejected")
    desktop.shoot("login-rejected")
    desktop.press("Try again")
    approve_with_code(desktop, phone)
    desktop.arrives("/protected")


def test_a_wrong_code_is_told_and_the_right_one_still_lets_in(crowd: Crowd, phone: BrowserPhone) -> None:
    desktop = crowd.desktop().open("/login")
    phone.scan(desktop.qr_link())
    phone.sees_request()
    phone.approve()
    code = phone.code()
    phone.done()
    wrong = str(int(code[0]) ^ 1) + code[1:]
    desktop.type_code(wrong)
    expect(desktop.card).to_contain_text("4 attempts left")
    desktop.shoot("login-code-wrong")
    desktop.type_code(code)
    desktop.arrives("/")
    desktop.sees("Hello, alice")


def test_a_code_on_the_screen_expires_and_is_refreshed(browser: Browser, tmp_path: Path) -> None:
    env = {**SETTINGS, "USEID_QR__LIFETIME": "1.5"}
    server = Server("example_app.app:app", port=free_port(), folder=tmp_path, env=env, factory=False)
    server.start()
    try:
        with gathered(browser, server.url) as crowd:
            desktop = crowd.desktop().open("/login")
            first = desktop.qr_link()
            desktop.widget_shows("expired")
            expect(desktop.card).to_contain_text("Session expired")
            desktop.shoot("login-expired")
            desktop.press("Get a new code")
            assert desktop.qr_link() != first
    finally:
        server.stop()


def test_a_login_outlives_an_orderly_restart_between_scan_and_approval(
    crowd: Crowd, harbour: Server, phone: BrowserPhone
) -> None:
    desktop = crowd.desktop().open("/protected")
    phone.scan(desktop.qr_link())
    phone.sees_request()
    desktop.widget_shows("scanned")
    harbour.restart()
    phone.approve()
    desktop.type_code(phone.code())
    phone.done()
    desktop.arrives("/protected")


def test_a_login_outlives_a_power_cut_and_an_approval_that_the_desktop_did_not_hear(
    crowd: Crowd, harbour: Server, phone: BrowserPhone
) -> None:
    desktop = crowd.desktop().open("/protected")
    link = desktop.qr_link()
    kill(harbour)
    desktop.widget_shows("offline")
    expect(desktop.card).to_contain_text("Connection lost")
    desktop.shoot("login-offline")
    desktop.page.context.set_offline(True)
    harbour.start()
    phone.scan(link)
    phone.sees_request()
    phone.approve()
    desktop.widget_shows("offline")
    desktop.page.context.set_offline(False)
    desktop.type_code(phone.code())
    phone.done()
    desktop.arrives("/protected")


def test_the_stream_is_on_one_process_and_the_phone_on_another(
    browser: Browser, redis_url: str, tmp_path: Path
) -> None:
    port = free_port()
    origin = f"http://localhost:{port}"
    env = {
        **SETTINGS,
        "USEID_ORIGIN": origin,
        "USEID_STORE": redis_url,
        "USEID_KEY_PREFIX": f"harbour-{port}:",
        "USEID_ACCOUNTS": f"sqlite:///{tmp_path}/accounts.db",
    }
    here = Server("example_app.app:app", port=port, folder=tmp_path, env=env, factory=False)
    there = Server("example_app.app:app", port=free_port(), folder=tmp_path, env=env, factory=False)

    def balance(route: Route) -> None:
        """What a load balancer does: the same address, another process."""
        headers = {**route.request.headers, "host": f"localhost:{port}"}
        route.fulfill(response=route.fetch(url=route.request.url.replace(origin, there.url), headers=headers))

    try:
        here.start()
        there.start()
        with gathered(browser, origin) as crowd:
            desktop, phone = crowd.desktop(), crowd.phone()
            phone.page.context.route(f"{origin}/auth/**", balance)
            enrol(desktop, phone, "Far phone")
            phone.done()
            desktop.press("Log out")
            desktop.open("/protected")
            approve_with_code(desktop, phone)
            desktop.arrives("/protected")
    finally:
        here.stop()
        there.stop()
    assert "POST /auth/approve" in there.log()
    assert "POST /auth/approve" not in here.log()
    assert "/events" in here.log()
    assert "/events" not in there.log()


def test_the_phone_of_the_command_line_logs_a_desktop_in(crowd: Crowd, tmp_path: Path) -> None:
    phone = CommandLinePhone(tmp_path)
    enrol(crowd.desktop(), phone, "Terminal")
    desktop = crowd.desktop().open("/protected")
    desktop.type_code(phone.approve(desktop.qr_link()))
    desktop.arrives("/protected")


def test_revoking_a_phone_ends_the_session_that_it_opened(crowd: Crowd) -> None:
    home, away, phone = crowd.desktop(), crowd.desktop(), crowd.phone()
    enrol(home, phone, "Lost phone")
    phone.done()
    away.open("/protected")
    approve_with_code(away, phone)
    away.arrives("/protected")

    home.page.once("dialog", lambda dialog: dialog.accept())
    home.press("Revoke: Lost phone")
    expect(home.page.get_by_role("status").filter(has_text="“Lost phone” is revoked.")).to_be_attached()
    away.page.reload()
    away.page.wait_for_url("**/login?next=*")
    phone.scan(away.qr_link())
    expect(phone.page.locator("#error-code")).to_have_text("device_unknown")


@pytest.mark.parametrize("ended", ["Log out", "Log out everywhere else"])
def test_a_session_elsewhere_is_ended_from_the_list(crowd: Crowd, ended: str) -> None:
    home, away = crowd.desktop(), crowd.desktop()
    for desktop in (away, home):
        desktop.open("/protected")
        desktop.log_in_with_password()
        desktop.arrives("/protected")
    sessions = home.page.get_by_role("region", name="Where you are logged in")
    expect(sessions).to_contain_text("This browser")
    sessions.get_by_role("button", name=ended, exact=True).first.click()
    away.page.wait_for_function("async () => !(await fetch('/auth/sessions')).ok")
    home.open("/protected")
    home.sees("This browser")


def test_without_javascript_the_page_logs_in_by_refresh(crowd: Crowd, phone: BrowserPhone) -> None:
    desktop = crowd.desktop(java_script_enabled=False).open("/login?next=/protected")
    desktop.shoot("login-without-javascript")
    desktop.press("Log in with your phone, without JavaScript")
    expect(desktop.page.get_by_role("img", name="QR code")).not_to_have_js_property("naturalWidth", 0)
    desktop.shoot("plain-waiting")
    link = desktop.page.get_by_role("link", name="Open on this device").get_attribute("href")
    assert link is not None
    phone.scan(link)
    phone.sees_request()
    desktop.page.get_by_role("link", name="Check now").click()
    desktop.sees("Code scanned")
    phone.approve()
    desktop.page.get_by_role("link", name="Check now").click()
    desktop.page.get_by_label("Code from your phone").fill(phone.code())
    desktop.shoot("plain-code")
    phone.done()
    desktop.press("Confirm")
    desktop.arrives("/protected")
    desktop.sees("proof of possession")
