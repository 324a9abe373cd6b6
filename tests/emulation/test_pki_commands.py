"""``useid pki``: what a person types and reads."""

from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.emulation.test_pki import NOW, counted
from useid_middleware.eac.chat import AuthenticationRight
from useid_middleware.eac.cvc import parse_certificate
from useid_middleware.emulation.pki import TerminalRequest, issue_terminal, new_pki, request_of
from useid_middleware.emulation.pki_commands import add_commands, describe
from useid_middleware.emulation.pki_files import read_pki
from useid_middleware.errors import ConfigurationError


def pki_command(*arguments: str | Path) -> int:
    parser = ArgumentParser()
    add_commands(parser.add_subparsers())
    options = parser.parse_args(["pki", *map(str, arguments)])
    code: int = options.func(options)
    return code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert pki_command("init", tmp_path / "pki") == 0
    return tmp_path / "pki"


def test_init_makes_a_pki_that_is_valid_today(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pki"
    assert pki_command("init", folder) == 0
    assert "development and test only" in capsys.readouterr().out
    pki = read_pki(folder)
    assert pki.terminal().certificate.says.effective >= datetime.now(UTC).date() - timedelta(days=1)
    assert request_of(pki.terminal()) == TerminalRequest()


def test_init_takes_names_rights_and_tls_certificates(tmp_path: Path) -> None:
    certificate = new_pki(now=NOW, random=counted()).csca.certificate
    pem, der = tmp_path / "tls.pem", tmp_path / "tls.der"
    pem.write_bytes(certificate.public_bytes(Encoding.PEM))
    der.write_bytes(certificate.public_bytes(Encoding.DER))
    arguments = ["--subject-name", "Shop", "--subject-url", "https://shop.example", "--migrating"]
    arguments += ["--right", "read_dg4", "--right", "CAN_ALLOWED"]
    pki_command("init", tmp_path / "pki", *arguments, "--tls-certificate", pem, "--tls-certificate", der)
    digest = sha256(der.read_bytes()).digest()
    assert request_of(read_pki(tmp_path / "pki").terminal()) == TerminalRequest(
        subject_name="TEST Shop",
        subject_url="https://shop.example",
        rights=int(AuthenticationRight.READ_DG4 | AuthenticationRight.CAN_ALLOWED),
        tls_hashes=(digest, digest),
        migrating=True,
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--right", "read_dg99"], "expected rights among age_verification"),
        (["--subject-url", "https://überweisung.example"], "expected text in ascii"),
        (["--tls-certificate", "/nowhere/tls.pem"], "No such file"),
    ],
)
def test_what_cannot_be_issued_leaves_no_folder(tmp_path: Path, arguments: list[str], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        pki_command("init", tmp_path / "pki", *arguments)
    assert not (tmp_path / "pki").exists()


@pytest.mark.parametrize("content", [b"", b"?", b"-----BEGIN CERTIFICATE-----\n?"])
def test_a_file_that_is_no_certificate_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tls.pem").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"tls\.pem: expected an X\.509 certificate"):
        pki_command("init", tmp_path / "pki", "--tls-certificate", tmp_path / "tls.pem")


def test_init_overwrites_nothing(folder: Path) -> None:
    before = read_pki(folder)
    with pytest.raises(ConfigurationError, match="not overwritten"):
        pki_command("init", folder)
    assert read_pki(folder) == before


def test_show_says_what_is_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert pki_command("show", folder) == 0
    said = capsys.readouterr().out
    for text in (
        "CN=TEST CSCA",
        "CN=TEST Document Signer",
        "DETESTCVCA00001",
        "DETESTDV00001 by DETESTCVCA00001",
        "terminal default DETESTAT00001 by DETESTDV00001",
        "TEST eService, https://localhost",
        "age_verification, community_id_verification",
        "revoked cards    0",
    ):
        assert text in said
    assert "EXPIRED" not in said
    assert "link" not in said


def test_show_says_what_has_expired_and_names_tls_certificates_and_sectors() -> None:
    pki = new_pki(now=NOW, random=counted())
    request = TerminalRequest(tls_hashes=(b"\1" * 32,), migrating=True)
    pki = issue_terminal(pki, "shop", request=request, now=NOW, random=counted())
    said = list(describe(pki, now=NOW + timedelta(days=31)))
    assert sum("EXPIRED: run useid pki renew" in line for line in said) == 2
    assert f"  TLS            {'01' * 32}" in said
    for number, digest in enumerate(pki.terminal("shop").certificate.sector_hashes, start=1):
        assert digest
        assert f"  sector {number}       {digest.hex()}" in said


def test_show_gives_clients_the_cvca_certificates_they_must_trust(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pki_command("renew", folder, "--cvca")
    capsys.readouterr()
    pki_command("show", folder, "--cvca-hex")
    certificates = [parse_certificate(bytes.fromhex(line)) for line in capsys.readouterr().out.split()]
    pki = read_pki(folder)
    assert certificates == [pki.authorities[0].root, pki.authorities[1].root, pki.authorities[1].link]
    pki_command("show", folder)
    assert "link           DETESTCVCA00002 by DETESTCVCA00001" in capsys.readouterr().out


def test_renew_keeps_pseudonyms_and_can_replace_tls_certificates(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_pki(folder)
    tls = folder.parent / "tls.der"
    tls.write_bytes(before.csca.certificate.public_bytes(Encoding.DER))
    assert pki_command("renew", folder, "--tls-certificate", tls) == 0
    after = read_pki(folder)
    assert after.sectors == before.sectors
    assert after.authorities == before.authorities
    assert after.dv.certificate != before.dv.certificate
    assert request_of(after.terminal()).tls_hashes == (sha256(tls.read_bytes()).digest(),)
    assert f"valid until {after.terminal().certificate.says.expiration}" in capsys.readouterr().out
    with pytest.raises(ConfigurationError, match="expected one of default"):
        pki_command("renew", folder, "--tls-certificate", tls, "--terminal", "shop")


def test_issue_adds_a_terminal(folder: Path) -> None:
    before = read_pki(folder)
    assert pki_command("issue", folder, "my-shop_2", "--right", "age_verification") == 0
    after = read_pki(folder)
    assert after.terminal("my-shop_2").certificate.says.chat.names == ("AGE_VERIFICATION",)
    assert after.terminal() == before.terminal()


@pytest.mark.parametrize("name", ["", "-", "../x", "a/b", ".x", "schön", "a b"])
def test_a_terminals_name_is_a_folders_name(folder: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="a name of letters, digits"):
        pki_command("issue", folder, "--", name)


def test_commands_need_a_pki(tmp_path: Path) -> None:
    for command in ("show", "renew"):
        with pytest.raises(ConfigurationError, match="has no test PKI"):
            pki_command(command, tmp_path)


def test_show_without_a_folder_shows_the_demos_trust_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pki_command("init", "useid-pki")
    capsys.readouterr()
    pki_command("show", "--cvca-hex")
    (line,) = capsys.readouterr().out.split()
    assert parse_certificate(bytes.fromhex(line)) == read_pki(tmp_path / "useid-pki").authority.root


def test_revoke_puts_a_card_on_the_list_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_pki(folder).sectors.revoked_identifiers == frozenset()
    for _ in range(2):
        assert pki_command("revoke", folder, "erika") == 0
    assert "Revoked the card of" in capsys.readouterr().out
    assert len(read_pki(folder).sectors.revoked) == 1
