"""The browser phone seals for the widget, in a real Chromium: RFC 9180's vector; Python and the widget open it."""

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from playwright.sync_api import Browser, Page, Route

from useid_middleware._codec import un_b64url_any
from useid_middleware.emulation.phone.page import find_asset
from useid_middleware.errors import RequestError
from useid_middleware.webauthn.core.sealing import open_refresh_url

VECTOR: dict[str, str] = json.loads(Path(__file__).parents[1].joinpath("webauthn/hpke_vectors.json").read_text("utf-8"))
SESSION = "A" * 22
ORIGIN = "http://localhost"
PRIVATE_KEY = bytes(range(32))
PUBLIC_KEY = X25519PrivateKey.from_private_bytes(PRIVATE_KEY).public_key().public_bytes_raw()
URLS = [
    "https://shop.example/auth/session/refresh/abc?x=1",
    "",
    "https://x.example/" + "a" * 2000,
]

# Functions that the tests call in the page; sealing is the phone's own code and opening the widget's.
HARNESS = """
async () => {
  const phone = await import("./hpke-seal.js");
  const widget = await import("/widget/hpke.js");
  const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const hex = (array) => [...array].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  // RFC 8410, section 7: the fixed head of an X25519 private key in PKCS #8.
  const head = "302e020100300506032b656e04220420";
  const seal = (url, publicKey, sessionId) => phone.sealRefreshUrl(url, { publicKey, sessionId });
  globalThis.harness = {
    async rfc({ skEm, pkEm, pkRm, pt, info, aad }) {
      const ephemeral = {
        privateKey: await crypto.subtle.importKey("pkcs8", bytes(head + skEm), "X25519", false, ["deriveBits"]),
        publicKey: await crypto.subtle.importKey("raw", bytes(pkEm), "X25519", true, []),
      };
      const how = { publicKey: bytes(pkRm), info: bytes(info), aad: bytes(aad), ephemeral };
      return hex(await phone.sealBase(bytes(pt), how));
    },
    seal: (url, publicKey, sessionId) =>
      seal(url, bytes(publicKey), sessionId).then((sealed) => ({ sealed }), (error) => ({ error: error.code })),
    async widget(url, sessionId, otherSession) {
      const keyPair = await widget.newKeyPair();
      const sealed = await seal(url, keyPair.publicKey, sessionId);
      const open = (keyPair, sessionId) => widget.openRefreshUrl(sealed, { keyPair, sessionId });
      const refused = (error) => error.name;
      return [
        await open(keyPair, sessionId),
        await open(keyPair, otherSession).catch(refused),
        await open(await widget.newKeyPair(), sessionId).catch(refused),
      ];
    },
  };
}
"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """The phone's page under its own policy, and the widget's modules beside it."""
    widget = files("useid_middleware.widget")
    page = browser.new_page()

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix(f"{ORIGIN}/")
        if name.startswith("widget/"):
            script = widget.joinpath(name.removeprefix("widget/")).read_text("utf-8")
            route.fulfill(body=script, content_type="text/javascript; charset=utf-8")
            return
        status, headers, body = find_asset(name)
        route.fulfill(status=status, headers={key.decode(): value.decode() for key, value in headers}, body=body)

    page.route("**/*", answer)
    page.goto(f"{ORIGIN}/")
    page.evaluate(HARNESS)
    yield page
    page.close()


def _call(page: Page, name: str, *arguments: object) -> Any:
    return page.evaluate("([name, values]) => harness[name](...values)", [name, list(arguments)])


def test_the_browser_seals_the_vector_of_the_rfc(page: Page) -> None:
    assert _call(page, "rfc", VECTOR) == VECTOR["enc"] + VECTOR["ct"]


@pytest.mark.parametrize("url", URLS)
def test_the_server_side_opens_what_the_browser_sealed(page: Page, url: str) -> None:
    sealed = _call(page, "seal", url, PUBLIC_KEY.hex(), SESSION)["sealed"]
    if url:
        assert open_refresh_url(sealed, private_key=PRIVATE_KEY, session_id=SESSION) == url
        with pytest.raises(RequestError):
            open_refresh_url(sealed, private_key=PRIVATE_KEY, session_id="B" * 22)
    assert len(un_b64url_any(sealed)) == 48 + len(url)


@pytest.mark.parametrize("url", URLS)
def test_the_widget_opens_what_the_phone_sealed_and_no_other_widget_does(page: Page, url: str) -> None:
    assert _call(page, "widget", url, SESSION, "B" * 22) == [url, "OperationError", "OperationError"]


def test_each_sealing_has_an_ephemeral_key_of_its_own(page: Page) -> None:
    sealed = {_call(page, "seal", URLS[0], PUBLIC_KEY.hex(), SESSION)["sealed"] for _ in range(8)}
    assert len({un_b64url_any(each)[:32] for each in sealed}) == 8


@pytest.mark.parametrize(
    "key",
    [
        b"",
        bytes(31),
        bytes(33),
        bytes(32),
        b"\x01" + bytes(31),
        bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ],
)
def test_nothing_is_sealed_to_what_is_no_key_or_one_of_small_order(page: Page, key: bytes) -> None:
    assert _call(page, "seal", URLS[0], key.hex(), SESSION) == {"error": "widget_key_invalid"}
