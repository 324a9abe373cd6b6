"""The browser phone's protocol, written from the reference alone, against the published vectors in a real Chromium."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from useid_middleware._codec import b64url
from useid_middleware.emulation.phone.page import find_asset

VECTORS = json.loads(Path(__file__).parents[2].joinpath("docs/reference/device-switch-vectors.json").read_text("utf-8"))
FRAGMENTS = (
    "#",
    "#key=",
    f"#key={'A' * 42}",
    f"#key={'A' * 42}B",
    f"#KEY={'A' * 43}",
    f"#key={'A' * 43}&x=1",
    f"#key={'A' * 43}#",
    f"##key={'A' * 43}",
)

# Functions that the tests call in the page. They only translate hex: everything else is the phone's own code.
HARNESS = """
async () => {
  const protocol = await import("./protocol.js");
  const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const hex = (array) => [...array].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  // RFC 8410, section 7: the fixed head of an Ed25519 private key in PKCS #8, then the seed.
  const head = "302e020100300506032b657004220420";
  const key = (seed) => crypto.subtle.importKey("pkcs8", bytes(head + seed), { name: "Ed25519" }, false, ["sign"]);
  const signed = async (seed, message) => ({
    bytes: hex(message),
    sha256: hex(await protocol.sha256(message)),
    signature: hex(await protocol.sign(await key(seed), message)),
  });
  const code = (work) => { try { work(); return null; } catch (error) { return error.code ?? String(error); } };
  globalThis.harness = {
    async context({ context }) {
      const message = protocol.contextMessage(context);
      return { bytes: hex(message), sha256: hex(await protocol.sha256(message)) };
    },
    decision: (vector, context) => signed(vector.seed, protocol.decisionMessage(vector.decision, {
      server: vector.server, sessionId: bytes(vector.sessionId), challenge: bytes(vector.challenge),
      frame: bytes(vector.frame), contextDigest: bytes(context.sha256), keyId: bytes(vector.keyId),
      issuedAt: vector.issuedAt,
    })),
    enrolment: (vector) => signed(vector.seed, protocol.enrolmentMessage({
      server: vector.server, enrolmentId: bytes(vector.enrolmentId), challenge: bytes(vector.challenge),
      publicKey: bytes(vector.publicKey), label: vector.label, issuedAt: vector.issuedAt,
    })),
    link({ text }, options) {
      const link = protocol.parseLink(text, options);
      const { id, challenge, frame, widgetKey } = link;
      return { ...link, id: hex(id), challenge: hex(challenge), frame: hex(frame), widgetKey: hex(widgetKey) };
    },
    linkCode: ({ text }, options) => code(() => protocol.parseLink(text, options)),
    spelling: (vector) => [protocol.b64url(bytes(vector.bytes)),
      hex(protocol.unB64url(vector.spelling, vector.bytes.length / 2))],
    spellingCode: ({ spelling, size }) => code(() => protocol.unB64url(spelling, size)),
    async newKey() {
      const pair = await protocol.newKeyPair();
      const message = bytes("00ff");
      const publicKey = await crypto.subtle.importKey("raw", pair.publicKey, { name: "Ed25519" }, false, ["verify"]);
      const signature = await protocol.sign(pair.privateKey, message);
      const exported = await crypto.subtle.exportKey("pkcs8", pair.privateKey).catch((error) => error.name);
      return {
        extractable: pair.privateKey.extractable,
        exported,
        verified: await crypto.subtle.verify({ name: "Ed25519" }, publicKey, signature, message),
      };
    },
  };
}
"""


class _Assets(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, headers, body = find_asset(self.path.removeprefix("/"))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name.decode(), value.decode())
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def phone(browser: Browser) -> Iterator[Page]:
    """The phone's page, under its own Content-Security-Policy, with the harness in it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Assets)
    thread = Thread(target=server.serve_forever)
    thread.start()
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{server.server_port}/")
    page.evaluate(HARNESS)
    yield page
    context.close()
    server.shutdown()
    thread.join()
    server.server_close()


def _call(phone: Page, name: str, *arguments: object) -> Any:
    return phone.evaluate("([name, values]) => harness[name](...values)", [name, list(arguments)])


def _named(vectors: list[dict[str, Any]]) -> pytest.MarkDecorator:
    ids = [str(vector.get("name") or vector.get("why") or number) for number, vector in enumerate(vectors)]
    return pytest.mark.parametrize("vector", vectors, ids=ids)


@_named(VECTORS["contexts"])
def test_the_browser_frames_and_hashes_a_context_alike(phone: Page, vector: dict[str, Any]) -> None:
    assert _call(phone, "context", vector) == {name: vector[name] for name in ("bytes", "sha256")}


@_named(VECTORS["decisions"])
def test_the_browser_signs_a_decision_alike(phone: Page, vector: dict[str, Any]) -> None:
    (context,) = [context for context in VECTORS["contexts"] if context["name"] == vector["context"]]
    expected = {name: vector[name] for name in ("bytes", "sha256", "signature")}
    assert _call(phone, "decision", vector, context) == expected


@_named(VECTORS["enrolments"])
def test_the_browser_signs_an_enrolment_alike(phone: Page, vector: dict[str, Any]) -> None:
    assert _call(phone, "enrolment", vector) == {name: vector[name] for name in ("bytes", "sha256", "signature")}


@pytest.fixture(scope="module")
def link_options() -> dict[str, str]:
    return {"scheme": VECTORS["links"]["scheme"], "universalLink": VECTORS["links"]["universalLink"]}


@_named(VECTORS["links"]["valid"])
def test_the_browser_reads_a_link_alike(phone: Page, vector: dict[str, Any], link_options: dict[str, str]) -> None:
    expected = {name: vector[name] for name in ("type", "id", "challenge", "server", "frame")}
    assert _call(phone, "link", vector, link_options) == {**expected, "widgetKey": ""}
    keyed = {"text": f"{vector['text']}#key={b64url(bytes(range(32)))}"}
    if vector["type"] == "auth":
        assert _call(phone, "link", keyed, link_options) == {**expected, "widgetKey": bytes(range(32)).hex()}
    else:
        assert _call(phone, "linkCode", keyed, link_options) == "link_refused"


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_the_browser_refuses_every_other_fragment(phone: Page, fragment: str, link_options: dict[str, str]) -> None:
    text = VECTORS["links"]["valid"][0]["text"]
    assert _call(phone, "linkCode", {"text": text + fragment}, link_options) == "link_refused"


@_named(VECTORS["links"]["invalid"])
def test_the_browser_refuses_an_invalid_link(phone: Page, vector: dict[str, Any], link_options: dict[str, str]) -> None:
    assert _call(phone, "linkCode", vector, link_options) == vector["code"]


@_named(VECTORS["base64url"]["valid"])
def test_the_browser_spells_bytes_alike(phone: Page, vector: dict[str, Any]) -> None:
    assert _call(phone, "spelling", vector) == [vector["spelling"], vector["bytes"]]


@_named(VECTORS["base64url"]["invalid"])
def test_the_browser_refuses_another_spelling(phone: Page, vector: dict[str, Any]) -> None:
    assert _call(phone, "spellingCode", vector) == vector["code"]


def test_a_key_made_in_the_browser_signs_and_cannot_be_read(phone: Page) -> None:
    assert _call(phone, "newKey") == {"extractable": False, "exported": "InvalidAccessError", "verified": True}
