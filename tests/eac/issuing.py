"""Chains of card-verifiable certificates for tests, each part replaceable."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from useid_middleware.eac.chat import CHAT, AuthenticationRight, Role, TerminalType
from useid_middleware.eac.curves import BRAINPOOL_P256R1, Curve, key_pair
from useid_middleware.eac.cvc import (
    Certificate,
    CertificateBody,
    CertificateKey,
    Extension,
    Sign,
    ecdsa_signer,
    sign_certificate,
)
from useid_middleware.eac.oids import OID

CURVE: Final = BRAINPOOL_P256R1
TODAY: Final = date(2026, 3, 1)
RIGHTS: Final = int(AuthenticationRight.READ_DG4 | AuthenticationRight.READ_DG5 | AuthenticationRight.AGE_VERIFICATION)


@dataclass(frozen=True)
class Party:
    """Somebody with a name, a key and a template; ``issue`` gives a certificate to another one, or to itself."""

    name: bytes
    role: Role
    private: int
    rights: int = RIGHTS
    terminal_type: TerminalType = TerminalType.AUTHENTICATION_TERMINAL
    protocol: str = OID.TA_ECDSA_SHA_256
    curve: Curve = CURVE
    effective: date = date(2026, 1, 1)
    expiration: date = date(2026, 12, 31)
    extensions: tuple[Extension, ...] = ()
    with_parameters: bool | None = None

    @property
    def sign(self) -> Sign:
        return ecdsa_signer(self.private, curve=self.curve, protocol=self.protocol)

    def says(self, issuer: bytes) -> CertificateBody:
        point = key_pair(self.private, generator=self.curve.generator).public.encode()
        parameters = self.role is Role.CVCA if self.with_parameters is None else self.with_parameters
        return CertificateBody(
            authority_reference=issuer,
            holder_reference=self.name,
            key=CertificateKey(self.protocol, point, self.curve if parameters else None),
            chat=CHAT(self.terminal_type, self.role, self.rights),
            effective=self.effective,
            expiration=self.expiration,
            extensions=self.extensions,
        )

    def issue(self, holder: "Party") -> Certificate:
        return sign_certificate(holder.says(self.name), sign=self.sign)


CVCA: Final = Party(b"DETESTCVCA00001", Role.CVCA, 101)
NEXT_CVCA: Final = replace(CVCA, name=b"DETESTCVCA00002", private=102, effective=date(2026, 6, 1))
DV: Final = Party(b"DETESTDV00001", Role.DV_OFFICIAL, 103)
TERMINAL: Final = Party(b"DETESTAT00001", Role.TERMINAL, 104)

ROOT: Final = CVCA.issue(CVCA)
LINK: Final = CVCA.issue(NEXT_CVCA)
DV_CERTIFICATE: Final = CVCA.issue(DV)
TERMINAL_CERTIFICATE: Final = DV.issue(TERMINAL)
