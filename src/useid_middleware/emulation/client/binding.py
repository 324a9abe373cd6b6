"""The end of a bound login: the refresh address goes sealed to the WebAuthn server, and a passkey to the browser.

The flow page "Magnus with WebAuthn" has the steps. The eService says in its tcToken which server that is and which keys
its TLS certificate may have; the link, which anybody may have made, has no word in it. What is sent is sealed for the
widget, so that a server that turns out to be another one has learned nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm

from ..._codec import DecodeError, JsonType, b64url, encode_json, is_b64url
from ...eid.core.link import Widget
from ...eid.core.results import ClientMinor
from ...eid.core.tctoken import WebAuthnServer, domain_of
from ...http.pins import pin_of
from ...webauthn.core.sealing import seal_refresh_url
from ..phone.authenticator_client import Page
from ..phone.authenticator_options import read_creation_options
from .actions import Connect, CreateCredential, Fetched, Flow, Post, Put
from .addresses import check_address
from .failure import Failure, cancelled

#: What the passkeys of this client can be vouched for with (WebAuthn Level 3 §8).
ATTESTATION_FORMATS: Final = ("packed", "none")
_USER_ID_SIZE: Final = 32
_JSON: Final = {"content-type": "application/json"}
_CREATED: Final = 201
_NO_CONTENT: Final = 204
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}").fullmatch


@dataclass(frozen=True, slots=True)
class VouchedServer:
    """A WebAuthn server that the eService vouches for; only :func:`check_vouched` makes one.

    ``address`` is that of its calls, without a slash at the end.
    """

    address: str
    origin: str
    key_hashes: tuple[bytes, ...]

    def check_certificate(self, der: bytes | None) -> None:
        """``was_refused`` unless this TLS certificate has one of the keys; ``None`` stands for no TLS."""
        if der is None:
            if self.origin.startswith("https:") or self.key_hashes:
                raise _refused("WebAuthn server: expected TLS")
            return
        try:
            pin = pin_of(der)
        except (ValueError, UnsupportedAlgorithm):
            raise _refused("WebAuthn server: expected a TLS certificate that can be read") from None
        if pin not in self.key_hashes:
            raise _refused("WebAuthn server: expected a TLS certificate with a key that the eService vouches for")

    def check_answer(self, answer: Fetched, *, expected_status: int) -> bytes:
        """The answer's body; ``was_refused`` if another server gave it, ``account_refused`` for another status."""
        self.check_certificate(answer.tls_certificate)
        if answer.status != expected_status:
            raise Failure(
                "account_refused",
                f"WebAuthn server: expected status {expected_status}, found {answer.status}{_reason(answer.body)}",
                minor=ClientMinor.COMMUNICATION_ERROR,
            )
        return answer.body


def check_vouched(server: WebAuthnServer | None, *, address: str, allow_loopback_http: bool) -> VouchedServer:
    """The server of the link, if it is the one in the tcToken; ``was_unknown``, or ``address_refused``."""
    check_address(address, allow_loopback_http=allow_loopback_http)
    domain = domain_of(address)
    if server is None or server.domain != domain:
        raise Failure(
            "was_unknown",
            "WebAuthn server: the eService does not vouch for it",
            minor=ClientMinor.TRUSTED_CHANNEL_FAILED,
        )
    return VouchedServer(address.rstrip("/"), f"{address.partition(':')[0].lower()}://{domain}", server.key_hashes)


def bind(refresh_url: str, widget: Widget, server: WebAuthnServer | None, *, allow_loopback_http: bool) -> Flow[None]:
    """Seal the address for the widget, create the temporary account with it, and make the account's passkey.

    Afterwards the server asks the browser for a signature by this passkey, and only then gives it what is sealed.
    ``Failure``, ``RequestError`` of the authenticator, or whatever the network raises.
    """
    vouched = check_vouched(server, address=widget.server, allow_loopback_http=allow_loopback_http)
    vouched.check_certificate((yield Connect(vouched.address)))
    sealed = seal_refresh_url(refresh_url, public_key=widget.public_key, session_id=widget.session_id)
    accounts = f"{vouched.address}/webauthn/accounts"
    body = {
        "widgetSessionId": widget.session_id,
        "sealedRefreshUrl": sealed,
        "attestationFormats": ATTESTATION_FORMATS,
    }
    answer: Fetched = yield Post(accounts, _JSON, encode_json(body))
    account = _read_account(vouched.check_answer(answer, expected_status=_CREATED))
    credential: Mapping[str, Any] | None = yield _passkey_of(account, origin=vouched.origin)
    if credential is None:
        raise cancelled()
    answer = yield Put(f"{accounts}/{account.userId}", _JSON, encode_json({"credential": credential}))
    vouched.check_answer(answer, expected_status=_NO_CONTENT)


@dataclass(frozen=True, slots=True)
class _Account:
    userId: str
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Refusal:
    code: str = ""


_ACCOUNT: Final = JsonType(_Account)
_REFUSAL: Final = JsonType(_Refusal)


def _read_account(body: bytes) -> _Account:
    try:
        account = _ACCOUNT.decode(body)
    except DecodeError:
        raise _invalid("expected userId and options") from None
    # It becomes a part of an address.
    if not is_b64url(account.userId, _USER_ID_SIZE):
        raise _invalid("userId: expected 43 characters of base64url")
    return account


def _passkey_of(account: _Account, *, origin: str) -> CreateCredential:
    """What the person is asked for, checked before they are."""
    wanted = read_creation_options(account.options)
    if b64url(wanted.user.id) != account.userId:
        raise _invalid("options: expected a passkey of this account")
    rp_id = Page(origin).check_rp_id(wanted.rp_id)
    return CreateCredential(account.options, origin=origin, rp_id=rp_id, account=wanted.user.name)


def _reason(body: bytes) -> str:
    """The server's own code for a refusal, if it says one."""
    try:
        code = _REFUSAL.decode(body).code
    except DecodeError:
        return ""
    return f" ({code})" if _CODE(code) else ""


def _refused(message: str) -> Failure:
    return Failure("was_refused", message, minor=ClientMinor.TRUSTED_CHANNEL_FAILED)


def _invalid(problem: str) -> Failure:
    return Failure("answer_invalid", f"WebAuthn server: {problem}", minor=ClientMinor.COMMUNICATION_ERROR)
