"""The browser's part around the phone's authenticator: from options as JSON to ``PublicKeyCredential.toJSON()``.

It says who asks (the client data, WebAuthn Level 3 §5.8.1) and sees to it that a page asks for its own rp id only.
Pure: both ceremonies return the credentials as they are to be kept, which must happen before anything is sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from fido2.rpid import verify_rp_id

from ..._codec import b64url, encode_json
from ...webauthn.core.client_data import CeremonyType
from ...webauthn.core.extensions import PRFValues, prf_salt
from ...webauthn.core.options import Attachment
from .authenticator import (
    CredentialSource,
    Gesture,
    NotAllowed,
    SecurityRefused,
    Sources,
    find_credentials,
    get_assertion,
    keep,
    make_credential,
)
from .authenticator_options import RequestOptions, read_creation_options, read_request_options

#: How this phone is reached: by other devices over the hybrid transport, by its own pages from inside (§5.8.4).
TRANSPORTS: Final = ("hybrid", "internal")


@dataclass(frozen=True, slots=True)
class Page:
    """The page that asks. ``top_origin`` is that of the page that frames it, if another one does."""

    origin: str
    top_origin: str = ""

    def check_rp_id(self, rp_id: str) -> str:
        """The rp id, which is the page's host if none is given (§5.1.3 step 8, §5.1.4.1 step 7).

        Raises ``authenticator_origin_refused`` for what is no secure origin with a domain, and
        ``authenticator_rp_id_refused`` for an rp id that is not this page's.
        """
        host = _host(self.origin)
        if not verify_rp_id(host, self.origin):
            raise SecurityRefused(
                "authenticator_origin_refused", "origin: expected that of a page over https, or of localhost"
            )
        if rp_id and not verify_rp_id(rp_id, self.origin):
            raise SecurityRefused(
                "authenticator_rp_id_refused",
                "rp id: expected the page's host, or a domain above it that is somebody's",
            )
        return rp_id or host

    def client_data(self, ceremony: CeremonyType, challenge: bytes) -> bytes:
        """The client data in their one serialisation (§5.8.1.1)."""
        is_framed = self.top_origin not in ("", self.origin)
        members: dict[str, str | bool] = {
            "type": ceremony.value,
            "challenge": b64url(challenge),
            "origin": self.origin,
            "crossOrigin": is_framed,
        }
        if is_framed:
            members["topOrigin"] = self.top_origin
        return encode_json(members)


def create_credential(
    options: Mapping[str, Any],
    *,
    page: Page,
    sources: Sources,
    gesture: Gesture,
    secret: bytes,
    now: float,
    attachment: Attachment = Attachment.PLATFORM,
) -> tuple[Sources, dict[str, Any]]:
    """The credentials to keep, and a ``RegistrationResponseJSON`` (§5.1.3).

    ``options`` is a ``PublicKeyCredentialCreationOptionsJSON``; ``secret`` are 32 random bytes that are used once,
    ``now`` is in Unix seconds. ``attachment`` says where the page is: on this phone, or on another device. Raises what
    :func:`.read_creation_options`, :meth:`Page.check_rp_id` and :func:`.make_credential` do, and
    ``authenticator_attachment_refused``.
    """
    wanted = read_creation_options(options)
    rp_id = page.check_rp_id(wanted.rp_id)
    if wanted.attachment not in (Attachment.ANY, attachment):
        raise NotAllowed(
            "authenticator_attachment_refused", f"authenticatorAttachment: this phone is {attachment} here"
        )
    client_data = page.client_data(CeremonyType.CREATE, wanted.challenge)
    made = make_credential(
        sources,
        rp_id=rp_id,
        user=wanted.user,
        client_data_hash=sha256(client_data).digest(),
        algorithms=wanted.algorithms,
        exclude=wanted.exclude,
        is_discoverable=wanted.is_discoverable,
        requires_verification=wanted.requires_verification or wanted.prf_inputs is not None,
        attests=wanted.wants_attestation,
        with_prf=wanted.wants_prf,
        gesture=gesture,
        secret=secret,
        now=now,
    )
    results: dict[str, Any] = {}
    if wanted.wants_properties:
        results["credProps"] = {"rk": wanted.is_discoverable}
    if wanted.wants_prf:
        results["prf"] = {"enabled": True, **_prf_results(made.source.hmac_secrets(_salts(wanted.prf_inputs)))}
    response = {
        "clientDataJSON": b64url(client_data),
        "authenticatorData": b64url(made.authenticator_data),
        "transports": list(TRANSPORTS),
        "publicKey": b64url(made.source.public_key),
        "publicKeyAlgorithm": made.source.algorithm,
        "attestationObject": b64url(made.attestation_object),
    }
    return keep(sources, made.source), _credential(made.source, attachment, response, results)


def get_credential(
    options: Mapping[str, Any],
    *,
    page: Page,
    sources: Sources,
    gesture: Gesture,
    user_name: str | None = None,
    attachment: Attachment = Attachment.PLATFORM,
) -> tuple[Sources, dict[str, Any]]:
    """The credentials to keep, and an ``AuthenticationResponseJSON`` (§5.1.4.1).

    ``options`` is a ``PublicKeyCredentialRequestOptionsJSON``; ``user_name`` picks an account where this phone holds
    several. Raises what :func:`.read_request_options`, :meth:`Page.check_rp_id` and :func:`.get_assertion` do,
    ``authenticator_no_credential`` and ``authenticator_account_ambiguous``.
    """
    wanted = read_request_options(options)
    source = _find(wanted, page, sources, user_name)
    client_data = page.client_data(CeremonyType.GET, wanted.challenge)
    assertion = get_assertion(
        source,
        client_data_hash=sha256(client_data).digest(),
        requires_verification=wanted.requires_verification,
        salts=_salts(wanted.prf_for(source.id)),
        gesture=gesture,
    )
    response = {
        "clientDataJSON": b64url(client_data),
        "authenticatorData": b64url(assertion.authenticator_data),
        "signature": b64url(assertion.signature),
    }
    if assertion.user_handle:
        response["userHandle"] = b64url(assertion.user_handle)
    results = {"prf": _prf_results(assertion.secrets)} if wanted.wants_prf else {}
    return keep(sources, assertion.source), _credential(source, attachment, response, results)


def find_credential(
    options: Mapping[str, Any], *, page: Page, sources: Sources, user_name: str | None = None
) -> CredentialSource:
    """The credential that :func:`get_credential` signs with, for the user to see before. Raises what it does."""
    return _find(read_request_options(options), page, sources, user_name)


def _find(wanted: RequestOptions, page: Page, sources: Sources, user_name: str | None) -> CredentialSource:
    """The newest credential of the one account that fits."""
    found = find_credentials(sources, rp_id=page.check_rp_id(wanted.rp_id), allow=wanted.allow)
    if user_name is not None:
        found = tuple(source for source in found if source.user_name == user_name)
    if not found:
        raise NotAllowed("authenticator_no_credential", "this phone holds no credential that would do")
    if len({source.user_handle for source in found}) > 1:
        raise NotAllowed("authenticator_account_ambiguous", "credentials of several accounts would do; choose one")
    return found[0]


def _credential(
    source: CredentialSource, attachment: Attachment, response: Mapping[str, Any], results: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "id": b64url(source.id),
        "rawId": b64url(source.id),
        "type": "public-key",
        "authenticatorAttachment": attachment.value,
        "response": response,
        "clientExtensionResults": results,
    }


def _salts(inputs: PRFValues | None) -> tuple[bytes, ...]:
    if inputs is None:
        return ()
    return (prf_salt(inputs.first), *((prf_salt(inputs.second),) if inputs.second else ()))


def _prf_results(secrets: tuple[bytes, ...]) -> dict[str, Any]:
    return {"results": PRFValues(*secrets).to_json()} if secrets else {}


def _host(origin: str) -> str:
    """The host of an origin in its one spelling; empty for anything else, and for an IP address."""
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    written = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
    try:
        ip_address(host)
    except ValueError:
        return host if written == origin else ""
    return ""
