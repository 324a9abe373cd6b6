"""Pins of TLS keys: what is read from PEM files, and what no pin is made of."""

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from useid_middleware.errors import ConfigurationError
from useid_middleware.http.pins import pin_of, read_pins

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app.example")])
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def certificate_of(key: EllipticCurvePrivateKey, *, days: int = 90) -> x509.Certificate:
    builder = x509.CertificateBuilder().subject_name(NAME).issuer_name(NAME).serial_number(days)
    builder = builder.public_key(key.public_key()).not_valid_before(BEGIN)
    return builder.not_valid_after(BEGIN + timedelta(days=days)).sign(key, SHA256())


def spki(key: EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_a_pin_is_the_hash_of_the_key_and_outlives_its_certificates() -> None:
    key = generate_private_key(SECP256R1())
    pins = {pin_of(certificate_of(key, days=days).public_bytes(Encoding.DER)) for days in (90, 91)}
    assert pins == {sha256(spki(key)).digest()}


def test_files_may_hold_certificates_and_public_keys_and_each_key_counts_once(tmp_path: Path) -> None:
    now, following = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    chain, spare = tmp_path / "chain.pem", tmp_path / "spare.pem"
    chain.write_bytes(
        b"# the present one, and its renewal\n"
        + certificate_of(now).public_bytes(Encoding.PEM)
        + certificate_of(now, days=180).public_bytes(Encoding.PEM)
    )
    spare.write_bytes(following.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert read_pins("x", [chain, spare]) == (sha256(spki(now)).digest(), sha256(spki(following)).digest())
    assert read_pins("x", []) == ()


def test_what_is_no_pem_of_keys_is_refused_with_the_settings_name(tmp_path: Path) -> None:
    private = tmp_path / "private.pem"
    key = generate_private_key(SECP256R1())
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    empty, broken = tmp_path / "empty.pem", tmp_path / "broken.pem"
    empty.write_bytes(b"")
    broken.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for path in (private, empty, broken, tmp_path / "missing.pem"):
        with pytest.raises(ConfigurationError, match=rf"eid\.keys: .*{re.escape(path.name)}"):
            read_pins("eid.keys", [path])


def test_a_pin_is_made_of_a_certificate_alone() -> None:
    with pytest.raises(ValueError, match="parsing"):
        pin_of(b"no certificate")
