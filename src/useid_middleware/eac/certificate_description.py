"""The certificate description: who the eService is, in words for people, and its TLS certificates (TR-03110-3 C.3.1).

::

    CertificateDescription ::= SEQUENCE {
      descriptionType OBJECT IDENTIFIER, issuerName [1] UTF8String, issuerURL [2] PrintableString OPTIONAL,
      subjectName [3] UTF8String, subjectURL [4] PrintableString OPTIONAL, termsOfUsage [5] ANY,
      redirectURL [6] PrintableString OPTIONAL, commCertificates [7] SET OF OCTET STRING OPTIONAL }

All tags are explicit. Its SHA-256 stands in the terminal certificate, and so it is as trustworthy as that one.
"""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from .authentication_errors import CertificateDescriptionError
from .cvc import Certificate, Extension
from .errors import EACError
from .oids import OID, decode_oid, encode_oid
from .tlv import TLV, build, find, parse

_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_OBJECT_IDENTIFIER: Final = 0x06
_OCTET_STRING: Final = 0x04
_UTF8_STRING: Final = 0x0C
_PRINTABLE_STRING: Final = 0x13
_IA5_STRING: Final = 0x16

_ISSUER_NAME: Final = 0xA1
_ISSUER_URL: Final = 0xA2
_SUBJECT_NAME: Final = 0xA3
_SUBJECT_URL: Final = 0xA4
_TERMS: Final = 0xA5
_REDIRECT_URL: Final = 0xA6
_TLS_HASHES: Final = 0xA7
_HASH: Final = 0x80


class DescriptionType(StrEnum):
    """The form of the terms of usage."""

    PLAIN = OID.DESCRIPTION_PLAIN_FORMAT
    HTML = OID.DESCRIPTION_HTML_FORMAT
    PDF = OID.DESCRIPTION_PDF_FORMAT


_TERMS_TAGS: Final = {
    DescriptionType.PLAIN: _UTF8_STRING,
    DescriptionType.HTML: _IA5_STRING,
    DescriptionType.PDF: _OCTET_STRING,
}


@dataclass(frozen=True, slots=True)
class CertificateDescription:
    """A description. ``terms_of_usage`` is text in UTF-8, HTML in ASCII, or a PDF, as ``description_type`` says.

    ``tls_hashes`` are SHA-256 hashes of the certificates of TLS servers that the eService and its eID server use.
    """

    description_type: DescriptionType
    issuer_name: str
    subject_name: str
    terms_of_usage: bytes
    issuer_url: str | None = None
    subject_url: str | None = None
    redirect_url: str | None = None
    tls_hashes: tuple[bytes, ...] = ()

    @property
    def text(self) -> str | None:
        """The terms of usage as text; ``None`` for a PDF."""
        return None if self.description_type is DescriptionType.PDF else self.terms_of_usage.decode()

    def encode(self) -> bytes:
        """The description in DER; ``CertificateDescriptionError`` if a string does not fit its type."""
        terms = build(_TERMS_TAGS[self.description_type], self.terms_of_usage)
        # A SET OF is sorted in DER.
        hashes = build(_SET, *sorted(build(_OCTET_STRING, each) for each in self.tls_hashes))
        data = build(
            _SEQUENCE,
            build(_OBJECT_IDENTIFIER, encode_oid(self.description_type)),
            build(_ISSUER_NAME, build(_UTF8_STRING, self.issuer_name.encode())),
            _url(_ISSUER_URL, self.issuer_url),
            build(_SUBJECT_NAME, build(_UTF8_STRING, self.subject_name.encode())),
            _url(_SUBJECT_URL, self.subject_url),
            build(_TERMS, terms),
            _url(_REDIRECT_URL, self.redirect_url),
            build(_TLS_HASHES, hashes) if self.tls_hashes else b"",
        )
        parse_description(data)
        return data


def parse_description(data: bytes) -> CertificateDescription:
    """The description in these bytes; ``CertificateDescriptionError`` for anything else."""
    try:
        return _description(parse(data, tag=_SEQUENCE, der=True))
    except CertificateDescriptionError:
        raise
    except EACError as error:
        raise CertificateDescriptionError(f"certificate description: {error.message}") from None


def verify_description(data: bytes, *, certificate: Certificate) -> CertificateDescription:
    """The description, if it is the one of this terminal certificate; ``CertificateDescriptionError`` otherwise."""
    expected = certificate.description_hash
    if expected is None or not compare_digest(sha256(data).digest(), expected):
        raise CertificateDescriptionError("certificate description: expected the one whose hash the certificate has")
    return parse_description(data)


def description_extension(data: bytes) -> Extension:
    """The certificate extension with the hash of this encoded description."""
    return Extension(OID.EXTENSION_DESCRIPTION, ((_HASH, sha256(data).digest()),))


def check_tls_certificate(description: CertificateDescription, *, der: bytes) -> None:
    """``CertificateDescriptionError`` unless this TLS certificate is among those of the description.

    A description without any hashes names no TLS server, so it allows none.
    """
    if sha256(der).digest() not in description.tls_hashes:
        raise CertificateDescriptionError("TLS certificate: expected one whose hash the certificate description has")


def _description(item: TLV) -> CertificateDescription:
    if not item.children or item.children[0].tag != _OBJECT_IDENTIFIER:
        raise CertificateDescriptionError("certificate description: expected its type first")
    first, *tagged = item.children
    tags = [each.tag for each in tagged]
    if tags != sorted(set(tags)) or not _REQUIRED <= set(tags) <= _KNOWN:
        raise CertificateDescriptionError("certificate description: expected [1], [3], [5] and more, in order")
    name = decode_oid(first.value)
    if name not in _TYPES:
        raise CertificateDescriptionError(f"certificate description: expected a known type, found {name}")
    description_type = DescriptionType(name)
    terms = _inside(tagged, _TERMS, _TERMS_TAGS[description_type]) or b""
    if description_type is not DescriptionType.PDF:
        _text(terms, "utf-8" if description_type is DescriptionType.PLAIN else "ascii")
    return CertificateDescription(
        description_type=description_type,
        issuer_name=_text(_inside(tagged, _ISSUER_NAME, _UTF8_STRING) or b"", "utf-8"),
        issuer_url=_read_url(tagged, _ISSUER_URL),
        subject_name=_text(_inside(tagged, _SUBJECT_NAME, _UTF8_STRING) or b"", "utf-8"),
        subject_url=_read_url(tagged, _SUBJECT_URL),
        terms_of_usage=terms,
        redirect_url=_read_url(tagged, _REDIRECT_URL),
        tls_hashes=_hashes(find(tagged, _TLS_HASHES, where="certificate description")),
    )


def _inside(tagged: list[TLV], tag: int, expected: int) -> bytes | None:
    """The value of the one object under an explicit tag; ``None`` without that tag."""
    item = find(tagged, tag, where="certificate description")
    return item.only(expected)[0].value if item else None


def _read_url(tagged: list[TLV], tag: int) -> str | None:
    value = _inside(tagged, tag, _PRINTABLE_STRING)
    return None if value is None else _text(value, "ascii")


def _hashes(item: TLV | None) -> tuple[bytes, ...]:
    if item is None:
        return ()
    (hashes,) = item.only(_SET)
    if any(each.tag != _OCTET_STRING for each in hashes.children):
        raise CertificateDescriptionError("commCertificates: expected a set of octet strings")
    return tuple(each.value for each in hashes.children)


def _url(tag: int, url: str | None) -> bytes:
    # Of a URL's characters PrintableString has not all (no _, no &). Real descriptions use them under this tag anyway.
    return b"" if url is None else build(tag, build(_PRINTABLE_STRING, url.encode()))


def _text(value: bytes, encoding: str) -> str:
    try:
        return value.decode(encoding)
    except UnicodeDecodeError:
        raise CertificateDescriptionError(f"certificate description: expected text in {encoding}") from None


_TYPES: Final = frozenset(DescriptionType)
_REQUIRED: Final = {_ISSUER_NAME, _SUBJECT_NAME, _TERMS}
_KNOWN: Final = {*_REQUIRED, _ISSUER_URL, _SUBJECT_URL, _REDIRECT_URL, _TLS_HASHES}
