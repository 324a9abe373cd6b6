"""A stand-in for the server of bound logins, by QR code and with an ID card, and the phone that is near the browser.

The ceremony is real: Chromium's virtual authenticator holds the phone's credential, as if the phone had been reached
over the hybrid transport, and the server verifies what comes of it. The server is at ``localhost``, since no passkey
belongs to an IP address; the shop that frames it at ``shop.localhost``.
"""

import json
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fido2 import cbor
from fido2.cose import CoseKey
from playwright.sync_api import BrowserContext, Page

from tests.browser.eid_wire import EIDWire
from tests.browser.wire import SESSION, Send, Wire
from useid_middleware._codec import b64url, un_b64url
from useid_middleware.webauthn.core.authentication import StoredCredential, verify_authentication
from useid_middleware.webauthn.core.cose import Algorithm
from useid_middleware.webauthn.core.errors import CeremonyError
from useid_middleware.webauthn.core.options import AuthenticationState, Descriptor, Hint, begin_authentication
from useid_middleware.webauthn.core.relying_party import RelyingParty
from useid_middleware.webauthn.core.response import read_authentication
from useid_middleware.webauthn.core.sealing import seal_refresh_url

USER_ID = bytes(range(32))
ASSERTION = f"POST /webauthn/accounts/{b64url(USER_ID)}/assertions"
NOW = 1_800_000_000.0
#: Every look of the card that other logins do not have.
BOUND_STATES = ("confirmed", "authenticate", "proving", "cancelled", "refused", "unsupported")


def widget_key(link: str) -> bytes:
    """The widget's public key, from the link that the QR code holds."""
    name, _, spelt = link.partition("#")[2].partition("=")
    assert name in ("key", "widgetPublicKey")
    return un_b64url(spelt, 32)


@dataclass
class NearPhone:
    """The phone's credential, and what the server knows of it."""

    party: RelyingParty
    key: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))
    credential_id: bytes = b"the phone's credential"

    def begin(self) -> tuple[dict[str, Any], AuthenticationState]:
        """What the browser is asked."""
        return begin_authentication(
            self.party, challenge=b"c" * 32, now=NOW, allow=(Descriptor(self.credential_id, ("hybrid",)),),
            user_handle=USER_ID, hints=(Hint.HYBRID,),
        )  # fmt: skip

    def verify(self, credential: object) -> None:
        """Raises ``CeremonyError`` for whatever this phone has not signed."""
        _, state = self.begin()
        stored = StoredCredential(
            credential_id=self.credential_id,
            public_key=cbor.encode(CoseKey.for_alg(Algorithm.ES256).from_cryptography_key(self.key.public_key())),
            sign_count=0,
            user_handle=USER_ID,
            is_backup_eligible=False,
        )
        verify_authentication(
            read_authentication(credential), expected_state=state, expected_party=self.party, credential=stored, now=NOW
        )

    def come_near(self, page: Page, *, key: EllipticCurvePrivateKey | None = None) -> "Touch":
        """Put the credential where the browser of ``page`` finds it; with another ``key`` it signs wrongly."""
        touch = Touch(page)
        secret = (key or self.key).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        touch.keep(
            {
                "credentialId": b64encode(self.credential_id).decode(),
                "isResidentCredential": False,
                "rpId": self.party.id,
                "privateKey": b64encode(secret).decode(),
                "signCount": 1,
            }
        )
        return touch


class Touch:
    """The virtual authenticator, and its user: at hand and recognised until a test says otherwise."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("WebAuthn.enable", {"enableUI": False})
        wanted = {
            "protocol": "ctap2", "ctap2Version": "ctap2_1", "transport": "cable", "hasResidentKey": True,
            "hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True,
        }  # fmt: skip
        self._id = self._session.send("WebAuthn.addVirtualAuthenticator", {"options": wanted})["authenticatorId"]

    def keep(self, credential: dict[str, Any]) -> None:
        """Put a credential in."""
        self._session.send("WebAuthn.addCredential", {"authenticatorId": self._id, "credential": credential})

    def is_touched(self, touched: bool) -> None:
        """Whether somebody touches it when asked; otherwise it waits."""
        parameters = {"authenticatorId": self._id, "enabled": touched}
        self._session.send("WebAuthn.setAutomaticPresenceSimulation", parameters)

    def recognises(self, user: bool) -> None:
        """Whether it recognises its user; otherwise what is asked ends as a cancelled request does."""
        self._session.send("WebAuthn.setUserVerified", {"authenticatorId": self._id, "isUserVerified": user})


@dataclass
class BoundWire(Wire):
    """The server's state of a QR login at assurance L2."""

    sealed: str = ""
    #: The approval is told over the stream as well, as a server does, or is not.
    tells: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.url = self.url.replace("127.0.0.1", "localhost")
        party = RelyingParty(
            id="localhost", name="Acme", origins=frozenset({self.url}), accepts_cross_origin=True,
            top_origins=frozenset({self.url.replace("localhost", "shop.localhost")}),
        )  # fmt: skip
        self.phone = NearPhone(party)
        self.create_extra = {"assurance": "L2", "refreshOrigins": [self.url]}

    def ask(self, link: str, target: str = "") -> None:
        """As the phone that has read ``link``, approved and made its credential."""
        self.sealed = seal_refresh_url(target or f"{self.url}/done", public_key=widget_key(link), session_id=SESSION)
        self.move("authenticating")

    def snapshot(self) -> dict[str, Any]:
        """The *status* of the reference."""
        found = super().snapshot()
        if self.status == "authenticating":
            found |= {"userId": b64url(USER_ID), "options": self.phone.begin()[0]}
        elif self.status == "approved" and self.sealed:
            found |= {"codeRequired": False, "sealedRefreshUrl": self.sealed}
        return found

    async def _json(self, call: str, body: bytes, send: Send) -> None:
        if call != ASSERTION:
            await super()._json(call, body, send)
            return
        status, answer = self._judge(json.loads(body)["credential"])
        head = {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        await send(head)
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    def _judge(self, credential: object) -> tuple[int, dict[str, Any]]:
        try:
            self.phone.verify(credential)
        except CeremonyError as error:
            self._told("rejected")
            return error.status_hint, {"code": error.code, "message": error.message}
        self._told("approved")
        return 200, {"sealedRefreshUrl": self.sealed, "eServiceCertificateHash": ""}

    def _told(self, status: str) -> None:
        if self.tells:
            self.move(status)
        else:
            self.status, self.version = status, self.version + 1


@dataclass
class BoundEIDWire(BoundWire, EIDWire):
    """The same for an eID login in mode ``bound``."""

    default_mode: str = "bound"

    @property
    def shop_origin(self) -> str:
        """The embedding site's origin."""
        return self.url.replace("localhost", "shop.localhost")


#: Keeps what the element's events said.
RECORD = """
window.told = [];
for (const name of ["useid-state", "useid-claimed"]) addEventListener(name, (event) => told.push([name, event.detail]));
"""


def stay(context: BrowserContext) -> None:
    """Let pages stay where they are after a login."""
    context.add_init_script("document.addEventListener('useid-claimed', (event) => event.preventDefault())")
