"""Making a card: its keys from the seed of its state, what it says it can do, and its files, signed.

Real cards share their key for Chip Authentication with thousands of others, so that it names nobody. Here each card has
its own: nobody's privacy depends on an emulated card.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hmac import digest
from typing import Final

from ...eac.auxiliary_data import Facts
from ...eac.curves import BRAINPOOL_P256R1, Curve, KeyPair, key_pair, scalar
from ...eac.oids import OID
from ...eac.security_infos import (
    CardInfoLocator,
    ChipAuthenticationDomainParameterInfo,
    ChipAuthenticationInfo,
    ChipAuthenticationPublicKeyInfo,
    PACEInfo,
    RestrictedIdentificationDomainParameterInfo,
    RestrictedIdentificationInfo,
    SecurityInfos,
    TerminalAuthenticationInfo,
)
from ..pki_documents import DocumentKey, sign_card_security
from .data_groups import encode_data_groups, facts_of
from .files import FileSystem, file_system
from .personalisation import Personality

PACE_PROTOCOL: Final = OID.PACE_ECDH_GM_AES_CBC_CMAC_128
CA_PROTOCOL: Final = OID.CA_ECDH_AES_CBC_CMAC_128
RI_PROTOCOL: Final = OID.RI_ECDH_SHA_256
CURVE: Final = BRAINPOOL_P256R1

CA_KEY: Final = 0x41
#: The key behind the revocation list, for every authenticated terminal.
RI_REVOCATION_KEY: Final = 0x01
#: The key behind pseudonyms, for terminals with the right to them.
RI_PSEUDONYM_KEY: Final = 0x02

_CARD_INFO: Final = "http://bsi.bund.de/cif/npa.xml"


@dataclass(frozen=True, slots=True)
class Chip:
    """What never changes on a card: its files as personalised, the facts in them, and its keys."""

    files: FileSystem
    facts: Facts
    ca_key: KeyPair
    ri_keys: Mapping[int, KeyPair]


def make_chip(personality: Personality, *, seed: bytes, signer: DocumentKey, cloned: bool = False) -> Chip:
    """The chip of this personality: always the same for the same seed and signer.

    A ``cloned`` one has all of the files and another key for Chip Authentication.
    """
    ca_key = _key(seed, "CA")
    ri_keys = {number: _key(seed, f"RI {number}") for number in (RI_REVOCATION_KEY, RI_PSEUDONYM_KEY)}
    card_access = _card_access()
    card_security = SecurityInfos((*card_access.infos, *_signed_only(ca_key)))
    files = file_system(
        card_access=card_access.encode(),
        card_security=sign_card_security(card_security, signer=signer),
        data_groups=encode_data_groups(personality),
    )
    return Chip(files, facts_of(personality), _key(seed, "clone") if cloned else ca_key, ri_keys)


def _card_access() -> SecurityInfos:
    return SecurityInfos(
        (
            PACEInfo(PACE_PROTOCOL, parameter_id=CURVE.parameter_id),
            ChipAuthenticationInfo(CA_PROTOCOL, key_id=CA_KEY),
            ChipAuthenticationDomainParameterInfo(CURVE.parameter_id, CA_KEY),
            TerminalAuthenticationInfo(),
            CardInfoLocator(_CARD_INFO),
        )
    )


def _signed_only(
    ca_key: KeyPair,
) -> tuple[
    ChipAuthenticationPublicKeyInfo,
    RestrictedIdentificationInfo,
    RestrictedIdentificationInfo,
    RestrictedIdentificationDomainParameterInfo,
]:
    """What stands in EF.CardSecurity alone."""
    return (
        ChipAuthenticationPublicKeyInfo(ca_key.public, CA_KEY),
        RestrictedIdentificationInfo(RI_PROTOCOL, RI_REVOCATION_KEY, authorized_only=False),
        RestrictedIdentificationInfo(RI_PROTOCOL, RI_PSEUDONYM_KEY, authorized_only=True),
        RestrictedIdentificationDomainParameterInfo(CURVE.parameter_id),
    )


def _key(seed: bytes, label: str, *, curve: Curve = CURVE) -> KeyPair:
    """A key of the card; the label makes each another one."""
    return key_pair(scalar(curve, digest(seed, f"useid card {label}".encode(), "sha512")), generator=curve.generator)
