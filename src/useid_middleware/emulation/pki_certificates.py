"""Card-verifiable certificates of a test PKI: the generations of a CVCA, its DV, and terminals below that.

All keys are on brainpoolP256r1 and sign with SHA-256, as those of the German eID do. Every reference says TEST.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final, TypeAlias

from ..eac.certificate_chain import check_rights
from ..eac.chat import CHAT, AuthenticationRight, Role, TerminalType
from ..eac.curves import BRAINPOOL_P256R1, EXTRA_RANDOM, key_pair, scalar
from ..eac.cvc import Certificate, CertificateBody, CertificateKey, Extension, ecdsa_signer, sign_certificate
from ..eac.oids import OID
from ..errors import ConfigurationError

CURVE: Final = BRAINPOOL_P256R1
PROTOCOL: Final = OID.TA_ECDSA_SHA_256

CVCA_DAYS: Final = 1095
DV_DAYS: Final = 90
TERMINAL_DAYS: Final = 30
ALL_RIGHTS: Final = sum(AuthenticationRight)

_SEQUENCE_SIZE: Final = 5

#: So many fresh random bytes.
Random: TypeAlias = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Authority:
    """One generation of the CVCA. ``link`` is its certificate by the generation before, if there was one."""

    root: Certificate
    private: int = field(repr=False)
    link: Certificate | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """A DV's certificate and its private scalar."""

    certificate: Certificate
    private: int = field(repr=False)


def new_scalar(random: Random) -> int:
    """A fresh private scalar."""
    return scalar(CURVE, random(CURVE.order_size + EXTRA_RANDOM))


def sequence_number(certificate: Certificate) -> int:
    """The number at the end of the holder's reference."""
    return int(certificate.says.holder_reference[-_SEQUENCE_SIZE:])


def issue_authority(number: int, *, today: date, random: Random, before: Authority | None) -> Authority:
    """A generation of the CVCA: self-signed, and linked to the one before."""
    private = new_scalar(random)
    chat = CHAT(TerminalType.AUTHENTICATION_TERMINAL, Role.CVCA, ALL_RIGHTS)
    holder = _reference("TESTCVCA", number)

    def issue(issuer: Holder | None) -> Certificate:
        return _issue(private, holder=holder, chat=chat, today=today, days=CVCA_DAYS, issuer=issuer)

    link = None if before is None else issue(Holder(before.root, before.private))
    return Authority(issue(None), private, link)


def issue_dv(authority: Authority, *, number: int, today: date, random: Random) -> Holder:
    """A DV's certificate by this CVCA, with all rights."""
    private = new_scalar(random)
    # An official DV's certificates move a card's date: a card that sees these learns what day it is.
    chat = CHAT(TerminalType.AUTHENTICATION_TERMINAL, Role.DV_OFFICIAL, ALL_RIGHTS)
    certificate = _issue(
        private,
        holder=_reference("TESTDV", number),
        chat=chat,
        today=today,
        days=DV_DAYS,
        issuer=Holder(authority.root, authority.private),
    )
    return Holder(certificate, private)


def issue_terminal_certificate(
    private: int, *, number: int, rights: int, extensions: tuple[Extension, ...], today: date, dv: Holder
) -> Certificate:
    """A terminal's certificate by this DV; ``CertificateChainError`` for rights that the DV does not have."""
    chat = CHAT(TerminalType.AUTHENTICATION_TERMINAL, Role.TERMINAL, rights)
    check_rights(chat, issuer=dv.certificate.says.chat)
    return _issue(
        private,
        holder=_reference("TESTAT", number),
        chat=chat,
        today=today,
        days=TERMINAL_DAYS,
        issuer=dv,
        extensions=extensions,
    )


def _issue(
    private: int,
    *,
    holder: bytes,
    chat: CHAT,
    today: date,
    days: int,
    issuer: Holder | None,
    extensions: tuple[Extension, ...] = (),
) -> Certificate:
    """A certificate from today on. Without an issuer it is self-signed; below a CVCA none outlives its issuer."""
    expiration = today + timedelta(days=days)
    if issuer is not None and chat.role is not Role.CVCA:
        expiration = min(expiration, issuer.certificate.says.expiration)
        if expiration < today:
            raise ConfigurationError("the issuer's certificate has expired; run useid pki renew")
    says = CertificateBody(
        authority_reference=holder if issuer is None else issuer.certificate.says.holder_reference,
        holder_reference=holder,
        key=CertificateKey(
            PROTOCOL,
            key_pair(private, generator=CURVE.generator).public.encode(),
            CURVE if chat.role is Role.CVCA else None,
        ),
        chat=chat,
        effective=today,
        expiration=expiration,
        extensions=extensions,
    )
    signing = private if issuer is None else issuer.private
    return sign_certificate(says, sign=ecdsa_signer(signing, curve=CURVE, protocol=PROTOCOL))


def _reference(mnemonic: str, number: int) -> bytes:
    """Country, mnemonic, sequence number (TR-03110-3 C.1.3)."""
    return f"DE{mnemonic}{number % 100_000:05}".encode()
