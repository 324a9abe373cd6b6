"""The folder of a test PKI: comes back whole, belongs to its owner alone, and says which file is wrong."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.emulation.test_pki import NOW, counted
from useid_middleware.eac.curves import BRAINPOOL_P256R1, key_pair
from useid_middleware.eac.cvc import parse_certificate
from useid_middleware.emulation.pki import PKI, TerminalRequest, issue_terminal, new_pki, renew, revoke
from useid_middleware.emulation.pki_files import create_pki, decode_files, encode_files, read_pki, write_pki
from useid_middleware.errors import ConfigurationError


def whole() -> PKI:
    """A PKI with two of all that there can be several of."""
    pki = new_pki(now=NOW, random=counted())
    pki = issue_terminal(pki, "shop", request=TerminalRequest(migrating=True), now=NOW, random=counted("shop"))
    pki = renew(pki, now=NOW + timedelta(days=1), random=counted("renew"), new_cvca=True)
    for private in (71, 73):
        pki = revoke(pki, chip_public=key_pair(private, generator=BRAINPOOL_P256R1.generator).public)
    return pki


@pytest.fixture(scope="module")
def pki() -> PKI:
    return whole()


@pytest.fixture(scope="module")
def files(pki: PKI) -> Mapping[str, bytes]:
    return encode_files(pki)


def test_a_pki_comes_back_from_its_files(pki: PKI, tmp_path: Path) -> None:
    create_pki(tmp_path / "deep" / "pki", pki)
    assert read_pki(tmp_path / "deep" / "pki") == pki


def test_the_files_are_those_of_the_documentation(files: Mapping[str, bytes]) -> None:
    assert set(files) == {
        "TEST-KEYS.txt",
        "csca.pem",
        "csca.key.pem",
        "document-signer.pem",
        "document-signer.key.pem",
        "cvca-1.cvcert",
        "cvca-1.key.pem",
        "cvca-2.cvcert",
        "cvca-2.link.cvcert",
        "cvca-2.key.pem",
        "dv.cvcert",
        "dv.key.pem",
        "terminals/default/terminal.cvcert",
        "terminals/default/terminal.key.pem",
        "terminals/default/description.der",
        "terminals/shop/terminal.cvcert",
        "terminals/shop/terminal.key.pem",
        "terminals/shop/description.der",
        "sectors/revocation.key.pem",
        "sectors/first.key.pem",
        "sectors/second.key.pem",
        "sectors/revoked.txt",
    }


def test_only_the_owner_can_read(pki: PKI, tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    create_pki(folder, pki)
    found = [folder, *folder.rglob("*")]
    assert {path.stat().st_mode & 0o777 for path in found if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in found if path.is_file()} == {0o600}


def test_a_pki_is_written_over_itself_only(pki: PKI, tmp_path: Path) -> None:
    create_pki(tmp_path, pki)
    with pytest.raises(ConfigurationError, match="is not empty; a PKI is not overwritten"):
        create_pki(tmp_path, pki)
    (tmp_path / ".csca.pem.new").write_text("left behind by a writer that died")
    renewed = renew(pki, now=NOW, random=counted("again"))
    write_pki(tmp_path, renewed)
    assert read_pki(tmp_path) == renewed
    assert not list(tmp_path.rglob("*.new"))


def test_a_folder_that_cannot_be_is_an_error(pki: PKI, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigurationError, match="File exists"):
        create_pki(file, pki)
    with pytest.raises(ConfigurationError, match="File exists"):
        write_pki(file, pki)
    with pytest.raises(ConfigurationError, match="has no test PKI; make one with useid pki init"):
        read_pki(tmp_path)


def test_a_file_that_cannot_be_read_is_an_error(pki: PKI, tmp_path: Path) -> None:
    # Root may read everything; the beginning of a process's memory alone cannot be read by anybody.
    unreadable = Path("/proc/self/mem")
    if not unreadable.is_file():
        pytest.skip("there is no /proc/self/mem here")
    create_pki(tmp_path, pki)
    (tmp_path / "dv.cvcert").unlink()
    (tmp_path / "dv.cvcert").symlink_to(unreadable)
    with pytest.raises(ConfigurationError, match="Input/output error"):
        read_pki(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "csca.pem",
        "csca.key.pem",
        "document-signer.pem",
        "cvca-1.cvcert",
        "cvca-1.key.pem",
        "cvca-2.link.cvcert",
        "dv.cvcert",
        "dv.key.pem",
        "terminals/shop/terminal.key.pem",
        "terminals/shop/description.der",
        "sectors/second.key.pem",
        "sectors/revoked.txt",
    ],
)
def test_a_missing_file_is_named(files: Mapping[str, bytes], name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is missing"):
        decode_files({path: content for path, content in files.items() if path != name})


def pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, *, password: bytes = b"") -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


OWN = ec.derive_private_key(7, ec.BrainpoolP256R1())


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("csca.pem", b"?", "csca.pem: expected an X.509 certificate in PEM"),
        ("csca.key.pem", b"?", "csca.key.pem: expected a private key in PEM"),
        ("csca.key.pem", pem(OWN, password=b"secret"), "csca.key.pem: expected a private key in PEM, without"),
        ("csca.key.pem", pem(OWN), "csca.key.pem: expected the key of the certificate beside it"),
        (
            "dv.key.pem",
            pem(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))),
            "dv.key.pem: expected a private key on brainpoolP256r1",
        ),
        (
            "dv.key.pem",
            pem(ec.derive_private_key(7, ec.SECP256R1())),
            "dv.key.pem: expected a private key on brainpoolP256r1",
        ),
        ("dv.key.pem", pem(OWN), "dv.key.pem: expected the key of the certificate beside it"),
        ("dv.cvcert", b"", "dv.cvcert: certificate: expected one data object"),
        ("terminals/shop/description.der", b"\x30\x00", "description.der: certificate description: expected its type"),
        ("sectors/revoked.txt", b"04\n", "sectors/revoked.txt: expected a point in hexadecimal digits"),
        ("sectors/revoked.txt", b"xx\n", "sectors/revoked.txt: expected a point in hexadecimal digits"),
        ("sectors/revoked.txt", b"\xff\n", "sectors/revoked.txt: expected a point in hexadecimal digits"),
    ],
)
def test_a_wrong_file_is_named(files: Mapping[str, bytes], name: str, content: bytes, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        decode_files({**files, name: content})


def test_other_programs_formats_are_used(pki: PKI, files: Mapping[str, bytes]) -> None:
    assert x509.load_pem_x509_certificate(files["csca.pem"]) == pki.csca.certificate
    assert parse_certificate(files["cvca-2.link.cvcert"]) == pki.authority.link
    assert b"BEGIN PRIVATE KEY" in files["dv.key.pem"]


def test_a_pki_without_revoked_cards_comes_back_too(pki: PKI) -> None:
    clean = replace(pki, sectors=replace(pki.sectors, revoked=()))
    assert decode_files(encode_files(clean)) == clean
