"""What verifying a passkey costs, assertion and registration, beside py_webauthn and fido2: from the browser's JSON on.

Each round takes one passkey after the other; ours keeps no key loaded from one assertion to the next, and neither do
its peers. Both demand that the user was verified. The credentials are the emulated phone's: ES256, no attestation.
"""

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from time import process_time_ns
from typing import Any, Final, cast

from fido2 import cbor
from fido2.cose import CoseKey
from fido2.server import Fido2Server
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import AttestedCredentialData, PublicKeyCredentialRpEntity
from webauthn import verify_authentication_response, verify_registration_response

from useid_middleware.emulation.phone.authenticator import Gesture
from useid_middleware.emulation.phone.authenticator_client import Page, create_credential, get_credential
from useid_middleware.webauthn.core.authentication import StoredCredential, verify_authentication
from useid_middleware.webauthn.core.cose import Algorithm
from useid_middleware.webauthn.core.options import (
    AuthenticationState,
    RegistrationState,
    User,
    begin_authentication,
    begin_registration,
)
from useid_middleware.webauthn.core.registration import verify_registration
from useid_middleware.webauthn.core.relying_party import RelyingParty
from useid_middleware.webauthn.core.response import read_authentication, read_registration
from useid_middleware.webauthn.core.trust import AttestationPolicy

from .rows import Row, row

ORIGIN: Final = "https://login.example.org"
RP_ID: Final = "example.org"
NOW: Final = 1_800_000_000.0
#: At least 1.2 times a peer's rate of assertions, which is at most so much of its time.
_ASSERTION_GOAL: Final = 1 / 1.2
#: Ours finds out whether the key is a point on its curve; its peer does not load the key before the first assertion.
_REGISTRATION_GOAL: Final = 1.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much to measure: rounds; passkeys, each of which is registered once and used once in a round."""

    rounds: int
    passkeys: int


FULL = Size(rounds=41, passkeys=200)
QUICK = Size(rounds=2, passkeys=50)


@dataclass(slots=True)
class Figures:
    """µs for each, one figure a round."""

    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Ceremonies:
    """A passkey's registration and its first use: what began, and what the browser answered."""

    registration: RegistrationState
    created: dict[str, Any]
    authentication: AuthenticationState
    asserted: dict[str, Any]
    record: StoredCredential


def rows(size: Size) -> list[Row]:
    """Measure and compare. Raises where one of the two libraries refuses something."""
    party = RelyingParty(id=RP_ID, name="Example", origins=frozenset({ORIGIN}))
    ceremonies = [_ceremonies(party, number) for number in range(size.passkeys)]
    assertions = _measure(size, ceremonies, ours=lambda each: _authenticate(party, each), peer=_peer_authenticates)
    policy = AttestationPolicy()
    fido2 = Fido2Server(PublicKeyCredentialRpEntity(id=RP_ID, name="Example"), verify_origin=ORIGIN.__eq__)
    beside_fido2 = _measure(
        size,
        ceremonies,
        ours=lambda each: _authenticate(party, each),
        peer=lambda each: _fido2_authenticates(fido2, each),
    )
    registrations = _measure(size, ceremonies, ours=lambda each: _register(party, policy, each), peer=_peer_registers)
    return [
        row(
            "WebAuthn assertion, ES256, verified, CPU vs py_webauthn",
            ours=median(assertions.ours),
            peer=median(assertions.peer),
            unit="µs",
            goal=_ASSERTION_GOAL,
        ),
        row(
            "WebAuthn assertion, ES256, verified, CPU vs fido2",
            ours=median(beside_fido2.ours),
            peer=median(beside_fido2.peer),
            unit="µs",
            goal=_ASSERTION_GOAL,
        ),
        row(
            "WebAuthn registration, ES256, no attestation, verified, CPU vs py_webauthn",
            ours=median(registrations.ours),
            peer=median(registrations.peer),
            unit="µs",
            goal=_REGISTRATION_GOAL,
        ),
    ]


def _measure(
    size: Size,
    ceremonies: list[Ceremonies],
    *,
    ours: Callable[[Ceremonies], object],
    peer: Callable[[Ceremonies], object],
) -> Figures:
    figures = Figures()
    for number in range(size.rounds + 1):
        for work, found in ((ours, figures.ours), (peer, figures.peer)):
            gc.collect()
            started = process_time_ns()
            for each in ceremonies:
                work(each)
            if number:  # The first round warms up.
                found.append((process_time_ns() - started) / len(ceremonies) / 1000)
    return figures


def _ceremonies(party: RelyingParty, number: int) -> Ceremonies:
    """A new passkey is made and used, by the emulated phone; its secret and its challenge are told by its number."""
    page, challenge = Page(ORIGIN), number.to_bytes(32, "big")
    options, registration = begin_registration(
        party, User(number.to_bytes(32, "big"), "alice"), challenge=challenge, now=NOW, algorithms=(Algorithm.ES256,)
    )
    gesture = Gesture.VERIFICATION
    sources, created = create_credential(
        options, page=page, sources=(), gesture=gesture, secret=number.to_bytes(32, "big"), now=NOW
    )
    [source] = sources
    options, authentication = begin_authentication(party, challenge=challenge, now=NOW, user_handle=source.user_handle)
    options["allowCredentials"] = [{"type": "public-key", "id": created["id"]}]
    _, asserted = get_credential(options, page=page, sources=sources, gesture=gesture)
    record = StoredCredential(source.id, source.cose_key, source.sign_count, source.user_handle, False)
    return Ceremonies(registration, created, authentication, asserted, record)


def _authenticate(party: RelyingParty, each: Ceremonies) -> None:
    verify_authentication(
        read_authentication(each.asserted),
        expected_state=each.authentication,
        expected_party=party,
        credential=each.record,
        now=NOW,
    )


def _peer_authenticates(each: Ceremonies) -> None:
    verify_authentication_response(
        credential=each.asserted,
        expected_challenge=each.authentication.challenge,
        expected_rp_id=RP_ID,
        expected_origin=ORIGIN,
        credential_public_key=each.record.public_key,
        credential_current_sign_count=each.record.sign_count,
        require_user_verification=True,
    )


def _fido2_authenticates(server: Fido2Server, each: Ceremonies) -> None:
    key = CoseKey.parse(cast("dict[int, Any]", cbor.decode(each.record.public_key)))
    server.authenticate_complete(
        {"challenge": websafe_encode(each.authentication.challenge), "user_verification": "required"},
        [AttestedCredentialData.create(bytes(16), websafe_decode(each.asserted["rawId"]), key)],
        each.asserted,
    )


def _register(party: RelyingParty, policy: AttestationPolicy, each: Ceremonies) -> None:
    verify_registration(
        read_registration(each.created),
        expected_state=each.registration,
        expected_party=party,
        policy=policy,
        is_known=False,
        now=NOW,
    )


def _peer_registers(each: Ceremonies) -> None:
    verify_registration_response(
        credential=each.created,
        expected_challenge=each.registration.challenge,
        expected_rp_id=RP_ID,
        expected_origin=ORIGIN,
        require_user_verification=True,
    )
