"""The development provider and the example app that knows it, each really served by a process of its own."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from playwright.sync_api import Page, expect

from tests.browser.harbour import SETTINGS, at_localhost
from tests.browser.people import Desktop
from tests.servers import free_port
from tests.serving import Server
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.emulation.provider.clients import DEMO

ISSUER_VARIABLE = "PROVIDER_ISSUER"
APP_VARIABLE = "PROVIDER_APP"


def provider() -> Provider:
    """The provider for uvicorn, configured as ``useid demo`` does it."""
    app = os.environ[APP_VARIABLE]
    client = replace(
        DEMO,
        backchannel_logout_uri=f"{app}/auth/backchannel-logout",
        frontchannel_logout_uri=f"{app}/auth/frontchannel-logout",
        frontchannel_logout_session_required=True,
    )
    return Provider(os.environ[ISSUER_VARIABLE], clients=[client])


@dataclass(frozen=True)
class Port:
    """An example app with a provider."""

    app: Server
    issuer: str


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Port]:
    """Both servers."""
    app_port, provider_port = free_port(), free_port()
    issuer = f"http://localhost:{provider_port}"
    configured = {
        "issuer": issuer,
        "client_id": DEMO.client_id,
        "client_secret": DEMO.client_secret,
        "label": "the test provider",
        "roles_claim": "roles",
        "scopes": ["openid", "profile", "email", "roles", "offline_access"],
    }
    env = SETTINGS | {
        "USEID_OIDC__PROVIDERS": json.dumps({"demo": configured}),
        "USEID_OIDC__CHECK_SESSION_INTERVAL": "1",
        "USEID_OIDC__NEW_USER_PAGE": "/",
    }
    app = Server("example_app.app:app", port=app_port, folder=tmp_path_factory.mktemp("port"), env=env, factory=False)
    at_localhost(app)
    op = Server(
        "tests.browser.provided:provider",
        port=provider_port,
        folder=tmp_path_factory.mktemp("provider"),
        env={ISSUER_VARIABLE: issuer, APP_VARIABLE: app.url},
        factory=True,
    )
    op.start()
    app.start()
    yield Port(app, issuer)
    app.stop()
    op.stop()


def log_in_at_provider(desktop: Desktop, name: str) -> None:
    """From the app's login page, as one of the provider's people; agrees where the provider asks."""
    page = desktop.page
    page.get_by_role("link", name="Log in with the test provider").click()
    expect(page.get_by_text("Test provider for development")).to_be_visible()
    page.get_by_role("button", name=name).click()
    agree(page)


def agree(page: Page) -> None:
    """Where the provider asks, which it does once for each person and application; then the app's page is there."""
    allow = page.get_by_role("button", name="Allow")
    banner = page.get_by_text("Test provider for development")
    elsewhere = page.locator("body").filter(has_not=banner)
    expect(allow.or_(elsewhere)).to_be_visible()
    if allow.is_visible():
        allow.click()
    expect(banner).to_have_count(0)


def log_out_at_provider(page: Page, issuer: str) -> None:
    """Straight at the provider, in a window of the same browser."""
    page.goto(f"{issuer}/end-session")
    page.get_by_role("button", name="Log out").click()
