"""A test PKI as a folder of files that other programs read too: CV certificates, X.509 and keys in PEM.

::

    TEST-KEYS.txt                 what this folder is
    csca.pem                      and csca.key.pem
    document-signer.pem           and document-signer.key.pem
    cvca-1.cvcert                 and cvca-1.key.pem; cvca-2.link.cvcert from the second generation on
    dv.cvcert                     and dv.key.pem
    terminals/NAME/               terminal.cvcert, terminal.key.pem, description.der
    sectors/                      revocation.key.pem, first.key.pem, second.key.pem, revoked.txt

Folder and files are for their owner alone.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ..eac.certificate_description import parse_description
from ..eac.curves import Point, key_pair, private_key
from ..eac.cvc import Certificate, parse_certificate
from ..eac.errors import EACError
from ..errors import ConfigurationError
from .pki import PKI, Sectors, Terminal
from .pki_certificates import CURVE, Authority, Holder
from .pki_documents import DocumentKey

NOTICE: Final = "TEST-KEYS.txt"
_NOTICE_TEXT: Final = b"Keys and certificates of useid-middleware for development and test. Trust none of them.\n"
_KEY: Final = ".key.pem"
_REVOKED: Final = "sectors/revoked.txt"
_MAX_FILE: Final = 1 << 20


def create_pki(folder: Path, pki: PKI) -> None:
    """Write a new PKI; ``ConfigurationError`` if the folder is there and not empty."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigurationError(f"{folder} is not empty; a PKI is not overwritten (useid pki renew renews one)")
    except OSError as error:
        raise ConfigurationError(f"{folder}: {error.strerror}") from None
    write_pki(folder, pki)


def write_pki(folder: Path, pki: PKI) -> None:
    """Write a PKI over what is in the folder. No file is ever half written or readable by others."""
    try:
        written = [(_write_beside(folder, name, content), folder / name) for name, content in encode_files(pki).items()]
        # Keys and certificates change together, or as good as.
        for new, path in written:
            new.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{folder}: {error.strerror}") from None


def read_pki(folder: Path) -> PKI:
    """The PKI in a folder; ``ConfigurationError`` that names the file if one is missing or wrong."""
    if not (folder / NOTICE).is_file():
        raise ConfigurationError(f"{folder} has no test PKI; make one with useid pki init")
    try:
        files = {
            path.relative_to(folder).as_posix(): _content(path)
            for path in sorted(folder.rglob("[!.]*"))
            if path.is_file()
        }
    except OSError as error:
        raise ConfigurationError(f"{error.filename or folder}: {error.strerror}") from None
    return decode_files(files)


def encode_files(pki: PKI) -> dict[str, bytes]:
    """The files' contents by their names."""
    files = {NOTICE: _NOTICE_TEXT}
    for name, document in (("csca", pki.csca), ("document-signer", pki.signer)):
        files[f"{name}.pem"] = document.certificate.public_bytes(Encoding.PEM)
        files[name + _KEY] = _pem(document.private)
    for number, authority in enumerate(pki.authorities, start=1):
        files[f"cvca-{number}.cvcert"] = authority.root.encode()
        files[f"cvca-{number}{_KEY}"] = _pem(authority.private)
        if authority.link is not None:
            files[f"cvca-{number}.link.cvcert"] = authority.link.encode()
    files["dv.cvcert"] = pki.dv.certificate.encode()
    files["dv" + _KEY] = _pem(pki.dv.private)
    for name, terminal in pki.terminals.items():
        files[f"terminals/{name}/terminal.cvcert"] = terminal.certificate.encode()
        files[f"terminals/{name}/terminal{_KEY}"] = _pem(terminal.private)
        files[f"terminals/{name}/description.der"] = terminal.description
    sectors = pki.sectors
    for name, private in (("revocation", sectors.revocation), ("first", sectors.first), ("second", sectors.second)):
        files[f"sectors/{name}{_KEY}"] = _pem(private)
    files[_REVOKED] = "".join(f"{token.encode().hex()}\n" for token in sectors.revoked).encode()
    return files


def decode_files(files: Mapping[str, bytes]) -> PKI:
    """The PKI in these files; ``ConfigurationError`` that names the one at fault."""
    return PKI(
        csca=_document(files, "csca"),
        signer=_document(files, "document-signer"),
        authorities=tuple(_authorities(files)),
        dv=_holder(files, "dv"),
        terminals={name: _terminal(files, name) for name in _terminal_names(files)},
        sectors=Sectors(
            revocation=_private(files, "sectors/revocation"),
            first=_private(files, "sectors/first"),
            second=_private(files, "sectors/second"),
            revoked=tuple(_revoked(files)),
        ),
    )


def _document(files: Mapping[str, bytes], name: str) -> DocumentKey:
    try:
        certificate = x509.load_pem_x509_certificate(_file(files, f"{name}.pem"))
    except ValueError:
        raise ConfigurationError(f"{name}.pem: expected an X.509 certificate in PEM") from None
    private = _private(files, name)
    if certificate.public_key() != private_key(CURVE, private).public_key():
        raise ConfigurationError(f"{name}{_KEY}: expected the key of the certificate beside it")
    return DocumentKey(certificate, private)


def _authorities(files: Mapping[str, bytes]) -> Iterator[Authority]:
    number = 1
    while number == 1 or f"cvca-{number}.cvcert" in files:
        holder = _holder(files, f"cvca-{number}")
        link = None if number == 1 else _certificate(files, f"cvca-{number}.link.cvcert")
        yield Authority(holder.certificate, holder.private, link)
        number += 1


def _holder(files: Mapping[str, bytes], name: str) -> Holder:
    certificate = _certificate(files, f"{name}.cvcert")
    private = _private(files, name)
    if key_pair(private, generator=CURVE.generator).public.encode() != certificate.says.key.point:
        raise ConfigurationError(f"{name}{_KEY}: expected the key of the certificate beside it")
    return Holder(certificate, private)


def _terminal(files: Mapping[str, bytes], name: str) -> Terminal:
    holder = _holder(files, f"terminals/{name}/terminal")
    path = f"terminals/{name}/description.der"
    description = _file(files, path)
    try:
        parse_description(description)
    except EACError as error:
        raise ConfigurationError(f"{path}: {error.message}") from None
    return Terminal(holder.certificate, holder.private, description)


def _terminal_names(files: Mapping[str, bytes]) -> list[str]:
    suffix = "/terminal.cvcert"
    names = [path.removeprefix("terminals/").removesuffix(suffix) for path in files if path.endswith(suffix)]
    return sorted(names)


def _revoked(files: Mapping[str, bytes]) -> Iterator[Point]:
    for line in _file(files, _REVOKED).split():
        try:
            yield Point.decode(CURVE, bytes.fromhex(line.decode("ascii")))
        except (ValueError, EACError):
            raise ConfigurationError(f"{_REVOKED}: expected a point in hexadecimal digits on each line") from None


def _certificate(files: Mapping[str, bytes], path: str) -> Certificate:
    try:
        return parse_certificate(_file(files, path))
    except EACError as error:
        raise ConfigurationError(f"{path}: {error.message}") from None


def _private(files: Mapping[str, bytes], name: str) -> int:
    path = name + _KEY
    try:
        key = load_pem_private_key(_file(files, path), password=None)
    except (ValueError, TypeError):
        raise ConfigurationError(f"{path}: expected a private key in PEM, without a password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != CURVE.ec.name:
        raise ConfigurationError(f"{path}: expected a private key on {CURVE.name}")
    return key.private_numbers().private_value


def _pem(private: int) -> bytes:
    return private_key(CURVE, private).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _file(files: Mapping[str, bytes], path: str) -> bytes:
    content = files.get(path)
    if content is None:
        raise ConfigurationError(f"{path} is missing")
    return content


def _write_beside(folder: Path, name: str, content: bytes) -> Path:
    """The content in a new file beside the one with this name."""
    # With `parents`, mkdir would give its mode to the last folder only.
    for parent in reversed(Path(name).parents):
        (folder / parent).mkdir(mode=0o700, exist_ok=True)
    new = (folder / name).with_name(f".{Path(name).name}.new")
    new.unlink(missing_ok=True)
    with open(new, "xb", opener=_owner_only) as file:
        file.write(content)
    return new


def _content(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(_MAX_FILE)


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
