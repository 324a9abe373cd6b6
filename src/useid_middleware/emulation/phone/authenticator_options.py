"""What a server asks of a browser, read from JSON as ``parseCreationOptionsFromJSON`` and its sibling do.

Members and values of a later specification are ignored, wrong types are refused (WebAuthn Level 3 §5.1.8, §5.1.9).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeVar

from ..._codec import DecodeError, JsonType, encode_json, un_b64url_any
from ...webauthn.core.authenticator_data import MAX_CREDENTIAL_ID
from ...webauthn.core.cose import Algorithm
from ...webauthn.core.extensions import PRFValues
from ...webauthn.core.options import USER_HANDLE_SIZES, Attachment, Conveyance, ResidentKey, User, UserVerification
from .authenticator import MalformedOptions, NotAllowed, NotSupported

T = TypeVar("T")

#: What a server means that names no algorithm (§5.1.3 step 10).
USUAL_ALGORITHMS: Final = (Algorithm.ES256, Algorithm.RS256)
#: Characters of base64url of a challenge; far more than any server sends.
MAX_CHALLENGE: Final = 4096


@dataclass(frozen=True, slots=True)
class CreationOptions:
    """A ``PublicKeyCredentialCreationOptionsJSON`` that was read. ``rp_id`` is empty for that of the page.

    ``attachment`` is empty for either. ``prf_inputs`` are there only if values are wanted besides ``wants_prf``.
    """

    rp_id: str
    user: User
    challenge: bytes
    algorithms: tuple[int, ...]
    exclude: tuple[bytes, ...]
    attachment: Attachment
    is_discoverable: bool
    requires_verification: bool
    wants_attestation: bool
    wants_properties: bool
    wants_prf: bool
    prf_inputs: PRFValues | None


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """A ``PublicKeyCredentialRequestOptionsJSON`` that was read. ``rp_id`` is empty for that of the page."""

    rp_id: str
    challenge: bytes
    allow: tuple[bytes, ...]
    requires_verification: bool
    wants_prf: bool
    prf_inputs: PRFValues | None
    prf_by_credential: Mapping[bytes, PRFValues]

    def prf_for(self, credential_id: bytes) -> PRFValues | None:
        """The inputs for this credential (§10.1.4)."""
        return self.prf_by_credential.get(credential_id, self.prf_inputs)


def read_creation_options(options: Mapping[str, Any]) -> CreationOptions:
    """The options for a new credential, out of decoded JSON.

    Raises ``authenticator_options_malformed`` and ``authenticator_extension_unsupported``.
    """
    wire = _decode(_CREATION, options)
    user_handle = _bytes(wire.user.id, "user.id", MAX_CHALLENGE)
    if len(user_handle) not in USER_HANDLE_SIZES:
        _refuse("user.id: expected 1 to 64 bytes")
    selection, prf = wire.authenticatorSelection, wire.extensions.prf
    if prf is not None and prf.evalByCredential is not None:
        raise NotSupported(
            "authenticator_extension_unsupported", "prf: expected no evalByCredential for a new credential"
        )
    # `requireResidentKey` is what Level 1 had instead; Level 2 kept it for servers that know no better.
    resident_key = selection.residentKey
    if resident_key not in tuple(ResidentKey):
        resident_key = ResidentKey.REQUIRED if selection.requireResidentKey else ResidentKey.DISCOURAGED
    attachment = selection.authenticatorAttachment
    named = tuple(each.alg for each in wire.pubKeyCredParams if each.type == "public-key")
    return CreationOptions(
        rp_id=wire.rp.id,
        user=User(id=user_handle, name=wire.user.name, display_name=wire.user.displayName),
        challenge=_bytes(wire.challenge, "challenge", MAX_CHALLENGE),
        algorithms=named if wire.pubKeyCredParams else USUAL_ALGORITHMS,
        exclude=_ids(wire.excludeCredentials, "excludeCredentials"),
        attachment=Attachment(attachment) if attachment in tuple(Attachment) else Attachment.ANY,
        is_discoverable=resident_key != ResidentKey.DISCOURAGED,
        requires_verification=selection.userVerification == UserVerification.REQUIRED,
        wants_attestation=wire.attestation in (Conveyance.INDIRECT, Conveyance.DIRECT, Conveyance.ENTERPRISE),
        wants_properties=wire.extensions.credProps,
        wants_prf=prf is not None,
        prf_inputs=_inputs(prf.eval) if prf is not None else None,
    )


def read_request_options(options: Mapping[str, Any]) -> RequestOptions:
    """The options for an assertion, out of decoded JSON.

    Raises ``authenticator_options_malformed``, ``authenticator_extension_unsupported``, and
    ``authenticator_no_credential`` where the server allows only what we do not know.
    """
    wire = _decode(_REQUEST, options)
    allow, prf = _ids(wire.allowCredentials, "allowCredentials"), wire.extensions.prf
    if wire.allowCredentials and not allow:
        # A list of which nothing is left must not become the empty one, with which any credential would do.
        raise NotAllowed("authenticator_no_credential", "allowCredentials: expected public keys")
    by_credential: dict[bytes, PRFValues] = {}
    for name, values in ((prf.evalByCredential or {}) if prf is not None else {}).items():
        credential_id, inputs = _bytes(name, "prf.evalByCredential", MAX_CHALLENGE), _inputs(values)
        if not allow:
            raise NotSupported("authenticator_extension_unsupported", "prf: expected allowCredentials as well")
        if credential_id not in allow:
            _refuse("prf.evalByCredential: expected ids of allowed credentials")
        if inputs is not None:
            by_credential[credential_id] = inputs
    return RequestOptions(
        rp_id=wire.rpId,
        challenge=_bytes(wire.challenge, "challenge", MAX_CHALLENGE),
        allow=allow,
        requires_verification=wire.userVerification == UserVerification.REQUIRED,
        wants_prf=prf is not None,
        prf_inputs=_inputs(prf.eval) if prf is not None else None,
        prf_by_credential=by_credential,
    )


@dataclass(frozen=True, slots=True)
class _Party:
    name: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class _User:
    id: str
    name: str
    displayName: str


@dataclass(frozen=True, slots=True)
class _Parameters:
    type: str
    alg: int


@dataclass(frozen=True, slots=True)
class _Descriptor:
    type: str
    id: str


@dataclass(frozen=True, slots=True)
class _Selection:
    authenticatorAttachment: str = ""
    residentKey: str = ""
    requireResidentKey: bool = False
    userVerification: str = ""


@dataclass(frozen=True, slots=True)
class _Values:
    first: str
    second: str | None = None


@dataclass(frozen=True, slots=True)
class _PRF:
    eval: _Values | None = None
    evalByCredential: dict[str, _Values] | None = None


@dataclass(frozen=True, slots=True)
class _Extensions:
    credProps: bool = False
    prf: _PRF | None = None


@dataclass(frozen=True, slots=True)
class _CreationOptions:
    rp: _Party
    user: _User
    challenge: str
    pubKeyCredParams: list[_Parameters]
    excludeCredentials: list[_Descriptor] = field(default_factory=list)
    authenticatorSelection: _Selection = field(default_factory=_Selection)
    attestation: str = ""
    extensions: _Extensions = field(default_factory=_Extensions)


@dataclass(frozen=True, slots=True)
class _RequestOptions:
    challenge: str
    rpId: str = ""
    allowCredentials: list[_Descriptor] = field(default_factory=list)
    userVerification: str = ""
    extensions: _Extensions = field(default_factory=_Extensions)


_CREATION: Final = JsonType(_CreationOptions)
_REQUEST: Final = JsonType(_RequestOptions)


def _decode(kind: JsonType[T], options: Mapping[str, Any]) -> T:
    try:
        return kind.decode(encode_json(options))
    except (DecodeError, UnicodeEncodeError, RecursionError) as error:
        _refuse(str(error) if isinstance(error, DecodeError) else "expected plain JSON")


def _ids(descriptors: Sequence[_Descriptor], name: str) -> tuple[bytes, ...]:
    known = (each.id for each in descriptors if each.type == "public-key")
    return tuple(_bytes(each, f"{name}.id", 2 * MAX_CREDENTIAL_ID) for each in known)


def _inputs(values: _Values | None) -> PRFValues | None:
    if values is None:
        return None
    first = _bytes(values.first, "prf.first", MAX_CHALLENGE)
    return PRFValues(first, _bytes(values.second, "prf.second", MAX_CHALLENGE) if values.second is not None else b"")


def _bytes(text: str, name: str, most: int) -> bytes:
    try:
        value = un_b64url_any(text) if len(text) <= most else b""
    except DecodeError:
        value = b""
    if not value:
        _refuse(f"{name}: expected base64url without padding, not empty, at most {most} characters")
    return value


def _refuse(problem: str) -> NoReturn:
    raise MalformedOptions("authenticator_options_malformed", f"options: {problem}")
