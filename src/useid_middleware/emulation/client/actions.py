"""What the eID client's flow asks its driver for, and what comes back: the network, the card, the person.

A driver answers each action with the type that its docstring names. It throws :class:`Unreachable` into the flow where
the network fails, and lets through what a card raises.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeAlias, TypeVar

from ...eac.keys import PasswordId
from ...errors import UseIDError

T = TypeVar("T")


class Unreachable(UseIDError):
    """A server cannot be reached, does not answer in time or in bounds, or there is no TLS with it."""

    status_hint = 502

    def __init__(self, message: str) -> None:
        super().__init__("server_unreachable", message)


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer over HTTP, redirects not followed. ``tls_certificate`` is the server's in DER, ``None`` without TLS."""

    url: str
    status: int
    content_type: str = ""
    location: str = ""
    body: bytes = field(default=b"", repr=False)
    tls_certificate: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Fetch:
    """GET. The answer is :class:`Fetched`."""

    url: str


@dataclass(frozen=True, slots=True)
class Post:
    """POST. The answer is :class:`Fetched`."""

    url: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Put:
    """PUT. The answer is :class:`Fetched`."""

    url: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Connect:
    """A connection without a request. The answer is the server's TLS certificate in DER, ``None`` without TLS."""

    url: str


@dataclass(frozen=True, slots=True)
class Transmit:
    """A command for the card. The answer is the card's, as bytes."""

    apdu: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authentication:
    """Who asks the person and for what. Rights are named as in ``eac.chat``.

    ``terms_of_usage`` is empty if they are no text. ``born_by`` and ``age`` say the same: the latest day of birth, and
    the years completed today. ``community_id`` is hexadecimal digits, the beginning of a number.

    Answered with the optional rights that the person grants, as a frozenset; ``None`` cancels.
    """

    subject_name: str
    subject_url: str
    issuer_name: str
    issuer_url: str
    terms_of_usage: str
    valid_from: date
    valid_to: date
    required: tuple[str, ...]
    optional: tuple[str, ...]
    born_by: date | None = None
    age: int | None = None
    community_id: str = ""
    transaction_info: str = ""


@dataclass(frozen=True, slots=True)
class PasswordRequest:
    """A password that the card wants. ``tries_left`` is ``None`` where the card does not count.

    Answered with its digits; ``None`` or nothing cancels.
    """

    password: PasswordId
    digits: int
    tries_left: int | None = None
    #: Whether the one before was wrong.
    is_repeated: bool = False


@dataclass(frozen=True, slots=True)
class CreateCredential:
    """A passkey that a server wants this device to make, once its owner has agreed and proved to be the owner.

    ``options`` is a ``PublicKeyCredentialCreationOptionsJSON``, ``origin`` the server's; ``rp_id`` and ``account`` are
    out of the options, for the person to see.

    Answered with a ``RegistrationResponseJSON`` when the passkey is kept; ``None`` cancels.
    """

    options: Mapping[str, Any] = field(repr=False)
    origin: str
    rp_id: str
    account: str


Action: TypeAlias = Fetch | Post | Put | Connect | Transmit | Authentication | PasswordRequest | CreateCredential

#: A part of the flow, which returns what it learned.
Flow: TypeAlias = Generator[Action, Any, T]
