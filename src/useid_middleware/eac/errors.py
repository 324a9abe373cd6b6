"""What goes wrong between card and terminal, below ``errors.UseIDError``. The class says which step failed.

::

    UseIDError
    └── EACError                        the other party's: what it sent does not hold
        ├── TLVError                    tlv_invalid              not the one BER-TLV structure that was expected
        ├── OIDError                    oid_invalid              not an object identifier, or of no protocol known here
        ├── APDUError                   apdu_invalid             neither a command nor a response APDU
        ├── PointError                  point_invalid            off the curve, at infinity; a zero scalar; other curve
        ├── KeyMaterialError            key_invalid              a key, nonce or password of the wrong size
        ├── SecurityInfoError           security_info_invalid    EF.CardAccess or its like
        ├── CardSecurityError           card_security_invalid    EF.CardSecurity: its form, digest, signature, signer
        ├── PACEError                   pace_failed
        ├── SecureMessagingError        secure_messaging_failed  a missing, wrong or replayed MAC, wrong padding
        └── StatusWordError             status_word              the card refused; ``status_word`` says how
"""

from collections.abc import Mapping
from typing import ClassVar

from ..errors import UseIDError


class EACError(UseIDError):
    """Base of the errors of this folder. ``stable_code`` is the class's ``code``."""

    status_hint = 400
    stable_code: ClassVar[str] = "eac_failed"

    def __init__(self, message: str, *, details: Mapping[str, int | str] | None = None) -> None:
        super().__init__(self.stable_code, message, details=details)


class TLVError(EACError):
    """The bytes are not the BER-TLV structure that this step expects."""

    stable_code = "tlv_invalid"


class OIDError(EACError):
    """The bytes are no object identifier, or one that names no protocol known here."""

    stable_code = "oid_invalid"


class APDUError(EACError):
    """The bytes are no APDU, or a value does not fit into one."""

    stable_code = "apdu_invalid"


class PointError(EACError):
    """A point is not on its curve, or a computation leads to infinity."""

    stable_code = "point_invalid"


class KeyMaterialError(EACError):
    """A key, nonce or password does not have the size that the protocol asks for."""

    stable_code = "key_invalid"


class SecurityInfoError(EACError):
    """SecurityInfos do not parse, do not agree, or offer nothing usable."""

    stable_code = "security_info_invalid"


class CardSecurityError(EACError):
    """EF.CardSecurity does not prove what it says."""

    stable_code = "card_security_invalid"


class PACEError(EACError):
    """PACE failed: a message has the wrong form, or a token does not verify (mostly because the password is wrong)."""

    stable_code = "pace_failed"


class SecureMessagingError(EACError):
    """A protected APDU does not verify; the session must end.

    ``status_word`` is what a card answers: 6987 when a data object is missing, 6988 when one is incorrect
    (ISO 7816-4 §5.6).
    """

    stable_code = "secure_messaging_failed"

    def __init__(self, message: str, *, status_word: int = 0x6988) -> None:
        super().__init__(message)
        self.status_word = status_word


class StatusWordError(EACError):
    """The card answered with a status word that ends this step."""

    stable_code = "status_word"

    def __init__(self, message: str, *, status_word: int) -> None:
        super().__init__(message, details={"statusWord": f"{status_word:04X}"})
        self.status_word = status_word
