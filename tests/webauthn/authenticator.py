"""A software authenticator and the browser around it, which do everything right unless a test changes something.

:class:`Registering` and :class:`Authenticating` are ceremonies with every ingredient as an attribute. A test changes
some and calls ``run``. What is signed is signed last, so a change is covered by the signatures, and only by it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from struct import pack
from typing import Any

from cryptography import x509
from fido2 import cbor

from tests.webauthn.certificates import NOW, PrivateKey, der, root
from tests.webauthn.statements import STATEMENTS, cose_key, new_key, sign
from useid_middleware._codec import b64url
from useid_middleware.webauthn.core.authentication import (
    StoredCredential,
    VerifiedAuthentication,
    verify_authentication,
)
from useid_middleware.webauthn.core.cose import CREDENTIAL_ALGORITHMS, Algorithm
from useid_middleware.webauthn.core.extensions import AuthenticationExtensions, RegistrationExtensions
from useid_middleware.webauthn.core.options import (
    Descriptor,
    User,
    begin_authentication,
    begin_registration,
)
from useid_middleware.webauthn.core.registration import VerifiedRegistration, verify_registration
from useid_middleware.webauthn.core.relying_party import RelyingParty
from useid_middleware.webauthn.core.response import read_authentication, read_registration
from useid_middleware.webauthn.core.trust import AttestationPolicy

UP, UV, BE, BS, AT, ED = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80
AAGUID = bytes(range(16))
ANDROID_APP = "android:apk-key-hash:" + "A" * 43
PARTY = RelyingParty(id="example.org", name="Example", origins=frozenset({"https://login.example.org", ANDROID_APP}))
FRAMED = RelyingParty(
    id="example.org",
    name="Example",
    origins=frozenset({"https://login.example.org"}),
    top_origins=frozenset({"https://shop.example"}),
    accepts_cross_origin=True,
)
USER = User(id=b"0123456789abcdef", name="alice")
CHALLENGE = sha256(b"challenge").digest()
CREDENTIAL_ID = sha256(b"credential").digest()
TRUSTING = AttestationPolicy(demands_trust=True, anchors=(root().certificate,))


@dataclass
class Registering:
    """A registration. ``edit_…`` change what has been made so far, just before it is signed, encoded or sent."""

    format: str = "none"
    #: Whose statement it is, where that is not the format's name.
    statement: str = ""
    algorithm: int = Algorithm.ES256
    policy: AttestationPolicy = field(default_factory=AttestationPolicy)
    party: RelyingParty = PARTY
    client_data: dict[str, Any] = field(
        default_factory=lambda: {
            "type": "webauthn.create",
            "challenge": b64url(CHALLENGE),
            "origin": "https://login.example.org",
            "crossOrigin": False,
        }
    )
    rp_id: str = "example.org"
    flags: int = UP | UV | AT
    sign_count: int = 0
    aaguid: bytes = AAGUID
    credential_id: bytes = CREDENTIAL_ID
    cose: dict[int, Any] = field(default_factory=dict)
    extensions: Mapping[str, Any] | None = None
    leaf: dict[str, Any] = field(default_factory=dict)
    chain: tuple[x509.Certificate, ...] = ()
    issuer: Any = field(default_factory=root)
    now: float = NOW + 1
    is_known: bool = False
    state: dict[str, Any] = field(default_factory=dict)
    client_outputs: dict[str, Any] = field(default_factory=dict)
    edit_client_data: Callable[[bytes], bytes] = bytes
    edit_cose_key: Callable[[bytes], bytes] = bytes
    edit_authenticator_data: Callable[[bytes], bytes] = bytes
    edit_certified: Callable[["Registering", dict[str, Any]], None] = lambda ceremony, parts: None
    edit_statement: Callable[[Any], None] = lambda statement: None
    edit_object: Callable[[dict[str, Any]], None] = lambda attestation_object: None
    edit_encoded: Callable[[bytes], bytes] = bytes
    edit_response: Callable[[dict[str, Any]], None] = lambda response: None

    def __post_init__(self) -> None:
        self.key = new_key(self.algorithm)
        self.cose = self.cose or cose_key(self.key, self.algorithm)

    @property
    def rp_id_hash(self) -> bytes:
        return sha256(self.rp_id.encode()).digest()

    def authenticator_data(self) -> bytes:
        data = self.rp_id_hash + pack(">BI", self.flags | (ED if self.extensions is not None else 0), self.sign_count)
        if self.flags & AT:
            data += self.aaguid + pack(">H", len(self.credential_id)) + self.credential_id
            data += self.edit_cose_key(cbor.encode(self.cose))
        if self.extensions is not None:
            data += cbor.encode(self.extensions)
        return self.edit_authenticator_data(data)

    def response(self) -> dict[str, Any]:
        """``RegistrationResponseJSON``."""
        client_data = self.edit_client_data(json.dumps(self.client_data).encode())
        data = self.authenticator_data()
        statement = STATEMENTS[self.statement or self.format](self, data, sha256(client_data).digest())
        self.edit_statement(statement)
        attestation_object = {"fmt": self.format, "attStmt": statement, "authData": data}
        self.edit_object(attestation_object)
        response = {
            "id": b64url(self.credential_id),
            "rawId": b64url(self.credential_id),
            "type": "public-key",
            "authenticatorAttachment": "cross-platform",
            "response": {
                "clientDataJSON": b64url(client_data),
                "attestationObject": b64url(self.edit_encoded(cbor.encode(attestation_object))),
                "transports": ["usb", "hybrid"],
            },
            "clientExtensionResults": dict(self.client_outputs),
        }
        self.edit_response(response)
        return response

    def run(self) -> VerifiedRegistration:
        """The whole ceremony, with the code under test at both ends of it."""
        arguments = {"algorithms": sorted(CREDENTIAL_ALGORITHMS), "extensions": RegistrationExtensions(), **self.state}
        _, state = begin_registration(self.party, USER, challenge=CHALLENGE, now=NOW, **arguments)
        return verify_registration(
            read_registration(self.response()),
            expected_state=state,
            expected_party=self.party,
            policy=self.policy,
            is_known=self.is_known,
            now=self.now,
        )

    def certificate(self, key: PrivateKey, **defaults: Any) -> list[bytes]:
        """``x5c`` with a leaf for this key: as the format wants it, unless ``leaf`` says otherwise."""
        certificate = self.issuer.issue(key.public_key(), **(defaults | self.leaf))
        return [der(certificate), *map(der, self.chain)]


@dataclass
class Authenticating:
    """An assertion by a credential that was registered before."""

    algorithm: int = Algorithm.ES256
    party: RelyingParty = PARTY
    client_data: dict[str, Any] = field(
        default_factory=lambda: {
            "type": "webauthn.get",
            "challenge": b64url(CHALLENGE),
            "origin": "https://login.example.org",
            "crossOrigin": False,
        }
    )
    rp_id: str = "example.org"
    flags: int = UP | UV
    sign_count: int = 0
    stored_sign_count: int = 0
    is_backup_eligible: bool = False
    is_registered: bool = True
    user_handle: bytes = USER.id
    allow: tuple[bytes, ...] = (CREDENTIAL_ID,)
    expected_user: bytes = b""
    extensions: Mapping[str, Any] | None = None
    now: float = NOW + 1
    state: dict[str, Any] = field(default_factory=dict)
    client_outputs: dict[str, Any] = field(default_factory=dict)
    stored: dict[str, Any] = field(default_factory=dict)
    edit_client_data: Callable[[bytes], bytes] = bytes
    edit_authenticator_data: Callable[[bytes], bytes] = bytes
    edit_signed: Callable[[bytes], bytes] = bytes
    edit_signature: Callable[[bytes], bytes] = bytes
    edit_response: Callable[[dict[str, Any]], None] = lambda response: None

    def __post_init__(self) -> None:
        self.key = new_key(self.algorithm)

    def response(self) -> dict[str, Any]:
        """``AuthenticationResponseJSON``."""
        client_data = self.edit_client_data(json.dumps(self.client_data).encode())
        head = pack(">BI", self.flags | (ED if self.extensions is not None else 0), self.sign_count)
        data = sha256(self.rp_id.encode()).digest() + head
        if self.extensions is not None:
            data += cbor.encode(self.extensions)
        data = self.edit_authenticator_data(data)
        signature = sign(self.key, self.algorithm, self.edit_signed(data + sha256(client_data).digest()))
        response = {
            "id": b64url(CREDENTIAL_ID),
            "rawId": b64url(CREDENTIAL_ID),
            "type": "public-key",
            "response": {
                "clientDataJSON": b64url(client_data),
                "authenticatorData": b64url(data),
                "signature": b64url(self.edit_signature(signature)),
                "userHandle": b64url(self.user_handle) if self.user_handle else None,
            },
            "clientExtensionResults": dict(self.client_outputs),
        }
        self.edit_response(response)
        return response

    def run(self) -> VerifiedAuthentication:
        """The whole ceremony, with the code under test at both ends of it."""
        arguments = {"extensions": AuthenticationExtensions(), **self.state}
        _, state = begin_authentication(
            self.party,
            challenge=CHALLENGE,
            now=NOW,
            allow=[Descriptor(each) for each in self.allow],
            user_handle=self.expected_user,
            **arguments,
        )
        kept: dict[str, Any] = {
            "credential_id": CREDENTIAL_ID,
            "public_key": cbor.encode(cose_key(self.key, self.algorithm)),
            "sign_count": self.stored_sign_count,
            "user_handle": USER.id,
            "is_backup_eligible": self.is_backup_eligible,
        }
        return verify_authentication(
            read_authentication(self.response()),
            expected_state=state,
            expected_party=self.party,
            credential=StoredCredential(**(kept | self.stored)) if self.is_registered else None,
            now=self.now,
        )
