"""The phone's part in a bound login: its end is sealed for the widget, and a passkey of this phone gives it out there.

Each step takes only what the one before it made::

    link --check_binding--> Binding --seal--> SealedEnd --read_account--> Account --make_passkey--> MadePasskey

Pure: what is kept must be kept before it is sent.
"""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from ..._codec import DecodeError, JsonType, b64url, un_b64url
from ...errors import RequestError
from ...qr.core.link import Link
from ...webauthn.core.sealing import seal_refresh_url
from .answers import invalid_answer, read_answer
from .authenticator import Gesture, Sources
from .authenticator_client import Page, create_credential
from .authenticator_options import read_creation_options

#: Characters of a refresh address; sealed, it is still far below what the server takes.
MAX_REFRESH_URL: Final = 2048
USER_ID_SIZE: Final = 32
#: What this phone attests with.
ATTESTATION_FORMATS: Final = ("packed",)
#: Passkeys of one website that it does not find by itself. A login's passkey is of no use when the login is over, which
#: only the server knows: so the oldest make room.
MOST_KEPT: Final = 32


@dataclass(frozen=True, slots=True)
class Binding:
    """A bound login that this phone can do its part in. ``page`` is the server's, for which the passkey will be."""

    server: str
    session_id: str
    widget_key: bytes
    page: Page


@dataclass(frozen=True, slots=True)
class SealedEnd:
    """Where an approved login ends, for the widget's eyes alone."""

    binding: Binding
    sealed_refresh_url: str


@dataclass(frozen=True, slots=True)
class Account:
    """The temporary account of a login, and what the server wants its passkey to be."""

    binding: Binding
    user_id: str
    rp_id: str
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class MadePasskey:
    """A passkey that was made for an account; ``credential`` is a ``RegistrationResponseJSON``."""

    account: Account
    credential_id: bytes
    credential: dict[str, Any]


def check_binding(link: Link) -> Binding:
    """What a login link must have for a bound login, before anybody is asked.

    ``widget_key_missing``, ``widget_key_invalid`` for a key to which nothing can be sealed, and
    ``authenticator_origin_refused`` for a server that no passkey can be made for.
    """
    if not link.widget_key:
        raise RequestError("widget_key_missing", "link: expected the widget's key behind it; the login must be bound")
    parts = urlsplit(link.server)
    page = Page(f"{parts.scheme}://{parts.netloc}")
    page.check_rp_id("")
    binding = Binding(link.server, b64url(link.id), link.widget_key, page)
    # Whether a key is one shows when something is sealed to it.
    seal_refresh_url("", public_key=binding.widget_key, session_id=binding.session_id)
    return binding


def seal(binding: Binding, refresh_url: str) -> SealedEnd:
    """The end of the login, sealed; ``answer_invalid`` if it is not at the server's own origin."""
    is_plain = refresh_url.isascii() and refresh_url.isprintable() and not set(refresh_url) & set(" \\")
    if not (is_plain and len(refresh_url) <= MAX_REFRESH_URL and refresh_url.startswith(f"{binding.page.origin}/")):
        raise invalid_answer("refreshUrl: expected an address at the server's own origin")
    sealed = seal_refresh_url(refresh_url, public_key=binding.widget_key, session_id=binding.session_id)
    return SealedEnd(binding, sealed)


def account_body(end: SealedEnd) -> dict[str, Any]:
    """The body of ``POST /webauthn/accounts``."""
    return {
        "widgetSessionId": end.binding.session_id,
        "sealedRefreshUrl": end.sealed_refresh_url,
        "attestationFormats": ATTESTATION_FORMATS,
    }


def read_account(end: SealedEnd, answer: bytes) -> Account:
    """The account, from the answer. Options that no browser would take are refused here, before the user is asked."""
    wire = read_answer(_ACCOUNT, answer)
    try:
        user_id = un_b64url(wire.userId, USER_ID_SIZE)
    except DecodeError as error:
        raise invalid_answer(f"userId: expected {error}") from None
    wanted = read_creation_options(wire.options)
    if wanted.user.id != user_id:
        raise invalid_answer("options: expected the account's own id")
    return Account(end.binding, wire.userId, end.binding.page.check_rp_id(wanted.rp_id), wire.options)


def make_passkey(
    account: Account, *, sources: Sources, gesture: Gesture, secret: bytes, now: float
) -> tuple[Sources, MadePasskey]:
    """The passkeys to keep, and the new one. ``secret`` are 32 random bytes that are used once."""
    kept, credential = create_credential(
        account.options, page=account.binding.page, sources=sources, gesture=gesture, secret=secret, now=now
    )
    held_for_logins = [source.id for source in kept if source.rp_id == account.rp_id and not source.is_discoverable]
    outdated = frozenset(held_for_logins[:-MOST_KEPT])
    remaining = tuple(source for source in kept if source.id not in outdated)
    return remaining, MadePasskey(account, kept[-1].id, credential)


def credential_body(made: MadePasskey) -> dict[str, Any]:
    """The body of ``PUT /webauthn/accounts/{userId}``."""
    return {"credential": made.credential}


@dataclass(frozen=True, slots=True)
class _Account:
    userId: str
    options: dict[str, Any]


_ACCOUNT: Final = JsonType(_Account)
