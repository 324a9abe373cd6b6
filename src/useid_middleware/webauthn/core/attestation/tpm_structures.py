"""TPM 2.0 structures in an attestation: TPMT_PUBLIC and TPMS_ATTEST (TPM 2.0 Library Part 2, §12.2.4 and §10.12.8).

Of TPMS_ATTEST the clock and the firmware's version are not looked at, as WebAuthn Level 3 §8.3 says: a TPM may
obfuscate them, down to a boolean that is neither 0 nor 1.
"""

from dataclasses import dataclass
from enum import IntEnum
from hashlib import new as new_hash
from typing import Final

from ..cose import ALG, CRV, KTY, RSA_E, RSA_N, Algorithm, X, Y
from .statement import malformed

GENERATED_VALUE: Final = b"\xffTCG"
ATTEST_CERTIFY: Final = 0x8017
_NULL: Final = 0x0010
_DEFAULT_EXPONENT: Final = 65537
#: clock, resetCount, restartCount, safe; firmwareVersion.
_UNUSED: Final = 17 + 8


class KeyType(IntEnum):
    """TPMI_ALG_PUBLIC (§12.2.2), the asymmetric ones."""

    RSA = 0x0001
    ECC = 0x0023


#: Hashes that name an object (TPMI_ALG_HASH, §9.27), as hashlib calls them.
_NAME_HASHES: Final = {0x0004: "sha1", 0x000B: "sha256", 0x000C: "sha384", 0x000D: "sha512"}
#: Signature schemes that carry one hash (TPMU_ASYM_SCHEME, §11.2.3.5): RSASSA, RSAPSS, ECDSA.
_SCHEMES: Final = (0x0014, 0x0016, 0x0018)
#: TPM_ECC_CURVE (§6.4) to the COSE curve, its size, and the algorithms that use it.
_CURVES: Final = {
    0x0003: (1, 32, (Algorithm.ES256, Algorithm.ESP256)),
    0x0004: (2, 48, (Algorithm.ES384, Algorithm.ESP384)),
    0x0005: (3, 66, (Algorithm.ES512, Algorithm.ESP512)),
}


@dataclass(frozen=True, slots=True)
class PublicArea:
    """TPMT_PUBLIC: the key as labels of a COSE key (without its algorithm), and the object's name."""

    key: dict[int, int | bytes]
    algorithms: tuple[int, ...]
    name: bytes

    def is_of(self, cose: dict[int, int | bytes]) -> bool:
        """Whether this is that credential key (§8.3)."""
        rest = {label: value for label, value in cose.items() if label != ALG}
        return rest == self.key and cose[ALG] in self.algorithms


@dataclass(frozen=True, slots=True)
class Attest:
    """TPMS_ATTEST of a TPM2_Certify."""

    extra_data: bytes
    name: bytes


class _Reader:
    """Reads big-endian fields in their order; what is missing is ``webauthn_attestation_malformed``."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self._name = name
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise malformed(f"{self._name}: expected more bytes")
        taken, self._at = self._data[self._at : end], end
        return taken

    def number(self, size: int = 2) -> int:
        return int.from_bytes(self.take(size), "big")

    def sized(self) -> bytes:
        """A TPM2B structure: a length of two bytes, and so many bytes."""
        return self.take(self.number())

    def end(self) -> None:
        if self._at != len(self._data):
            raise malformed(f"{self._name}: expected nothing after the structure")


def read_public_area(data: bytes) -> PublicArea:
    """TPMT_PUBLIC of a signing key, or ``webauthn_attestation_malformed``."""
    reader = _Reader(data, "pubArea")
    kind, name_hash = reader.number(), reader.number()
    if name_hash not in _NAME_HASHES:
        raise malformed("pubArea: nameAlg: expected a hash")
    reader.number(4)
    reader.sized()
    if reader.number() != _NULL:
        raise malformed("pubArea: symmetric: expected none, since the key signs")
    scheme = reader.number()
    if scheme in _SCHEMES:
        reader.number()
    elif scheme != _NULL:
        raise malformed("pubArea: scheme: expected one that signs")
    name = name_hash.to_bytes(2, "big") + new_hash(_NAME_HASHES[name_hash], data).digest()
    if kind == KeyType.RSA:
        reader.number()
        exponent = reader.number(4) or _DEFAULT_EXPONENT
        key: dict[int, int | bytes] = {
            KTY: 3,
            RSA_N: reader.sized(),
            RSA_E: exponent.to_bytes((exponent.bit_length() + 7) // 8, "big"),
        }
        algorithms: tuple[int, ...] = (Algorithm.RS256, Algorithm.PS256)
    elif kind == KeyType.ECC:
        curve = reader.number()
        if curve not in _CURVES:
            raise malformed("pubArea: curveID: expected P-256, P-384 or P-521")
        if reader.number() != _NULL:
            raise malformed("pubArea: kdf: expected none, since the key signs")
        cose_curve, size, algorithms = _CURVES[curve]
        # A TPM may leave out leading zeros; COSE does not.
        key = {KTY: 2, CRV: cose_curve, X: reader.sized().rjust(size, b"\0"), Y: reader.sized().rjust(size, b"\0")}
    else:
        raise malformed("pubArea: type: expected RSA or ECC")
    reader.end()
    return PublicArea(key, algorithms, name)


def read_attest(data: bytes) -> Attest:
    """TPMS_ATTEST that a TPM made to certify a key, or ``webauthn_attestation_malformed``."""
    reader = _Reader(data, "certInfo")
    if reader.take(4) != GENERATED_VALUE:
        raise malformed("certInfo: magic: expected TPM_GENERATED_VALUE")
    if reader.number() != ATTEST_CERTIFY:
        raise malformed("certInfo: type: expected TPM_ST_ATTEST_CERTIFY")
    reader.sized()
    extra_data = reader.sized()
    reader.take(_UNUSED)
    name = reader.sized()
    reader.sized()
    reader.end()
    return Attest(extra_data, name)
