"""EAC in PAOS: what goes in DIDAuthenticate and what comes back (TR-03112-7 §3.6.4).

Certificates, CHATs and data objects are whole and encoded; names of certification authorities are ISO 8859-1.
"""

from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

from .paos_elements import PAOSError, Reading, Writing


@dataclass(frozen=True, slots=True)
class EAC1Input:
    """Who asks and for what: CV certificates, their description, CHATs, questions to the card (data object 67)."""

    type_name: ClassVar[str] = "EAC1InputType"
    certificates: tuple[bytes, ...]
    certificate_description: bytes
    required_chat: bytes | None = None
    optional_chat: bytes | None = None
    auxiliary_data: bytes | None = None
    transaction_info: str = ""
    accepted_eid_types: tuple[str, ...] = ()

    def write(self, to: Writing) -> None:
        to.hexes("Certificate", self.certificates)
        to.hex("CertificateDescription", self.certificate_description)
        to.hex("RequiredCHAT", self.required_chat)
        to.hex("OptionalCHAT", self.optional_chat)
        to.hex("AuthenticatedAuxiliaryData", self.auxiliary_data)
        to.text("TransactionInfo", self.transaction_info or None)
        for each in self.accepted_eid_types:
            to.text("AcceptedEIDType", each)

    @classmethod
    def read(cls, of: Reading) -> "EAC1Input":
        certificates = of.hexes("Certificate")
        if not certificates:
            raise PAOSError(f"{cls.type_name}: expected Certificate")
        return cls(
            certificates=certificates,
            certificate_description=of.hex("CertificateDescription"),
            required_chat=of.optional_hex("RequiredCHAT"),
            optional_chat=of.optional_hex("OptionalCHAT"),
            auxiliary_data=of.optional_hex("AuthenticatedAuxiliaryData"),
            transaction_info=of.optional_text("TransactionInfo"),
            accepted_eid_types=tuple(each.value() for each in of.all("AcceptedEIDType")),
        )


@dataclass(frozen=True, slots=True)
class EAC2Input:
    """The terminal's key for Chip Authentication, uncompressed; without ``signature`` that comes later."""

    type_name: ClassVar[str] = "EAC2InputType"
    certificates: tuple[bytes, ...]
    ephemeral_key: bytes
    signature: bytes | None

    def write(self, to: Writing) -> None:
        to.hexes("Certificate", self.certificates)
        to.hex("EphemeralPublicKey", self.ephemeral_key)
        to.hex("Signature", self.signature)

    @classmethod
    def read(cls, of: Reading) -> "EAC2Input":
        return cls(of.hexes("Certificate"), of.hex("EphemeralPublicKey"), of.optional_hex("Signature"))


@dataclass(frozen=True, slots=True)
class EACAdditionalInput:
    """The terminal's signature, plain."""

    type_name: ClassVar[str] = "EACAdditionalInputType"
    signature: bytes

    def write(self, to: Writing) -> None:
        to.hex("Signature", self.signature)

    @classmethod
    def read(cls, of: Reading) -> "EACAdditionalInput":
        return cls(of.hex("Signature"))


@dataclass(frozen=True, slots=True)
class EAC1Output:
    """The card after PACE: what the user has left of the rights, whom it trusts, its key and its challenge."""

    type_name: ClassVar[str] = "EAC1OutputType"
    chat: bytes | None
    references: tuple[bytes, ...]
    card_access: bytes
    id_picc: bytes
    challenge: bytes

    def write(self, to: Writing) -> None:
        to.hex("CertificateHolderAuthorizationTemplate", self.chat)
        for each in self.references:
            to.text("CertificationAuthorityReference", each.decode("latin-1"))
        to.hex("EFCardAccess", self.card_access)
        to.hex("IDPICC", self.id_picc)
        to.hex("Challenge", self.challenge)

    @classmethod
    def read(cls, of: Reading) -> "EAC1Output":
        return cls(
            chat=of.optional_hex("CertificateHolderAuthorizationTemplate"),
            references=tuple(map(_reference, of.all("CertificationAuthorityReference"))),
            card_access=of.hex("EFCardAccess"),
            id_picc=of.hex("IDPICC"),
            challenge=of.hex("Challenge"),
        )


@dataclass(frozen=True, slots=True)
class EAC2Output:
    """A challenge alone, or the chip's proof: EF.CardSecurity, its token and its nonce."""

    type_name: ClassVar[str] = "EAC2OutputType"
    challenge: bytes | None = None
    card_security: bytes | None = None
    token: bytes | None = None
    nonce: bytes | None = None

    def write(self, to: Writing) -> None:
        to.hex("EFCardSecurity", self.card_security)
        to.hex("AuthenticationToken", self.token)
        to.hex("Nonce", self.nonce)
        to.hex("Challenge", self.challenge)

    @classmethod
    def read(cls, of: Reading) -> "EAC2Output":
        return cls(
            challenge=of.optional_hex("Challenge"),
            card_security=of.optional_hex("EFCardSecurity"),
            token=of.optional_hex("AuthenticationToken"),
            nonce=of.optional_hex("Nonce"),
        )


Input: TypeAlias = EAC1Input | EAC2Input | EACAdditionalInput
Output: TypeAlias = EAC1Output | EAC2Output

#: EAC as an authentication protocol.
PROTOCOL: Final = "urn:oid:1.3.162.15480.3.0.14.2"
_INPUTS: Final[dict[str, type[Input]]] = {each.type_name: each for each in (EAC1Input, EAC2Input, EACAdditionalInput)}
_OUTPUTS: Final[dict[str, type[Output]]] = {each.type_name: each for each in (EAC1Output, EAC2Output)}


def write_data(to: Writing, data: Input | Output) -> None:
    """AuthenticationProtocolData of EAC."""
    data.write(to.inside("AuthenticationProtocolData", type_name=f"iso:{data.type_name}", Protocol=PROTOCOL))


def read_input(of: Reading) -> Input:
    """What a server asks for in AuthenticationProtocolData."""
    kind = _INPUTS.get(_check_protocol(of).type_name)
    if kind is None:
        raise PAOSError(f"{of.name}: expected a type of {', '.join(_INPUTS)}")
    return kind.read(of)


def read_output(of: Reading) -> Output:
    """What a client answers in AuthenticationProtocolData."""
    kind = _OUTPUTS.get(_check_protocol(of).type_name)
    if kind is None:
        raise PAOSError(f"{of.name}: expected a type of {', '.join(_OUTPUTS)}")
    return kind.read(of)


def _check_protocol(data: Reading) -> Reading:
    if data.attribute("Protocol") != PROTOCOL:
        raise PAOSError(f"{data.name}: expected the Protocol {PROTOCOL}")
    return data


def _reference(item: Reading) -> bytes:
    try:
        return item.value().encode("latin-1")
    except UnicodeEncodeError:
        raise PAOSError(f"{item.name}: expected a name in ISO 8859-1") from None
