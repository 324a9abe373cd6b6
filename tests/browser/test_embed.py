"""The widget in another site's page: two origins over TLS, the real plugin, a Chromium that blocks foreign cookies."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, expect

from tests.browser.two_sites import Sites, two_sites
from tests.browsing import FLAGS

COOKIE = re.compile(r"__Host-useid-frame=[A-Za-z0-9_-]{43}")


@pytest.fixture(scope="module")
def strict_browser(browser: Browser, chromium: str) -> Iterator[Browser]:
    """A Chromium that sends no cookies to third parties, but for those that are kept apart for each site."""
    running = browser.browser_type.launch(
        executable_path=chromium, headless=True, args=[*FLAGS, "--test-third-party-cookie-phaseout"]
    )
    yield running
    running.close()


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Sites]:
    with two_sites(tmp_path) as served:
        yield served


@pytest.fixture
def context(strict_browser: Browser, sites: Sites) -> Iterator[BrowserContext]:
    context = strict_browser.new_context(
        locale="en-GB", viewport={"width": 900, "height": 800}, ignore_https_errors=True
    )
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def frame_of(page: Page) -> FrameLocator:
    return page.frame_locator("iframe")


def await_status(page: Page, status: str) -> None:
    expect(frame_of(page).locator("useid-eid .card")).to_have_attribute("data-status", status)


def read_link(page: Page) -> str:
    return frame_of(page).locator("useid-eid .link").text_content() or ""


def test_this_browser_really_blocks_cookies_of_third_parties(page: Page, sites: Sites) -> None:
    page.goto(f"{sites.shop}/control")
    page.reload()
    expect(frame_of(page).locator("p")).to_have_text("apart=1")


def test_a_login_by_an_integrated_client_takes_the_shop_s_page_on(page: Page, sites: Sites) -> None:
    page.goto(f"{sites.shop}/login")
    await_status(page, "waiting")
    assert frame_of(page).locator("useid-eid").get_attribute("tc-token-url") == f"{sites.shop}/eid/tctoken?session=1"
    refresh = f"{sites.shop}/eid/refresh?session=1"
    assert sites.approve(read_link(page), refresh) == 204
    page.wait_for_url(refresh)
    expect(page.get_by_role("heading", name="Welcome back")).to_be_visible()


def test_the_login_is_bound_to_this_browser_by_a_cookie_of_the_frame(page: Page, sites: Sites) -> None:
    page.goto(f"{sites.shop}/login")
    await_status(page, "waiting")
    expect(frame_of(page).locator(".timer")).to_be_visible()
    started = next(kept for path, _, kept in sites.asked if path == "/auth/eid/start?")
    assert COOKIE.search(started)
    assert {"Partitioned", "Secure", "HttpOnly", "SameSite=None"} <= set(started.split("; "))
    with page.expect_response(re.compile("/events$")) as stream:
        page.reload()
    assert stream.value.status == 200
    followed = [sent for path, sent, _ in sites.asked if path.endswith("/events?")]
    assert COOKIE.fullmatch(followed[0])
    # The same browser in the same shop: it keeps its cookie.
    assert followed[-1] == followed[0]


def test_an_address_that_the_site_has_not_registered_is_not_gone_to(page: Page, sites: Sites) -> None:
    page.goto(f"{sites.shop}/login")
    await_status(page, "waiting")
    assert sites.approve(read_link(page), f"{sites.stranger}/eid/refresh?session=1") == 204
    await_status(page, "error")
    expect(frame_of(page).locator("[role=alert].failure")).to_contain_text("Address refused")
    assert page.url == f"{sites.shop}/login"


def test_the_frame_is_as_high_as_its_content(page: Page, sites: Sites) -> None:
    page.goto(f"{sites.shop}/login")
    await_status(page, "waiting")
    frame = next(frame for frame in page.frames if frame.url.startswith(sites.plugin))

    def settled() -> float:
        wanted = frame.evaluate("document.documentElement.getBoundingClientRect().height")
        page.wait_for_function(
            "(wanted) => Math.abs(document.querySelector('iframe').clientHeight - wanted) <= 1", arg=wanted
        )
        return float(wanted)

    closed = settled()
    frame_of(page).locator("summary").click()
    page.wait_for_function("(closed) => document.querySelector('iframe').clientHeight > closed + 40", arg=closed)
    assert settled() > closed
    assert frame.evaluate("document.documentElement.scrollHeight <= innerHeight")


def test_a_site_that_is_not_registered_gets_no_widget(page: Page, sites: Sites) -> None:
    with page.expect_response(re.compile("/auth/widget[?]")) as widget:
        page.goto(f"{sites.stranger}/login")
    assert widget.value.status == 403
    assert not [path for path, _, _ in sites.asked if path.startswith("/auth/eid/")]


def test_a_site_that_claims_to_be_another_is_kept_from_framing_the_widget(page: Page, sites: Sites) -> None:
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(f"{sites.stranger}/welcome")
    with page.expect_response(re.compile("/auth/widget[?]")) as widget:
        page.evaluate(
            """(src) => {
              const frame = document.createElement("iframe");
              frame.src = src;
              document.querySelector("main").append(frame);
            }""",
            f"{sites.plugin}/auth/widget?id=shop&origin={sites.shop}",
        )
    assert widget.value.status == 200
    assert f"frame-ancestors {sites.shop};" in widget.value.headers["content-security-policy"]
    page.wait_for_load_state("networkidle")
    assert [text for text in refused if "frame-ancestors" in text]
    assert not [path for path, _, _ in sites.asked if path.startswith(("/auth/eid/", "/auth/widget/"))]


def test_a_token_address_that_is_not_the_site_s_is_refused(page: Page, sites: Sites) -> None:
    answer = page.goto(
        f"{sites.plugin}/auth/widget?id=shop&origin={sites.shop}&tcTokenUrl={sites.stranger}/eid/tctoken"
    )
    assert answer is not None
    assert answer.status == 403
