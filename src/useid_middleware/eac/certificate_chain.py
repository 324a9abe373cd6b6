"""Whom to believe: chains of card-verifiable certificates, trust points and a chip's own date (TR-03110-3 2.5, C.4).

:func:`trust` is the one place where a key is believed without a signature. From there :func:`verify_certificate` goes
one step down, and what it returns can verify the next one: nothing else makes a :class:`Verified`.

Rights are those that CVCA, DV and terminal all have; a certificate that claims more than its issuer has is valid, and
the surplus has no effect (C.4). Whoever issues certificates refuses it with :func:`check_rights`.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from .authentication_errors import (
    CertificateChainError,
    CertificateError,
    CertificateExpired,
    CertificateIssuerUnknown,
    CertificateNotYetValid,
)
from .chat import CHAT, Role, TerminalType, effective
from .cvc import Certificate, VerificationKey

#: Keys of a CVCA that a chip keeps for each terminal type (TR-03110-3 2.5.1).
MAX_TRUST_POINTS: Final = 2

_MAY_ISSUE: Final[dict[Role, Collection[Role]]] = {
    Role.CVCA: (Role.CVCA, Role.DV_OFFICIAL, Role.DV_NON_OFFICIAL),
    Role.DV_OFFICIAL: (Role.TERMINAL,),
    Role.DV_NON_OFFICIAL: (Role.TERMINAL,),
    Role.TERMINAL: (),
}


@dataclass(frozen=True, slots=True)
class Verified:
    """A certificate that is believed. ``chat`` has the rights of the whole chain down to it.

    ``accurate`` says that its effective date may move a chip's date: it is a CVCA's or a DV's, or issued by an official
    DV (TR-03110-3 2.5.1).
    """

    certificate: Certificate
    key: VerificationKey
    chat: CHAT
    accurate: bool

    @property
    def reference(self) -> bytes:
        """The holder's name, which the next certificates have as their CAR."""
        return self.certificate.says.holder_reference

    @property
    def role(self) -> Role:
        """The holder's place in the chain."""
        return self.chat.role


def trust(certificate: Certificate) -> Verified:
    """A self-signed CVCA certificate as a trust point; ``CertificateError`` if it is none or does not verify.

    That the certificate is the right one is the caller's knowledge: it was personalised, or configured.
    """
    says = certificate.says
    if says.chat.role is not Role.CVCA or not certificate.self_signed or says.key.curve is None:
        raise CertificateChainError("trust point: expected a self-signed CVCA certificate with domain parameters")
    key = says.key.on(says.key.curve)
    key.verify(certificate.signature, certificate.body)
    return Verified(certificate, key, says.chat, accurate=True)


def verify_certificate(certificate: Certificate, *, issuer: Verified) -> Verified:
    """The certificate, if this issuer signed it and may issue it; ``CertificateError`` otherwise. No dates yet."""
    says = certificate.says
    if says.authority_reference != issuer.reference:
        raise CertificateIssuerUnknown("certificate: expected another issuer's, by its authority reference")
    certificate_key = says.key
    if says.chat.role not in _MAY_ISSUE[issuer.role]:
        raise CertificateChainError(f"a {says.chat.role.name} certificate cannot be issued by a {issuer.role.name}")
    if says.chat.terminal_type is not issuer.chat.terminal_type:
        raise CertificateChainError("expected the issuer's terminal type")
    if certificate_key.curve is not None and says.chat.role is not Role.CVCA:
        raise CertificateChainError("expected domain parameters in CVCA certificates only")
    issuer.key.verify(certificate.signature, certificate.body)
    key = certificate_key.on(certificate_key.curve or issuer.key.public.curve)
    if says.chat.role is Role.CVCA:
        # What counts is what the CVCA at the chain's beginning says now; a link may widen it (C.4).
        return Verified(certificate, key, says.chat, accurate=True)
    accurate = says.chat.role is not Role.TERMINAL or issuer.role is Role.DV_OFFICIAL
    return Verified(certificate, key, effective(issuer.chat, says.chat), accurate)


def check_dates(certificate: Certificate, *, today: date) -> None:
    """``CertificateExpired`` or ``CertificateNotYetValid`` unless the certificate is valid on this day."""
    if today > certificate.says.expiration:
        raise CertificateExpired(f"certificate: expected one valid on {today}, found one until an earlier day")
    if today < certificate.says.effective:
        raise CertificateNotYetValid(f"certificate: expected one valid on {today}, found one from a later day")


def check_rights(chat: CHAT, *, issuer: CHAT) -> None:
    """``CertificateChainError`` if a certificate with this template would claim more than its issuer has."""
    if chat.terminal_type is not issuer.terminal_type or chat.rights & ~issuer.rights:
        raise CertificateChainError("rights: expected none that the issuer does not have")


def find_chain(certificates: Iterable[Certificate], *, references: Sequence[bytes]) -> tuple[Certificate, ...]:
    """The chain to the one terminal certificate, from one that a trust point in ``references`` issued.

    This is how a terminal picks what to present to a chip out of links, DV and terminal certificates in any order.
    ``CertificateIssuerUnknown`` if there is no way from any reference, ``CertificateChainError`` unless there is
    exactly one terminal certificate. Nothing is verified: the chip does that.
    """
    by_holder = {each.says.holder_reference: each for each in certificates if not each.self_signed}
    terminals = [each for each in by_holder.values() if each.says.chat.role is Role.TERMINAL]
    if len(terminals) != 1:
        raise CertificateChainError(f"expected one terminal certificate, found {len(terminals)}")
    chain = terminals
    while (wanted := chain[0].says.authority_reference) not in references:
        # Taken out, no certificate comes twice: names in a circle end here too.
        issuer = by_holder.pop(wanted, None)
        if issuer is None:
            raise CertificateIssuerUnknown("expected a chain from a trust point of the chip, found none")
        chain = [issuer, *chain]
    return tuple(chain)


def verify_chain(certificates: Iterable[Certificate], *, trusted: Collection[Verified], today: date) -> Verified:
    """The terminal certificate among ``certificates``, the chain to it verified and valid today.

    For those who have a clock; a chip uses :class:`TrustStore`. ``CertificateError`` if anything does not hold.
    """
    chain = find_chain(certificates, references=[each.reference for each in trusted])
    first = chain[0].says.authority_reference
    current = next(each for each in trusted if each.reference == first)
    for certificate in chain:
        check_dates(current.certificate, today=today)
        current = verify_certificate(certificate, issuer=current)
    check_dates(current.certificate, today=today)
    return current


@dataclass(frozen=True, slots=True)
class TrustStore:
    """What a chip remembers between sessions: its trust points, the newest first, and the latest day it knows of."""

    points: tuple[Verified, ...]
    today: date

    def references(self, terminal_type: TerminalType) -> tuple[bytes, ...]:
        """The names that PACE tells the terminal, the newest first."""
        return tuple(each.reference for each in self.points if each.chat.terminal_type is terminal_type)

    def find(self, reference: bytes, *, terminal_type: TerminalType) -> Verified | None:
        """The trust point of this name and type."""
        return next(
            (each for each in self.points if each.reference == reference and each.chat.terminal_type is terminal_type),
            None,
        )


def import_certificate(store: TrustStore, certificate: Certificate, *, issuer: Verified) -> tuple[TrustStore, Verified]:
    """The chip's PSO:Verify Certificate: the store afterwards, and the certificate as it is believed (2.5.2).

    An expired certificate is refused, a link excepted: it may be the only way to a newer one. A CVCA key that is
    expired verifies links only. Since the chip has no clock, a certificate from a later day is not refused; it moves
    the chip's date, if its issuer vouches for it. ``CertificateError`` leaves the store as it was.
    """
    verified = verify_certificate(certificate, issuer=issuer)
    is_link = verified.role is Role.CVCA
    for name, each in (("issuer", issuer.certificate), ("certificate", certificate)):
        if not is_link and each.says.expiration < store.today:
            raise CertificateExpired(f"{name}: expected one that has not expired on the chip's day")
    today = max(store.today, certificate.says.effective) if verified.accurate else store.today
    points = _with(store.points, verified) if is_link else store.points
    return replace(store, points=points, today=today), verified


def _with(points: tuple[Verified, ...], new: Verified) -> tuple[Verified, ...]:
    """The trust points with a new one; of its type the newest two stay. One that is there stays where it is."""
    same = [each for each in points if each.chat.terminal_type is new.chat.terminal_type]
    if any(each.reference == new.reference for each in same):
        return points
    others = tuple(each for each in points if each not in same)
    return (new, *same[: MAX_TRUST_POINTS - 1], *others)


def parse_trust_points(certificates: Iterable[Certificate]) -> tuple[Verified, ...]:
    """The self-signed certificates and the links among ``certificates`` as trust points, the newest first.

    The links are verified from the self-signed ones on; ``CertificateError`` if one has no place.
    """
    points: tuple[Verified, ...] = ()
    for certificate in certificates:
        if certificate.self_signed:
            points = (trust(certificate), *points)
            continue
        issuer = next((each for each in points if each.reference == certificate.says.authority_reference), None)
        if issuer is None:
            raise CertificateIssuerUnknown("link certificate: expected one of a trust point before it")
        verified = verify_certificate(certificate, issuer=issuer)
        if verified.role is not Role.CVCA:
            raise CertificateError("trust points: expected CVCA certificates only")
        points = (verified, *points)
    return points
