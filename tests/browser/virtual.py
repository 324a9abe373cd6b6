"""A phone that is near a browser, by Chromium's virtual authenticator; and what the browser was asked for, and said.

The transport is ``cable``, CTAP's old word for *hybrid*: what reaches the authenticator is what would reach a phone.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from playwright.sync_api import Page

from tests.browser.bound_wire import Touch
from useid_middleware.emulation.phone.authenticator import CredentialSource

#: Notes what the browser is asked by a click, as the browser has it, and what it makes of it; changes nothing. How
#: often it was to offer passkeys in a field is in ``window.offers``.
_NOTE = """
(() => {
  const { prototype } = CredentialsContainer;
  const { get } = prototype;
  const text = (bytes) => new Uint8Array(bytes).toBase64({ alphabet: "base64url", omitPadding: true });
  prototype.get = async function (request) {
    if (request.mediation === "conditional") {
      window.offers = (window.offers ?? 0) + 1;
      return get.call(this, request);
    }
    const { challenge, allowCredentials, rpId, hints, userVerification } = request.publicKey;
    const allowed = allowCredentials.map(({ id, type, transports }) => ({ id: text(id), type, transports }));
    noteGet({ challenge: text(challenge), allowCredentials: allowed, rpId, hints, userVerification });
    try {
      const credential = await get.call(this, request);
      noteEnd(credential.toJSON());
      return credential;
    } catch (error) {
      noteEnd({ error: error.name });
      throw error;
    }
  };
})();
"""
#: Has the browser phone's keys made so that they can be lent; only the phone's own window has it.
LENDABLE = """
(() => {
  const { prototype } = SubtleCrypto;
  const { generateKey } = prototype;
  prototype.generateKey = function (algorithm, _, uses) { return generateKey.call(this, algorithm, true, uses); };
})();
"""
_NEWEST = """async () => {
  const { listCredentials } = await import("./credentials.js");
  const [{ id, rpId, privateKey, signCount }] = (await listCredentials()).sort((a, b) => b.createdAt - a.createdAt);
  const key = new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey)).toBase64();
  const credentialId = Uint8Array.fromBase64(id, { alphabet: "base64url" }).toBase64();
  return { credentialId, rpId, privateKey: key, signCount };
}"""


class Near(Touch):
    """The authenticator near a page's browser, and its user: at hand and recognised until a test says otherwise."""

    def leave(self) -> None:
        """Go out of reach; who is asking meanwhile goes on waiting."""
        self._session.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": self._id})


def come_near(page: Page, source: CredentialSource, *, key: EllipticCurvePrivateKey | None = None) -> Near:
    """The software phone that has this credential; with another ``key`` it has but learned the credential's id."""
    secret = key or source._key
    near = Near(page)
    near.keep(
        {
            "credentialId": b64encode(source.id).decode(),
            "isResidentCredential": False,
            "rpId": source.rp_id,
            "privateKey": b64encode(secret.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())).decode(),
            "signCount": source.sign_count,
        }
    )
    return near


def bring_near(page: Page, phone: Page) -> Near:
    """The browser phone, whose window was opened with :data:`LENDABLE`, with its newest passkey."""
    near = Near(page)
    lent: Mapping[str, Any] = phone.evaluate(_NEWEST)
    near.keep({"isResidentCredential": False, **lent})
    return near


@dataclass
class Asked:
    """What the browser was asked by clicks, and what came of it: a credential as JSON, or ``{"error": name}``."""

    options: list[dict[str, Any]] = field(default_factory=list)
    ends: list[dict[str, Any]] = field(default_factory=list)


def watch(page: Page) -> Asked:
    """Note from the next page on what the browser of ``page`` is asked."""
    asked = Asked()
    page.context.expose_binding("noteGet", lambda _, options: asked.options.append(options))
    page.context.expose_binding("noteEnd", lambda _, end: asked.ends.append(end))
    page.context.add_init_script(_NOTE)
    return asked
