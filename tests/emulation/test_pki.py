"""The test PKI: whole, told apart as a test's, verified by our own rules and by other programs; renewed and revoked."""

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256, shake_256
from itertools import count
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from useid_middleware.eac.authentication_errors import (
    CertificateChainError,
    CertificateDescriptionError,
    CertificateExpired,
)
from useid_middleware.eac.card_security import verify_card_security
from useid_middleware.eac.certificate_chain import find_chain, trust, verify_chain
from useid_middleware.eac.certificate_description import check_tls_certificate, verify_description
from useid_middleware.eac.chat import AuthenticationRight, Role
from useid_middleware.eac.curves import BRAINPOOL_P256R1, key_pair
from useid_middleware.eac.errors import CardSecurityError
from useid_middleware.eac.oids import OID
from useid_middleware.eac.restricted_identification import Identifiers, identifier, is_revoked
from useid_middleware.eac.security_infos import PACEInfo, SecurityInfos, TerminalAuthenticationInfo
from useid_middleware.emulation.pki import (
    DEFAULT,
    DEFAULT_RIGHTS,
    PKI,
    TerminalRequest,
    issue_terminal,
    labelled,
    new_pki,
    renew,
    request_of,
    revoke,
)
from useid_middleware.emulation.pki_certificates import CVCA_DAYS, DV_DAYS, TERMINAL_DAYS, Random
from useid_middleware.emulation.pki_documents import CSCA_DAYS, sign_card_security
from useid_middleware.errors import ConfigurationError

NOW = datetime(2026, 3, 1, 12, 30, 15, 500, tzinfo=UTC)
INFOS = SecurityInfos((PACEInfo(OID.PACE_ECDH_GM_AES_CBC_CMAC_128, parameter_id=13), TerminalAuthenticationInfo()))


def counted(seed: str = "") -> Random:
    """Bytes that look random, the same in every run."""
    numbers = count()
    return lambda size: shake_256(f"{seed}{next(numbers)}".encode()).digest(size)


def verified_rights(pki: PKI, *, today: date, name: str = DEFAULT) -> int:
    """The terminal's effective rights, verified from the first CVCA certificate on."""
    root = trust(pki.authorities[0].root)
    return verify_chain(pki.certificates(name), trusted=[root], today=today).chat.rights


@pytest.fixture(scope="module")
def pki() -> PKI:
    return new_pki(now=NOW, random=counted())


def test_a_new_pki_verifies_from_cvca_to_terminal(pki: PKI) -> None:
    assert verified_rights(pki, today=NOW.date()) == DEFAULT_RIGHTS
    assert not DEFAULT_RIGHTS & AuthenticationRight.CAN_ALLOWED
    chain = find_chain(pki.certificates(), references=[b"DETESTCVCA00001"])
    assert [each.says.holder_reference for each in chain] == [b"DETESTDV00001", b"DETESTAT00001"]
    assert [each.reference for each in pki.trust_points] == [b"DETESTCVCA00001"]
    assert pki.links == ()


def test_everything_says_that_it_is_a_test(pki: PKI) -> None:
    for certificate in (pki.authority.root, *pki.certificates()):
        assert b"TEST" in certificate.says.holder_reference
    for document in (pki.csca, pki.signer):
        for name in (document.certificate.subject, document.certificate.issuer):
            assert "CN=TEST" in name.rfc4514_string()
            assert "O=TEST" in name.rfc4514_string()
    description = verify_description(pki.terminal().description, certificate=pki.terminal().certificate)
    assert "TEST" in description.issuer_name
    assert "TEST" in description.subject_name
    assert labelled("Service") == "TEST Service"
    assert labelled("Service TEST") == "Service TEST"


def test_the_same_randomness_makes_the_same_pki(pki: PKI) -> None:
    assert new_pki(now=NOW, random=counted()) == pki
    other = new_pki(now=NOW, random=counted("other"))
    assert {other.dv.private, other.authority.private, other.csca.private, other.sectors.first}.isdisjoint(
        {pki.dv.private, pki.authority.private, pki.csca.private, pki.sectors.first}
    )


def test_no_key_is_shown(pki: PKI) -> None:
    shown = repr(pki)
    for private in (pki.csca.private, pki.authority.private, pki.dv.private, pki.terminal().private, pki.sectors.first):
        assert str(private) not in shown


def test_a_terminal_gets_the_rights_name_and_tls_certificates_it_asks_for(pki: PKI) -> None:
    rights = int(AuthenticationRight.READ_DG4 | AuthenticationRight.CAN_ALLOWED)
    request = TerminalRequest(
        subject_name="Shop",
        subject_url="https://shop.example",
        rights=rights,
        tls_hashes=(sha256(b"certificate").digest(),),
        terms_of_usage="Bücher",
        migrating=True,
    )
    found = issue_terminal(pki, "shop", request=request, now=NOW, random=counted("shop"))
    assert set(found.terminals) == {DEFAULT, "shop"}
    assert found.terminal() == pki.terminal()
    terminal = found.terminal("shop")
    assert terminal.certificate.says.holder_reference == b"DETESTAT00002"
    assert verified_rights(found, today=NOW.date(), name="shop") == rights
    description = verify_description(terminal.description, certificate=terminal.certificate)
    assert (description.subject_name, description.subject_url) == ("TEST Shop", "https://shop.example")
    assert description.text == "Bücher"
    check_tls_certificate(description, der=b"certificate")
    with pytest.raises(CertificateDescriptionError):
        check_tls_certificate(description, der=b"other")
    assert request_of(terminal) == replace(request, subject_name="TEST Shop")


def test_an_unknown_terminal_is_an_error(pki: PKI) -> None:
    with pytest.raises(ConfigurationError, match="expected one of default"):
        pki.terminal("shop")


def test_rights_that_no_dv_has_are_not_issued(pki: PKI) -> None:
    with pytest.raises(CertificateChainError, match="none that the issuer does not have"):
        issue_terminal(pki, "x", request=TerminalRequest(rights=1 << 31), now=NOW, random=counted())


def test_certificates_run_out_one_after_the_other(pki: PKI) -> None:
    today = NOW.date()
    assert pki.terminal().certificate.says.expiration == today + timedelta(days=TERMINAL_DAYS)
    assert pki.dv.certificate.says.expiration == today + timedelta(days=DV_DAYS)
    assert pki.authority.root.says.expiration == today + timedelta(days=CVCA_DAYS)
    with pytest.raises(CertificateExpired):
        verified_rights(pki, today=today + timedelta(days=TERMINAL_DAYS + 1))


def test_no_terminal_outlives_its_dv_and_no_expired_dv_issues(pki: PKI) -> None:
    late = NOW + timedelta(days=DV_DAYS - 5)
    found = issue_terminal(pki, DEFAULT, request=TerminalRequest(), now=late, random=counted())
    assert found.terminal().certificate.says.expiration == pki.dv.certificate.says.expiration
    with pytest.raises(ConfigurationError, match="expired; run useid pki renew"):
        issue_terminal(pki, DEFAULT, request=TerminalRequest(), now=NOW + timedelta(days=DV_DAYS + 1), random=counted())


def test_renewing_issues_what_runs_out_and_keeps_what_must_stay(pki: PKI) -> None:
    later = NOW + timedelta(days=200)
    renewed = renew(pki, now=later, random=counted("renew"))
    assert verified_rights(renewed, today=later.date()) == DEFAULT_RIGHTS
    assert renewed.dv.certificate.says.holder_reference == b"DETESTDV00002"
    assert renewed.terminal().certificate.says.holder_reference == b"DETESTAT00002"
    assert (renewed.authorities, renewed.csca, renewed.sectors) == (pki.authorities, pki.csca, pki.sectors)
    assert renewed.terminal().certificate.sector_hashes == pki.terminal().certificate.sector_hashes
    assert renewed.signer.certificate.not_valid_before_utc == later.replace(microsecond=0)
    assert renewed.dv.private != pki.dv.private
    assert request_of(renewed.terminal()) == request_of(pki.terminal())


def test_renewing_can_name_new_tls_certificates(pki: PKI) -> None:
    digest = sha256(b"new").digest()
    both = issue_terminal(pki, "shop", request=TerminalRequest(tls_hashes=(bytes(32),)), now=NOW, random=counted())
    renewed = renew(both, now=NOW, random=counted(), tls_hashes={DEFAULT: (digest,)})
    assert request_of(renewed.terminal()).tls_hashes == (digest,)
    assert request_of(renewed.terminal("shop")).tls_hashes == (bytes(32),)


def test_a_new_generation_is_linked_to_the_one_before(pki: PKI) -> None:
    later = NOW + timedelta(days=100)
    renewed = renew(pki, now=later, random=counted("cvca"), new_cvca=True)
    (link,) = renewed.links
    assert link == renewed.authority.link
    assert (link.says.authority_reference, link.says.holder_reference) == (b"DETESTCVCA00001", b"DETESTCVCA00002")
    assert trust(renewed.authority.root).key == renewed.trust_points[0].key
    assert [each.reference for each in renewed.trust_points] == [b"DETESTCVCA00002", b"DETESTCVCA00001"]
    # A card that knows the old generation only, and one that knows the new one.
    assert verified_rights(renewed, today=later.date()) == DEFAULT_RIGHTS
    new = find_chain(renewed.certificates(), references=[b"DETESTCVCA00002"])
    assert [each.says.chat.role for each in new] == [Role.DV_OFFICIAL, Role.TERMINAL]
    third = renew(renewed, now=later, random=counted("third"), new_cvca=True)
    assert [each.says.holder_reference for each in third.links] == [b"DETESTCVCA00002", b"DETESTCVCA00003"]
    assert verified_rights(third, today=later.date()) == DEFAULT_RIGHTS


def test_a_cvca_that_would_not_outlive_its_dv_gets_a_successor(pki: PKI) -> None:
    last = NOW + timedelta(days=CVCA_DAYS - DV_DAYS)
    assert len(renew(pki, now=last, random=counted()).authorities) == 1
    renewed = renew(pki, now=last + timedelta(days=1), random=counted())
    assert len(renewed.authorities) == 2
    assert renewed.dv.certificate.says.authority_reference == b"DETESTCVCA00002"


def test_no_signer_outlives_its_csca_and_an_expired_csca_issues_none(pki: PKI) -> None:
    end = pki.csca.certificate.not_valid_after_utc
    renewed = renew(pki, now=end - timedelta(days=30), random=counted())
    assert renewed.signer.certificate.not_valid_after_utc <= end
    with pytest.raises(ConfigurationError, match="the CSCA's certificate has expired"):
        renew(pki, now=end, random=counted())
    assert end == NOW.replace(microsecond=0) + timedelta(days=CSCA_DAYS)


def test_card_security_verifies_below_the_csca_and_no_other(pki: PKI) -> None:
    data = sign_card_security(INFOS, signer=pki.signer)
    found = verify_card_security(data, trusted=[pki.csca.certificate], now=NOW + timedelta(days=1))
    assert found.encode() == INFOS.encode()
    other = new_pki(now=NOW, random=counted("other"))
    with pytest.raises(CardSecurityError, match="trusted CSCA"):
        verify_card_security(data, trusted=[other.csca.certificate], now=NOW)


def test_the_csca_may_sign_certificates_and_the_signer_documents_only(pki: PKI) -> None:
    usages = [
        document.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        for document in (pki.csca, pki.signer)
    ]
    assert [(each.key_cert_sign, each.digital_signature) for each in usages] == [(True, False), (False, True)]
    basics = [
        document.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        for document in (pki.csca, pki.signer)
    ]
    assert [each.ca for each in basics] == [True, False]


def test_a_revoked_card_is_found_in_both_sectors_and_listed_once(pki: PKI) -> None:
    card, other = (key_pair(private, generator=BRAINPOOL_P256R1.generator) for private in (71, 73))
    revoked = revoke(revoke(pki, chip_public=card.public), chip_public=card.public)
    assert len(revoked.sectors.revoked) == 1
    listed = revoked.sectors.revoked_identifiers
    assert len(listed) == 2
    first, second = revoked.sectors.keys
    assert is_revoked(Identifiers(identifier(card.private, first)), revoked=listed)
    assert is_revoked(Identifiers(bytes(32), identifier(card.private, second)), revoked=listed)
    assert not is_revoked(
        Identifiers(identifier(other.private, first), identifier(other.private, second)), revoked=listed
    )
    assert pki.sectors.revoked_identifiers == frozenset()


def test_openssl_accepts_our_card_security(pki: PKI, tmp_path: Path) -> None:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    (tmp_path / "EF.CardSecurity").write_bytes(sign_card_security(INFOS, signer=pki.signer))
    other = new_pki(now=NOW, random=counted("other"))
    for name, document in (("csca.pem", pki.csca), ("other.pem", other.csca)):
        (tmp_path / name).write_bytes(document.certificate.public_bytes(Encoding.PEM))

    def verify(csca: str) -> subprocess.CompletedProcess[bytes]:
        command = [
            program or "",
            "cms",
            "-verify",
            "-binary",
            "-inform",
            "DER",
            "-in",
            str(tmp_path / "EF.CardSecurity"),
        ]
        at = str(int((NOW + timedelta(days=1)).timestamp()))
        command += ["-CAfile", str(tmp_path / csca), "-purpose", "any", "-attime", at]
        return subprocess.run(command, capture_output=True, check=False, timeout=60)

    well = verify("csca.pem")
    assert well.returncode == 0, well.stderr
    assert well.stdout == INFOS.encode()
    assert verify("other.pem").returncode != 0


def test_cvc_print_verifies_link_dv_and_terminal(tmp_path: Path) -> None:
    program = shutil.which("cvc-print")
    if program is None:
        pytest.skip("cvc-print is not installed (Debian: openpace)")
    # The other program looks at the clock.
    now = datetime.now(UTC)
    renewed = renew(new_pki(now=now, random=counted()), now=now, random=counted("cvca"), new_cvca=True)
    roots, below = tmp_path / "roots", tmp_path / "below"
    for folder, certificates in (
        (roots, [*(each.root for each in renewed.authorities), renewed.dv.certificate]),
        (below, list(renewed.certificates())),
    ):
        folder.mkdir()
        for each in certificates:
            (folder / each.says.holder_reference.decode()).write_bytes(each.encode())
    (tmp_path / "description").write_bytes(renewed.terminal().description)
    for certificate in renewed.certificates():
        command = [program, f"--cvc={below / certificate.says.holder_reference.decode()}", f"--cvc-dir={roots}"]
        if certificate == renewed.terminal().certificate:
            command.append(f"--description={tmp_path / 'description'}")
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        assert f"CHR: {certificate.says.holder_reference.decode()}" in found
        assert "certificate verified" in found
