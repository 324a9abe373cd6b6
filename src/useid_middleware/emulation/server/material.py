"""What the eID server brings to every session: its terminal, and whom and what it believes about cards.

Pure; made once of a PKI, since the list of revoked cards is computed, not stored.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from cryptography import x509

from ...eac.chat import CHAT
from ...eac.curves import BRAINPOOL_P256R1
from ...eac.cvc import Certificate, Sign, ecdsa_signer
from ...eac.restricted_identification import SectorKey
from ..pki import PKI

#: The terminal of the embedded server in its PKI.
TERMINAL: Final = "eid-server"


@dataclass(frozen=True, slots=True)
class ServerMaterial:
    """The terminal's certificate, what is presented along with it (links, DV), its description and its signature.

    ``trusted`` are CSCA certificates, ``revoked_signers`` serial numbers of document signers, ``sectors`` the sector
    for pseudonyms and, while the provider moves from there, the second one; ``revoked`` the identifiers of revoked
    cards in both.
    """

    terminal: Certificate
    presented: tuple[Certificate, ...]
    description: bytes
    sign: Sign = field(repr=False)
    trusted: tuple[x509.Certificate, ...]
    sectors: tuple[SectorKey, SectorKey | None]
    revoked: frozenset[bytes]
    revoked_signers: frozenset[int] = frozenset()

    @property
    def chat(self) -> CHAT:
        """The rights of the terminal's certificate."""
        return self.terminal.says.chat

    @property
    def reference(self) -> str:
        """The terminal's name; a renewed certificate has another one."""
        return self.terminal.says.holder_reference.decode("latin-1")


class Terminals(Protocol):
    """Where the server's terminals come from."""

    async def for_origin(self, origin: str = "") -> ServerMaterial:
        """The terminal that clients may meet at this web origin, valid today; without one, the usual terminal."""
        ...

    async def named(self, reference: str) -> ServerMaterial | None:
        """The terminal of this name, with which a session began; ``None`` if it is no more."""
        ...


class FixedTerminal:
    """One terminal for every origin, as it is."""

    def __init__(self, material: ServerMaterial) -> None:
        self._material = material

    async def for_origin(self, origin: str = "") -> ServerMaterial:
        """See :meth:`Terminals.for_origin`."""
        return self._material

    async def named(self, reference: str) -> ServerMaterial | None:
        """See :meth:`Terminals.named`."""
        return self._material if reference == self._material.reference else None


@dataclass(frozen=True, slots=True)
class Turn:
    """What a message is answered with, besides the session: ``drawn`` are random bytes for an ephemeral key."""

    now: datetime
    material: ServerMaterial
    drawn: bytes = field(repr=False)


def material_of(pki: PKI, *, terminal: str = TERMINAL) -> ServerMaterial:
    """What this terminal of the PKI works with; ``ConfigurationError`` if there is no such terminal."""
    holder = pki.terminal(terminal)
    first, second = pki.sectors.keys
    is_migrating = holder.certificate.sector_hashes[1] is not None
    return ServerMaterial(
        terminal=holder.certificate,
        presented=pki.certificates(terminal),
        description=holder.description,
        sign=ecdsa_signer(holder.private, curve=BRAINPOOL_P256R1, protocol=holder.certificate.says.key.protocol),
        trusted=(pki.csca.certificate,),
        sectors=(first, second if is_migrating else None),
        revoked=pki.sectors.revoked_identifiers,
    )
