"""Extensions: what is asked for, and whether the answer is one to it (WebAuthn Level 3 §9, §10; CTAP 2.1 §12).

Browsers and authenticators may leave out what was asked for and add what was not (§7.1 step 28). So an absent answer is
none, and an unasked one is ignored, except where it would change what else is believed or hand out what nobody wanted:
``appid``, ``appidExclude``, results of ``prf``, contents of ``largeBlob``. What we know must have its type in any case.
"""

from collections.abc import Mapping
from enum import IntEnum
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final

from ..._codec import Record, b64url, un_b64url_any
from .errors import CeremonyError

PRF_OUTPUT: Final = 32
_PRF_CONTEXT: Final = b"WebAuthn PRF\0"
#: One or two outputs of 32 bytes, encrypted as PIN protocol one or two does (CTAP 2.1 §6.5.6, §6.5.7).
_SECRET_SIZES: Final = (32, 64, 48, 80)
_PIN_LENGTHS: Final = range(4, 64)


class CredentialProtection(IntEnum):
    """``credProtect`` (CTAP 2.1 §12.1); zero stands for not asked, and not told."""

    NONE = 0
    USER_VERIFICATION_OPTIONAL = 1
    USER_VERIFICATION_OPTIONAL_WITH_CREDENTIAL_ID_LIST = 2
    USER_VERIFICATION_REQUIRED = 3

    @property
    def policy(self) -> str:
        """Its name in ``credentialProtectionPolicy``."""
        return {1: "userVerificationOptional", 2: "userVerificationOptionalWithCredentialIDList"}.get(
            self, "userVerificationRequired"
        )


class PRFValues(Record, frozen=True):
    """One or two inputs, or the outputs for them (§10.1.4). ``second`` is empty where there is none."""

    first: bytes
    second: bytes = b""

    def to_json(self) -> dict[str, str]:
        """As ``AuthenticationExtensionsPRFValuesJSON``."""
        return {"first": b64url(self.first)} | ({"second": b64url(self.second)} if self.second else {})


class RegistrationExtensions(Record, frozen=True):
    """What a registration asks for. ``prf`` asks whether there is one, ``prf_inputs`` for its values as well."""

    cred_props: bool = False
    prf: bool = False
    prf_inputs: PRFValues | None = None
    cred_protect: CredentialProtection = CredentialProtection.NONE
    enforces_cred_protect: bool = False
    min_pin_length: bool = False
    #: ``required``, ``preferred``, or empty.
    large_blob: str = ""
    app_id_exclude: str = ""

    def to_json(self) -> dict[str, Any]:
        """The client extension inputs."""
        inputs: dict[str, Any] = {}
        if self.cred_props:
            inputs["credProps"] = True
        if self.prf or self.prf_inputs is not None:
            inputs["prf"] = {"eval": self.prf_inputs.to_json()} if self.prf_inputs is not None else {}
        if self.cred_protect:
            inputs["credentialProtectionPolicy"] = self.cred_protect.policy
            inputs["enforceCredentialProtectionPolicy"] = self.enforces_cred_protect
        if self.min_pin_length:
            inputs["minPinLength"] = True
        if self.large_blob:
            inputs["largeBlob"] = {"support": self.large_blob}
        if self.app_id_exclude:
            inputs["appidExclude"] = self.app_id_exclude
        return inputs


class AuthenticationExtensions(Record, frozen=True):
    """What an authentication asks for. ``prf_by_credential`` are inputs for single credentials, by their ids."""

    prf_inputs: PRFValues | None = None
    prf_by_credential: tuple[tuple[bytes, PRFValues], ...] = ()
    large_blob_read: bool = False
    large_blob_write: bytes = b""
    app_id: str = ""

    def to_json(self) -> dict[str, Any]:
        """The client extension inputs."""
        inputs: dict[str, Any] = {}
        if self.prf_inputs is not None:
            inputs["prf"] = {"eval": self.prf_inputs.to_json()}
        if self.prf_by_credential:
            by_credential = {b64url(name): values.to_json() for name, values in self.prf_by_credential}
            inputs["prf"] = inputs.get("prf", {}) | {"evalByCredential": by_credential}
        if self.large_blob_read:
            inputs["largeBlob"] = {"read": True}
        if self.large_blob_write:
            inputs["largeBlob"] = {"write": b64url(self.large_blob_write)}
        if self.app_id:
            inputs["appid"] = self.app_id
        return inputs

    def prf_for(self, credential_id: bytes) -> PRFValues | None:
        """The inputs that the browser takes for this credential."""
        return dict(self.prf_by_credential).get(credential_id, self.prf_inputs)


class RegistrationOutputs(Record, frozen=True):
    """What came of a registration's extensions; ``None`` and zero are for not told."""

    is_discoverable: bool | None = None
    prf_enabled: bool | None = None
    prf_results: PRFValues | None = None
    cred_protect: CredentialProtection = CredentialProtection.NONE
    min_pin_length: int | None = None
    large_blob_supported: bool | None = None


class AuthenticationOutputs(Record, frozen=True):
    """What came of an authentication's extensions; ``None`` is for not told."""

    prf_results: PRFValues | None = None
    large_blob: bytes | None = None
    large_blob_written: bool | None = None
    app_id_used: bool = False


_NOTHING_TOLD: Final = AuthenticationOutputs()


def prf_salt(value: bytes) -> bytes:
    """What a browser makes of a PRF input, before the authenticator gets it as a salt of ``hmac-secret`` (§10.1.4)."""
    return sha256(_PRF_CONTEXT + value).digest()


def check_registration_outputs(
    requested: RegistrationExtensions, *, client: Mapping[str, Any], authenticator: Mapping[str, Any]
) -> RegistrationOutputs:
    """The outputs, once they answer what was requested (§7.1 step 28).

    Raises ``webauthn_extension_malformed``, ``webauthn_extension_unsolicited``, and
    ``webauthn_cred_protect_missing`` where the protection was to be enforced.
    """
    if _flag(client, "appidExclude") is not None and not requested.app_id_exclude:
        raise _unsolicited("appidExclude")
    prf = _object(client, "prf")
    enabled = _flag(prf, "enabled", name="prf.enabled") if prf is not None else None
    if prf is not None and enabled is None:
        raise _malformed("prf.enabled", "a boolean")
    _flag(authenticator, "hmac-secret")
    protection = _protection(authenticator.get("credProtect"))
    if requested.enforces_cred_protect and protection < requested.cred_protect:
        raise CeremonyError("webauthn_cred_protect_missing", "credProtect: expected at least the protection asked for")
    pin_length = authenticator.get("minPinLength")
    if pin_length is not None and (type(pin_length) is not int or pin_length not in _PIN_LENGTHS):
        raise _malformed("minPinLength", "a number of 4 to 63")
    blob = _object(client, "largeBlob")
    if blob is not None and ("blob" in blob or "written" in blob):
        raise _unsolicited("largeBlob")
    properties = _object(client, "credProps")
    return RegistrationOutputs(
        is_discoverable=_flag(properties, "rk", name="credProps.rk") if properties is not None else None,
        prf_enabled=enabled,
        prf_results=_prf_results(prf, requested.prf_inputs),
        cred_protect=protection,
        min_pin_length=pin_length if requested.min_pin_length else None,
        large_blob_supported=_flag(blob, "supported", name="largeBlob.supported") if blob is not None else None,
    )


def check_authentication_outputs(
    requested: AuthenticationExtensions,
    *,
    credential_id: bytes,
    client: Mapping[str, Any],
    authenticator: Mapping[str, Any],
) -> AuthenticationOutputs:
    """The outputs, once they answer what was requested (§7.2 step 23).

    Raises ``webauthn_extension_malformed``, ``webauthn_extension_unsolicited``.
    """
    if not client and not authenticator:
        return _NOTHING_TOLD  # As most do: there is nothing to check, since all that was requested may be left out.
    app_id_used = bool(_flag(client, "appid"))
    if app_id_used and not requested.app_id:
        raise _unsolicited("appid")
    prf = _object(client, "prf")
    if prf is not None and "enabled" in prf:
        raise _unsolicited("prf.enabled")
    secret = authenticator.get("hmac-secret")
    if secret is not None and (not isinstance(secret, bytes) or len(secret) not in _SECRET_SIZES):
        raise _malformed("hmac-secret", "one or two encrypted outputs")
    blob = _object(client, "largeBlob")
    content, written = None, None
    if blob is not None:
        if ("blob" in blob and not requested.large_blob_read) or ("written" in blob and not requested.large_blob_write):
            raise _unsolicited("largeBlob")
        content = _bytes(blob["blob"], "largeBlob.blob") if "blob" in blob else None
        written = _flag(blob, "written", name="largeBlob.written")
    return AuthenticationOutputs(
        prf_results=_prf_results(prf, requested.prf_for(credential_id)),
        large_blob=content,
        large_blob_written=written,
        app_id_used=app_id_used,
    )


def _prf_results(prf: Mapping[str, Any] | None, inputs: PRFValues | None) -> PRFValues | None:
    """Outputs for the inputs, one for one; the same input gives the same output (§10.1.4)."""
    results = _object(prf, "results", name="prf.results") if prf is not None else None
    if results is None:
        return None
    if inputs is None:
        raise _unsolicited("prf.results")
    first = _bytes(results.get("first"), "prf.results.first")
    second = _bytes(results["second"], "prf.results.second") if "second" in results else b""
    if len(first) != PRF_OUTPUT or len(second) != (PRF_OUTPUT if inputs.second else 0):
        raise _malformed("prf.results", "one output of 32 bytes for each input")
    if inputs.first == inputs.second and not compare_digest(first, second):
        raise _malformed("prf.results", "equal outputs for equal inputs")
    return PRFValues(first, second)


def _protection(value: object) -> CredentialProtection:
    if value is None:
        return CredentialProtection.NONE
    if type(value) is not int or not 1 <= value <= 3:
        raise _malformed("credProtect", "a number of 1 to 3")
    return CredentialProtection(value)


def _object(members: Mapping[str, Any], member: str, *, name: str = "") -> Mapping[str, Any] | None:
    value = members.get(member)
    if value is not None and not isinstance(value, dict):
        raise _malformed(name or member, "an object")
    return value


def _flag(members: Mapping[str, Any], member: str, *, name: str = "") -> bool | None:
    value = members.get(member)
    if not isinstance(value, bool | None):
        raise _malformed(name or member, "a boolean")
    return value


def _bytes(value: object, name: str) -> bytes:
    try:
        if isinstance(value, str):
            return un_b64url_any(value)
    except ValueError:
        pass
    raise _malformed(name, "base64url")


def _malformed(name: str, expected: str) -> CeremonyError:
    return CeremonyError("webauthn_extension_malformed", f"extension {name}: expected {expected}")


def _unsolicited(name: str) -> CeremonyError:
    return CeremonyError("webauthn_extension_unsolicited", f"extension {name}: expected none, since nobody asked")
