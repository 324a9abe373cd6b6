"""Bytes to typed values and back: the one place that knows msgspec.

Request bodies are JSON, decoded straight into a frozen dataclass. Records in stores are MessagePack maps: the field
names are stored too, so that a newer version reads an older record as long as new fields have defaults.
"""

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from functools import lru_cache
from time import gmtime, strftime
from typing import Final, Generic, TypeVar

import msgspec

from .errors import UnavailableError

T = TypeVar("T")

encode_json = msgspec.json.Encoder().encode

# The standard library's urlsafe functions do the same by way of four Python calls each.
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
#: What belongs to base64 alone becomes what the decoder refuses.
_FROM_URL: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
#: The last characters by the length modulo 4: their unused bits are zero (RFC 4648 §3.5).
_ENDINGS: Final = (b"", b"", b"AQgw", b"AEIMQUYcgkosw048")


class DecodeError(ValueError):
    """The bytes are not a value of the expected type; the text names the member and quotes none of its content."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """Base of what is kept in stores: immutable, compared by value, and quicker to make and change than a dataclass."""


replace = msgspec.structs.replace


class JsonType(Generic[T]):
    """Decodes JSON into ``kind``, a record or dataclass.

    Unknown members are ignored; wrong types and missing members are refused.
    """

    def __init__(self, kind: type[T]) -> None:
        self._decoder = msgspec.json.Decoder(kind)

    def decode(self, body: bytes) -> T:
        """The value, or :class:`DecodeError`."""
        try:
            return self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DecodeError(str(error)) from None


class RecordType(Generic[T]):
    """Encodes and decodes the records of one type."""

    def __init__(self, kind: type[T]) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(kind)

    def encode(self, record: T) -> bytes:
        """The record as MessagePack."""
        return self._encoder.encode(record)

    def decode(self, value: bytes) -> T:
        """The record, or ``record_unreadable``: it is damaged, or of a newer version before a rollback.

        It says nothing about whoever asks, and a worker of that version can still read it; so it is no answer that
        the record is not there, and nobody deletes it for that.
        """
        try:
            return self._decoder.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # What the decoder says may quote the record.
            raise UnavailableError("record_unreadable", "store: expected a record that this version knows") from None


def b64url(value: bytes) -> str:
    """Base64url without padding (RFC 4648 §5)."""
    return b2a_base64(value, newline=False).translate(_TO_URL, b"=").decode("ascii")


def is_b64url(text: str, size: int) -> bool:
    """Whether ``text`` is the one (canonical) spelling of some ``size`` bytes."""
    return _canonical(size)(text) is not None


def un_b64url(text: str, size: int) -> bytes:
    """Exactly ``size`` bytes from canonical base64url; ``DecodeError`` for any other spelling."""
    if _canonical(size)(text) is None:
        raise DecodeError(f"{size} bytes of base64url")
    return a2b_base64(text.replace("-", "+").replace("_", "/") + "=="[: -len(text) % 4])


def un_b64url_any(text: str) -> bytes:
    """Any number of bytes from canonical base64url without padding; ``DecodeError`` for any other spelling."""
    try:
        encoded = text.encode("ascii").translate(_FROM_URL)
        rest = len(encoded) % 4
        if rest and encoded[-1] not in _ENDINGS[rest]:
            raise ValueError
        return a2b_base64(encoded + b"=="[: -rest % 4], strict_mode=True)
    except ValueError:
        raise DecodeError("canonical base64url") from None


@lru_cache(maxsize=64)
def _canonical(size: int) -> Callable[[str], re.Match[str] | None]:
    """Matches the spellings of ``size`` bytes: of the last character, unused bits are zero (RFC 4648 §3.5)."""
    whole, rest = divmod(size, 3)
    last = ("", "[A-Za-z0-9_-][AQgw]", "[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048]")[rest]
    return re.compile(f"[A-Za-z0-9_-]{{{whole * 4}}}{last}").fullmatch


def timestamp(seconds: float) -> str:
    """Unix seconds as RFC 3339 in UTC with whole seconds."""
    return _timestamp(int(seconds))


@lru_cache(maxsize=1024)  # All who come in one second share its deadlines.
def _timestamp(seconds: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(seconds))
