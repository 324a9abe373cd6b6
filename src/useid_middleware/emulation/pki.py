"""A test PKI for eID: what a country, a CVCA and a service provider have, all of it named TEST.

Verifying terminals: a CVCA in generations, each after the first with a link certificate from the one before; a DV;
terminals with rights, a certificate description and the hashes of TLS certificates. Verifying cards: a CSCA and a
document signer. Pseudonyms: a revocation sector, two sectors of the service provider, tokens of revoked cards.

Pure: the day is an argument, and ``random`` gives as many bytes as it is asked for. Values are frozen; each function
returns the next PKI.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from ..eac.certificate_chain import Verified, parse_trust_points
from ..eac.certificate_description import (
    CertificateDescription,
    DescriptionType,
    description_extension,
    parse_description,
)
from ..eac.chat import AuthenticationRight
from ..eac.curves import KeyPair, Point, key_pair
from ..eac.cvc import Certificate
from ..eac.oids import OID
from ..eac.restricted_identification import (
    SectorKey,
    revocation_list,
    revocation_token,
    sector_extension,
    sector_key_pair,
)
from ..errors import ConfigurationError
from .pki_certificates import (
    CURVE,
    DV_DAYS,
    Authority,
    Holder,
    Random,
    issue_authority,
    issue_dv,
    issue_terminal_certificate,
    new_scalar,
    sequence_number,
)
from .pki_documents import SERIAL_SIZE, DocumentKey, issue_csca, issue_signer

RI_PROTOCOL: Final = OID.RI_ECDH_SHA_256
#: The name that `useid pki init` gives the first terminal.
DEFAULT: Final = "default"

_R: Final = AuthenticationRight
#: What an eService may ask for as a rule. Not the CAN: with that right a client asks for the CAN instead of the PIN.
DEFAULT_RIGHTS: Final = int(
    _R.AGE_VERIFICATION
    | _R.COMMUNITY_ID_VERIFICATION
    | _R.RESTRICTED_IDENTIFICATION
    | _R.READ_DG1
    | _R.READ_DG2
    | _R.READ_DG3
    | _R.READ_DG4
    | _R.READ_DG5
    | _R.READ_DG6
    | _R.READ_DG7
    | _R.READ_DG8
    | _R.READ_DG9
    | _R.READ_DG10
    | _R.READ_DG13
    | _R.READ_DG17
    | _R.READ_DG18
    | _R.READ_DG19
)
_LABEL: Final = "TEST"
_ISSUER: Final = "TEST CA of useid-middleware"
_TERMS: Final = "TEST certificate of useid-middleware. It proves nothing about anybody."


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal's certificate, its private scalar, and its encoded certificate description."""

    certificate: Certificate
    private: int = field(repr=False)
    description: bytes


@dataclass(frozen=True, slots=True)
class Sectors:
    """Private scalars of the revocation sector and of the provider's two sectors; tokens of revoked cards."""

    revocation: int = field(repr=False)
    first: int = field(repr=False)
    second: int = field(repr=False)
    revoked: tuple[Point, ...] = ()

    @property
    def pairs(self) -> tuple[KeyPair, KeyPair]:
        """The key pairs of both sectors."""
        public = key_pair(self.revocation, generator=CURVE.generator).public
        return (
            sector_key_pair(self.first, revocation_public=public),
            sector_key_pair(self.second, revocation_public=public),
        )

    @property
    def keys(self) -> tuple[SectorKey, SectorKey]:
        """The public keys of both sectors."""
        first, second = self.pairs
        return SectorKey(RI_PROTOCOL, first.public), SectorKey(RI_PROTOCOL, second.public)

    @property
    def revoked_identifiers(self) -> frozenset[bytes]:
        """The identifiers of all revoked cards, in both sectors."""
        first, second = (revocation_list(self.revoked, sector=pair, protocol=RI_PROTOCOL) for pair in self.pairs)
        return first | second


@dataclass(frozen=True, slots=True)
class TerminalRequest:
    """What a terminal certificate shall say. ``migrating`` gives it the provider's second sector as well.

    ``tls_hashes`` are SHA-256 hashes of the TLS certificates (DER) of eService and eID server.
    """

    subject_name: str = "TEST eService"
    subject_url: str = "https://localhost"
    rights: int = DEFAULT_RIGHTS
    tls_hashes: tuple[bytes, ...] = ()
    terms_of_usage: str = _TERMS
    migrating: bool = False


@dataclass(frozen=True, slots=True)
class PKI:
    """All of it. ``authorities`` are the oldest first."""

    csca: DocumentKey
    signer: DocumentKey
    authorities: tuple[Authority, ...]
    dv: Holder
    terminals: Mapping[str, Terminal]
    sectors: Sectors

    @property
    def authority(self) -> Authority:
        """The CVCA that issues now."""
        return self.authorities[-1]

    @property
    def links(self) -> tuple[Certificate, ...]:
        """The link certificates, the oldest first."""
        return tuple(each.link for each in self.authorities if each.link is not None)

    @property
    def trust_points(self) -> tuple[Verified, ...]:
        """The CVCA certificates as a card has them, the newest first."""
        return parse_trust_points([self.authorities[0].root, *self.links])

    def terminal(self, name: str = DEFAULT) -> Terminal:
        """The terminal of this name; ``ConfigurationError`` if there is none."""
        if name not in self.terminals:
            raise ConfigurationError(f"terminal: expected one of {', '.join(self.terminals)}")
        return self.terminals[name]

    def certificates(self, name: str = DEFAULT) -> tuple[Certificate, ...]:
        """What a terminal presents: links, DV, terminal. ``find_chain`` picks what a card needs."""
        return (*self.links, self.dv.certificate, self.terminal(name).certificate)


def new_pki(*, now: datetime, random: Random, terminal: TerminalRequest | None = None) -> PKI:
    """A new PKI with one terminal."""
    csca = issue_csca(private=new_scalar(random), serial=random(SERIAL_SIZE), now=now)
    signer = issue_signer(csca, private=new_scalar(random), serial=random(SERIAL_SIZE), now=now)
    authority = issue_authority(1, today=now.date(), random=random, before=None)
    dv = issue_dv(authority, number=1, today=now.date(), random=random)
    sectors = Sectors(revocation=new_scalar(random), first=new_scalar(random), second=new_scalar(random))
    pki = PKI(csca, signer, (authority,), dv, {}, sectors)
    return issue_terminal(pki, DEFAULT, request=terminal or TerminalRequest(), now=now, random=random)


def issue_terminal(pki: PKI, name: str, *, request: TerminalRequest, now: datetime, random: Random) -> PKI:
    """The PKI with a terminal of this name, new or renewed.

    ``CertificateChainError`` for rights that the DV does not have; ``EACError`` for a description that DER cannot say.
    """
    description = CertificateDescription(
        description_type=DescriptionType.PLAIN,
        issuer_name=_ISSUER,
        subject_name=labelled(request.subject_name),
        subject_url=request.subject_url,
        terms_of_usage=request.terms_of_usage.encode(),
        tls_hashes=request.tls_hashes,
    ).encode()
    first, second = pki.sectors.keys
    private = new_scalar(random)
    numbers = (sequence_number(each.certificate) for each in pki.terminals.values())
    certificate = issue_terminal_certificate(
        private,
        number=1 + max(numbers, default=0),
        rights=request.rights,
        extensions=(description_extension(description), sector_extension(first, second if request.migrating else None)),
        today=now.date(),
        dv=pki.dv,
    )
    return replace(pki, terminals={**pki.terminals, name: Terminal(certificate, private, description)})


def renew(
    pki: PKI,
    *,
    now: datetime,
    random: Random,
    new_cvca: bool = False,
    tls_hashes: Mapping[str, tuple[bytes, ...]] | None = None,
) -> PKI:
    """The PKI with new document signer, DV and terminal certificates; sectors, and so pseudonyms, stay.

    There is a new generation of the CVCA too if ``new_cvca``, or if the present one would not outlive the new DV.
    ``tls_hashes`` replaces those of the terminals named in it.
    """
    signer = issue_signer(pki.csca, private=new_scalar(random), serial=random(SERIAL_SIZE), now=now)
    authorities = pki.authorities
    today = now.date()
    if new_cvca or pki.authority.root.says.expiration < today + timedelta(days=DV_DAYS):
        new = issue_authority(len(authorities) + 1, today=today, random=random, before=pki.authority)
        authorities = (*authorities, new)
    number = sequence_number(pki.dv.certificate) + 1
    dv = issue_dv(authorities[-1], number=number, today=today, random=random)
    renewed = replace(pki, signer=signer, authorities=authorities, dv=dv)
    for name, terminal in pki.terminals.items():
        request = request_of(terminal)
        if tls_hashes and name in tls_hashes:
            request = replace(request, tls_hashes=tls_hashes[name])
        renewed = issue_terminal(renewed, name, request=request, now=now, random=random)
    return renewed


def revoke(pki: PKI, *, chip_public: Point) -> PKI:
    """The PKI with the card of this public key for Restricted Identification on its revocation list."""
    token = revocation_token(pki.sectors.revocation, chip_public=chip_public)
    if token in pki.sectors.revoked:
        return pki
    return replace(pki, sectors=replace(pki.sectors, revoked=(*pki.sectors.revoked, token)))


def request_of(terminal: Terminal) -> TerminalRequest:
    """What the terminal's certificate was asked to say."""
    description = parse_description(terminal.description)
    return TerminalRequest(
        subject_name=description.subject_name,
        subject_url=description.subject_url or "",
        rights=terminal.certificate.says.chat.rights,
        tls_hashes=description.tls_hashes,
        terms_of_usage=description.terms_of_usage.decode(),
        migrating=terminal.certificate.sector_hashes[1] is not None,
    )


def labelled(name: str) -> str:
    """The name, saying that it is a test's."""
    return name if _LABEL in name else f"{_LABEL} {name}"
