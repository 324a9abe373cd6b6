"""The widget's side of the published eID vectors, in a real Chromium: the link that it draws, and what it opens."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.eid_wire import EIDWire

VECTORS = json.loads(Path(__file__).parents[2].joinpath("docs/reference/eid-vectors.json").read_text("utf-8"))

# A login of the widget's own code, with chance, network and stream in the test's hands.
HARNESS = """
async () => {
  const { EIDAuth } = await import("/auth/widget/eid-auth.js");
  const bytes = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
  globalThis.begin = async (vector, served, refreshOrigins) => {
    let source;
    const started = {
      sessionId: vector.widgetSessionId, mode: "integrated", expiresAt: "2030-01-01T00:00:00Z", expiresIn: 300,
      qrData: served, clientUrl: served, loopbackUrl: "", startUrl: "", tcTokenUrl: "", refreshOrigins,
    };
    const auth = new EIDAuth({
      server: "/auth",
      mode: "integrated",
      crypto: {
        subtle: crypto.subtle,
        getRandomValues: (array) => { array.set(bytes(vector.widgetSessionSecret)); return array; },
      },
      fetch: async () => new Response(JSON.stringify(started), {
        status: 201, headers: { "content-type": "application/json" },
      }),
      EventSource: class extends EventTarget {
        constructor() { super(); source = this; }
        close() {}
      },
    });
    await auth.initSession();
    return { auth, say: (data) => source.dispatchEvent(new MessageEvent("status", { data: JSON.stringify(data) })) };
  };
  globalThis.link = async (vector) => {
    const { auth } = await begin(vector, vector.served, []);
    auth.close();
    return auth.state.error?.code ?? auth.state.qrData;
  };
  globalThis.opened = async (vector, refreshOrigins) => {
    const served = "eid://127.0.0.1:24727/eID-Client?tcTokenURL=x";
    const { auth, say } = await begin(vector, served, refreshOrigins);
    const end = new Promise((resolve) => {
      auth.addEventListener("claimed", (event) => resolve({ redirectTo: event.detail.redirectTo }));
      auth.addEventListener("state", () => { if (auth.state.error) resolve({ error: auth.state.error.code }); });
    });
    const { sealedRefreshUrl } = vector;
    say({ status: "approved", version: 2, expiresIn: 60, codeRequired: false, sealedRefreshUrl });
    const outcome = await end;
    auth.close();
    return outcome;
  };
}
"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """A page of the server that has the widget's modules; all vectors share it."""
    wire = EIDWire()
    wire.start()
    page = browser.new_page()
    page.goto(f"{wire.origin}/done")
    page.evaluate(HARNESS)
    yield page
    page.close()
    wire.stop()


def each(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "vector", [pytest.param(entry, id=entry.get("name") or entry["why"]) for entry in VECTORS[name]]
    )


@each("widgetLinks")
def test_the_widget_draws_the_link_with_its_secret(page: Page, vector: dict[str, Any]) -> None:
    assert page.evaluate("(vector) => link(vector)", vector) == vector["scanned"]


@each("sealed")
def test_the_widget_opens_what_was_sealed_for_it(page: Page, vector: dict[str, Any]) -> None:
    url = vector["refreshUrl"]
    outcome = page.evaluate("([vector, origins]) => opened(vector, origins)", [vector, [origin(url)]])
    # A browser writes addresses in its own spelling: what is not ASCII becomes percent signs.
    assert outcome == {"redirectTo": page.evaluate("(url) => new URL(url).href", url)}


@each("invalidSealed")
def test_the_widget_opens_nothing_else(page: Page, vector: dict[str, Any]) -> None:
    outcome = page.evaluate("(vector) => opened(vector, ['https://shop.example'])", vector)
    # Nothing to read is sealed well, and still no address.
    assert outcome == {"error": "refresh_refused" if "nothing between" in vector["why"] else "sealed_invalid"}


def origin(url: str) -> str:
    """Scheme and host."""
    return "/".join(url.split("/")[:3])
