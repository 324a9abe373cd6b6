"""XML Signature (W3C xmldsig-core) in the one form that TR-03130-1 needs: by Id, with exclusive canonical XML."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from ..._xml import Element, XMLError, add, canonicalize, local_name, sequence, text
from .algorithms import DIGESTS, EXCLUSIVE_C14N, SHA256, PrivateKey, is_known, signature_method, signature_of
from .soap import DS

_PARTS: Final = ("SignedInfo", "SignatureValue", "KeyInfo")
_REFERENCE_PARTS: Final = ("Transforms", "DigestMethod", "DigestValue")
_MAX_REFERENCES: Final = 8
_MAX_PREFIXES: Final = 32
_XML_SPACE: Final = str.maketrans("", "", " \t\r\n")


@dataclass(frozen=True, slots=True)
class Reference:
    """A signed element: its name (Id), the prefixes that its canonical form treats inclusively, and its digest."""

    name: str
    prefixes: tuple[str, ...]
    digest_method: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class XMLSignature:
    """A Signature of ours as far as it can be checked alone. ``signed_info`` is canonical: what ``value`` signs."""

    signed_info: bytes
    method: str
    value: bytes
    references: tuple[Reference, ...]
    key_info: Element


def add_signature(parent: Element, elements: Mapping[str, Element], *, key: PrivateKey) -> Element:
    """Append a Signature over elements, by their names; its empty KeyInfo (§3.1)."""
    signature = add(parent, "Signature", ns=DS)
    signed_info = add(signature, "SignedInfo", ns=DS)
    add(signed_info, "CanonicalizationMethod", ns=DS).set("Algorithm", EXCLUSIVE_C14N)
    add(signed_info, "SignatureMethod", ns=DS).set("Algorithm", signature_method(key))
    for name, element in elements.items():
        reference = add(signed_info, "Reference", ns=DS)
        reference.set("URI", f"#{name}")
        add(add(reference, "Transforms", ns=DS), "Transform", ns=DS).set("Algorithm", EXCLUSIVE_C14N)
        add(reference, "DigestMethod", ns=DS).set("Algorithm", SHA256)
        add(reference, "DigestValue", encode_base64(sha256(canonicalize(element)).digest()), ns=DS)
    add(signature, "SignatureValue", encode_base64(signature_of(canonicalize(signed_info), key=key)), ns=DS)
    return add(signature, "KeyInfo", ns=DS)


def read_signature(element: Element) -> XMLSignature:
    """A Signature; :class:`XMLError` for one that is not of our form or not of our algorithms (§4)."""
    found = sequence(element, *_PARTS, ns=DS, required=_PARTS)
    signed_info = found["SignedInfo"]
    if any(each.tag != f"{{{DS}}}Reference" for each in signed_info[2:]) or len(signed_info) > 2 + _MAX_REFERENCES:
        raise XMLError(f"SignedInfo: expected two methods and at most {_MAX_REFERENCES} references")
    methods = [
        each for each in signed_info[:2] if each.tag in (f"{{{DS}}}CanonicalizationMethod", f"{{{DS}}}SignatureMethod")
    ]
    if [local_name(each) for each in methods] != ["CanonicalizationMethod", "SignatureMethod"]:
        raise XMLError("SignedInfo: expected CanonicalizationMethod and SignatureMethod")
    prefixes = _exclusive_prefixes(methods[0])
    method = _algorithm(methods[1])
    if not is_known(method):
        raise XMLError("SignatureMethod: expected RSA or ECDSA with SHA-256 or better")
    return XMLSignature(
        canonicalize(signed_info, inclusive_prefixes=prefixes),
        method,
        read_base64(found["SignatureValue"]),
        tuple(_read_reference(each) for each in signed_info[2:]),
        found["KeyInfo"],
    )


def check_digest(reference: Reference, element: Element) -> None:
    """:class:`XMLError` unless the element is what the reference has the digest of (§4.4.3)."""
    canonical = canonicalize(element, inclusive_prefixes=reference.prefixes)
    if not compare_digest(DIGESTS[reference.digest_method](canonical).digest(), reference.digest):
        raise XMLError(f"Reference: expected the digest of {local_name(element)}, found another")


def encode_base64(value: bytes) -> str:
    """Base64 without line breaks."""
    return b64encode(value).decode("ascii")


def read_base64(element: Element) -> bytes:
    """The bytes in an element; white space between the characters is allowed, and nothing else."""
    try:
        return b64decode(text(element).translate(_XML_SPACE), validate=True)
    except ValueError:
        raise XMLError(f"{local_name(element)}: expected Base64") from None


def _read_reference(element: Element) -> Reference:
    found = sequence(element, *_REFERENCE_PARTS, ns=DS, required=_REFERENCE_PARTS)
    uri = element.get("URI", "")
    if not uri.startswith("#") or len(uri) == 1 or set(element.attrib) - {"URI", "Id"}:
        raise XMLError("Reference: expected an element of this document, by its Id")
    # Each other transform would let something else be signed than what is read.
    transform = sequence(found["Transforms"], "Transform", ns=DS, required=("Transform",))["Transform"]
    method = _algorithm(found["DigestMethod"])
    if method not in DIGESTS:
        raise XMLError("DigestMethod: expected SHA-256 or better")
    return Reference(uri[1:], _exclusive_prefixes(transform), method, read_base64(found["DigestValue"]))


def _exclusive_prefixes(element: Element) -> tuple[str, ...]:
    """The PrefixList of exclusive canonical XML; another algorithm is refused."""
    if element.get("Algorithm") != EXCLUSIVE_C14N:
        raise XMLError(f"{local_name(element)}: expected exclusive canonical XML without comments")
    found = sequence(element, "InclusiveNamespaces", ns=EXCLUSIVE_C14N)
    prefixes = found["InclusiveNamespaces"].get("PrefixList", "").split() if found else []
    if len(prefixes) > _MAX_PREFIXES:
        raise XMLError(f"PrefixList: expected at most {_MAX_PREFIXES} prefixes")
    return tuple(prefixes)


def _algorithm(element: Element) -> str:
    """An algorithm without parameters: an HMAC's length, say, would weaken it."""
    if len(element):
        raise XMLError(f"{local_name(element)}: expected no parameters")
    return element.get("Algorithm", "")
