"""The widget opens what a phone sealed for it, in a real Chromium: RFC 9180's vector, and our own sealing."""

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.webauthn import hpke
from useid_middleware._codec import b64url, un_b64url_any
from useid_middleware.webauthn.core.sealing import seal_refresh_url

VECTOR: dict[str, str] = json.loads(Path(__file__).parents[1].joinpath("webauthn/hpke_vectors.json").read_text("utf-8"))
SESSION = "A" * 22
URL = "https://shop.example/auth/eid/refresh/abc?x=1&y=ä"
ORIGIN = "http://localhost"

# Functions that the tests call in the page; opening is the widget's own code.
HARNESS = """
async () => {
  const hpke = await import("/hpke.js");
  const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const hex = (array) => [...array].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  // RFC 8410, section 7: the fixed head of an X25519 private key in PKCS #8.
  const head = "302e020100300506032b656e04220420";
  const held = async (privateKey, publicKey) => ({
    privateKey: await crypto.subtle.importKey("pkcs8", bytes(head + privateKey), "X25519", false, ["deriveBits"]),
    publicKey: bytes(publicKey),
  });
  let keyPair;
  globalThis.harness = {
    async rfc({ skRm, pkRm, enc, ct, info, aad }) {
      const keyPair = await held(skRm, pkRm);
      return hex(await hpke.openBase(bytes(enc + ct), { ...keyPair, info: bytes(info), aad: bytes(aad) }));
    },
    async newKey() {
      keyPair = await hpke.newKeyPair();
      const { privateKey, publicKey } = keyPair;
      const exported = await crypto.subtle.exportKey("pkcs8", privateKey).catch((error) => error.name);
      return { publicKey: hex(publicKey), extractable: privateKey.extractable, exported };
    },
    open: (sealed, sessionId) =>
      hpke.openRefreshUrl(sealed, { keyPair, sessionId }).then((url) => ({ url }), (error) => ({ error: error.name })),
  };
}
"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """A page that has the module and nothing else, as secure as the widget's own."""
    script = files("useid_middleware.widget").joinpath("hpke.js").read_text("utf-8")
    page = browser.new_page()

    def answer(route: Route) -> None:
        if route.request.url == f"{ORIGIN}/hpke.js":
            route.fulfill(body=script, content_type="text/javascript; charset=utf-8")
        else:
            route.fulfill(body="<!doctype html><title>Widget</title>", content_type="text/html; charset=utf-8")

    page.route("**/*", answer)
    page.goto(f"{ORIGIN}/")
    page.evaluate(HARNESS)
    yield page
    page.close()


def _call(page: Page, name: str, *arguments: object) -> Any:
    return page.evaluate("([name, values]) => harness[name](...values)", [name, list(arguments)])


def _new_key(page: Page) -> bytes:
    return bytes.fromhex(_call(page, "newKey")["publicKey"])


def test_the_browser_opens_the_vector_of_the_rfc(page: Page) -> None:
    assert _call(page, "rfc", VECTOR) == VECTOR["pt"]


def test_a_key_made_in_the_browser_cannot_be_read_and_is_another_each_time(page: Page) -> None:
    first, second = _call(page, "newKey"), _call(page, "newKey")
    assert (first["extractable"], first["exported"]) == (False, "InvalidAccessError")
    assert len(bytes.fromhex(first["publicKey"])) == 32
    assert first["publicKey"] != second["publicKey"]


@pytest.mark.parametrize(
    "url", [URL, "https://shop.example/", "\ufeffhttps://shop.example/", "https://x.example/" + "a" * 2900]
)
def test_the_browser_opens_what_was_sealed_for_it(page: Page, url: str) -> None:
    sealed = seal_refresh_url(url, public_key=_new_key(page), session_id=SESSION)
    assert _call(page, "open", sealed, SESSION) == {"url": url}


def test_another_key_and_another_session_open_nothing(page: Page) -> None:
    sealed = seal_refresh_url(URL, public_key=_new_key(page), session_id=SESSION)
    assert _call(page, "open", sealed, "B" * 22) == {"error": "OperationError"}
    _new_key(page)
    assert _call(page, "open", sealed, SESSION) == {"error": "OperationError"}


def test_nothing_changed_or_cut_is_opened(page: Page) -> None:
    sealed = un_b64url_any(seal_refresh_url(URL, public_key=_new_key(page), session_id=SESSION))
    for at in (0, 15, 31, 32, 60, len(sealed) - 1):
        for bit in (0x01, 0x80):
            changed = bytearray(sealed)
            changed[at] ^= bit
            assert _call(page, "open", b64url(bytes(changed)), SESSION) == {"error": "OperationError"}, at
    for part in (sealed[:-1], sealed + b"\0", sealed[:48], bytes(32) + sealed[32:], b"\1" + bytes(31) + sealed[32:]):
        assert _call(page, "open", b64url(part), SESSION) == {"error": "OperationError"}, len(part)
    for part in (b"", sealed[:31], sealed[:47]):
        assert _call(page, "open", b64url(part), SESSION) == {"error": "RangeError"}, len(part)


def test_there_is_one_spelling_only(page: Page) -> None:
    key = _new_key(page)
    # 48 bytes around 53 of an address are 101, in whose spelling the last character has two bits that no byte uses.
    url = URL.ljust(52, "a")
    sealed = next(
        sealed
        for sealed in (seal_refresh_url(url, public_key=key, session_id=SESSION) for _ in range(200))
        if "-" in sealed
    )
    assert len(sealed) % 4 == 3
    assert _call(page, "open", sealed, SESSION) == {"url": url}
    other_bits = sealed[:-1] + chr(ord(sealed[-1]) + 1)
    for text in (other_bits, f"{sealed}=", sealed.replace("-", "+", 1), f" {sealed}", f"{sealed}\n"):
        assert _call(page, "open", text, SESSION) == {"error": "RangeError"}, text[-8:]
    assert _call(page, "open", "ä" * 80, SESSION) == {"error": "InvalidCharacterError"}
    assert _call(page, "open", None, SESSION) == {"error": "RangeError"}
    assert _call(page, "open", "A" * 4100, SESSION) == {"error": "RangeError"}


def test_what_is_no_text_is_refused_although_it_was_sealed_well(page: Page) -> None:
    info = b"useid-refresh-hpke-v1\n" + SESSION.encode()
    sealed = hpke.seal(b"\xff\xfe", public_key=_new_key(page), ephemeral=bytes(range(32)), info=info, aad=b"")
    assert _call(page, "open", b64url(sealed), SESSION) == {"error": "TypeError"}
