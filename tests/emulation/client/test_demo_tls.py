"""The demo's TLS certificate: one that browsers and eID clients can use, kept while it is good."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from useid_middleware.emulation.client.demo_tls import CERTIFICATE, KEY, prepare_demo_tls
from useid_middleware.errors import ConfigurationError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_the_certificate_is_for_this_machine_and_of_a_curve_that_the_stock_client_knows(tmp_path: Path) -> None:
    certificate, key = prepare_demo_tls(tmp_path / "tls", now=NOW)
    made = _read(certificate)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    public = made.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public.curve.name == "secp256r1"
    assert made.not_valid_before_utc < NOW < made.not_valid_after_utc
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)


def test_the_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    certificate, key = prepare_demo_tls(tmp_path / "tls", now=NOW)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in certificate.parent.iterdir()) == sorted((CERTIFICATE, KEY))


def test_a_certificate_that_is_good_is_kept(tmp_path: Path) -> None:
    first = _read(prepare_demo_tls(tmp_path, now=NOW)[0])
    later = prepare_demo_tls(tmp_path, now=NOW + timedelta(days=80))[0]
    assert _read(later) == first


@pytest.mark.parametrize("days", [89.5, 100, -1])
def test_a_certificate_that_ends_or_has_not_begun_is_replaced(tmp_path: Path, days: float) -> None:
    first = _read(prepare_demo_tls(tmp_path, now=NOW)[0])
    now = NOW + timedelta(days=days)
    replaced = _read(prepare_demo_tls(tmp_path, now=now)[0])
    assert replaced != first
    assert replaced.not_valid_before_utc < now


def test_a_certificate_for_other_names_is_replaced(tmp_path: Path) -> None:
    first = _read(prepare_demo_tls(tmp_path, now=NOW)[0])
    other = _read(prepare_demo_tls(tmp_path, hosts=["shop.localhost", "::1"], now=NOW)[0])
    assert other != first
    names = other.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["shop.localhost"]


@pytest.mark.parametrize("name", [CERTIFICATE, KEY])
@pytest.mark.parametrize("content", [None, b"", b"no PEM"])
def test_a_missing_or_broken_file_is_replaced(tmp_path: Path, name: str, content: bytes | None) -> None:
    prepare_demo_tls(tmp_path, now=NOW)
    path = tmp_path / name
    path.unlink() if content is None else path.write_bytes(content)
    certificate, key = prepare_demo_tls(tmp_path, now=NOW)
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)


def test_a_key_of_another_certificate_is_replaced(tmp_path: Path) -> None:
    _, foreign = prepare_demo_tls(tmp_path / "other", now=NOW)
    prepare_demo_tls(tmp_path / "ours", now=NOW)
    (tmp_path / "ours" / KEY).write_bytes(foreign.read_bytes())
    certificate, key = prepare_demo_tls(tmp_path / "ours", now=NOW)
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)


def test_a_folder_that_is_none_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="file"):
        prepare_demo_tls(tmp_path / "file" / "tls", now=NOW)
