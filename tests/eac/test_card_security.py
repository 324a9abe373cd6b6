"""EF.CardSecurity: what we sign verifies, here and for OpenSSL; and each thing that can be wrong with it is told."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import algos, cms
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from tests.eac.conftest import mutations, truncations
from useid_middleware.eac.card_security import (
    build_card_security,
    parse_card_security,
    verify_card_security,
    verify_document_signer,
)
from useid_middleware.eac.errors import CardSecurityError, SecurityInfoError
from useid_middleware.eac.oids import OID
from useid_middleware.eac.security_infos import PACEInfo, SecurityInfos, TerminalAuthenticationInfo

NOW = datetime(2030, 1, 1, tzinfo=UTC)
INFOS = SecurityInfos((TerminalAuthenticationInfo(), PACEInfo(OID.PACE_ECDH_GM_AES_CBC_CMAC_128, parameter_id=13)))

USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    """A key that is the same in every run."""
    curves: dict[str, ec.EllipticCurve] = {"signer 384": ec.BrainpoolP384R1(), "signer 521": ec.SECP521R1()}
    return ec.derive_private_key(int.from_bytes(name.encode(), "big"), curves.get(name, ec.BrainpoolP256R1()))


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def certificate(
    subject: str,
    public: PrivateKey,
    issuer: str = "CSCA",
    *,
    signed_by: ec.EllipticCurvePrivateKey | None = None,
    ca: bool | None = False,
    usage: tuple[str, ...] | bytes | None = ("digital_signature",),
    starts: datetime = NOW - timedelta(days=100),
    ends: datetime = NOW + timedelta(days=100),
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public.public_key())
        .serial_number(1 if ca else 4711)
        .not_valid_before(starts)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public.public_key()), critical=False)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, 0 if ca else None), critical=True)
    if isinstance(usage, bytes):
        builder = builder.add_extension(x509.UnrecognizedExtension(ExtensionOID.KEY_USAGE, usage), critical=True)
    elif usage is not None:
        builder = builder.add_extension(x509.KeyUsage(**{name: name in usage for name in USAGES}), critical=True)
    return builder.sign(signed_by or key("CSCA"), SHA256(), ecdsa_deterministic=True)


CSCA = certificate("CSCA", key("CSCA"), ca=True, usage=("key_cert_sign",))
SIGNER = certificate("Document Signer", key("signer"))
FILE = build_card_security(INFOS, signer=SIGNER, key=key("signer"))


def test_what_is_built_verifies() -> None:
    assert verify_card_security(FILE, trusted=(CSCA,), now=NOW).encode() == INFOS.encode()
    signed = parse_card_security(FILE)
    assert signed.signer == SIGNER
    assert signed.content == INFOS.encode()


def test_the_same_infos_and_key_make_the_same_file() -> None:
    assert build_card_security(INFOS, signer=SIGNER, key=key("signer")) == FILE


@pytest.mark.parametrize("name", ["signer 384", "signer 521"])
def test_larger_keys_sign_with_larger_hashes(name: str) -> None:
    signer = certificate("Document Signer", key(name))
    data = build_card_security(INFOS, signer=signer, key=key(name))
    assert verify_card_security(data, trusted=(CSCA,), now=NOW).encode() == INFOS.encode()
    digest = cms.ContentInfo.load(data)["content"]["signer_infos"][0]["digest_algorithm"]["algorithm"].native
    assert digest == {"signer 384": "sha384", "signer 521": "sha512"}[name]


def test_openssl_accepts_what_is_built(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    (tmp_path / "csca.pem").write_bytes(CSCA.public_bytes(Encoding.PEM))
    (tmp_path / "ef").write_bytes(FILE)
    arguments = ("-inform", "DER", "-in", "ef", "-CAfile", "csca.pem", "-purpose", "any", "-out", "content")
    at = ("-attime", str(int(NOW.timestamp())))
    subprocess.run(
        [openssl, "cms", "-verify", "-binary", *arguments, *at], cwd=tmp_path, check=True, capture_output=True
    )
    assert (tmp_path / "content").read_bytes() == INFOS.encode()


def test_every_truncation_is_refused() -> None:
    for data in truncations(FILE):
        with pytest.raises(CardSecurityError):
            parse_card_security(data)


@given(mutations(FILE) | st.binary(max_size=100))
def test_what_is_changed_does_not_verify(data: bytes) -> None:
    if data == FILE:
        return
    try:
        infos = verify_card_security(data, trusted=(CSCA,), now=NOW)
    except CardSecurityError:
        return
    # Not signed are the versions, the set of digests and the parameters of digests: nothing is read from them.
    assert infos.encode() == INFOS.encode()


def test_every_changed_byte_is_refused_or_changes_nothing_that_is_believed() -> None:
    for position in range(len(FILE)):
        for mask in (0x01, 0x80):
            changed = bytearray(FILE)
            changed[position] ^= mask
            try:
                infos = verify_card_security(bytes(changed), trusted=(CSCA,), now=NOW)
            except CardSecurityError:
                continue
            assert infos.encode() == INFOS.encode()


def rewritten(**changes: Any) -> bytes:
    """The file with members of SignedData (or, with ``info_…``, of SignerInfo) replaced."""
    outer = cms.ContentInfo.load(FILE).copy()
    signed_data = outer["content"]
    for name, value in changes.items():
        if name.startswith("info_"):
            signed_data["signer_infos"][0][name.removeprefix("info_")] = value
        else:
            signed_data[name] = value
    result: bytes = outer.dump(force=True)
    return result


def signed_by(
    private: PrivateKey,
    algorithm: str,
    *,
    hash_algorithm: HashAlgorithm | None = None,
    salt: int = 32,
    mask: str = "sha256",
) -> bytes:
    """The file signed by RSA or by ECDSA, with an algorithm identifier of any kind."""
    signer = certificate("Document Signer", private)
    hash_algorithm = hash_algorithm or SHA256()
    attributes = cms.ContentInfo.load(FILE)["content"]["signer_infos"][0]["signed_attrs"]
    signed = b"\x31" + attributes.dump()[1:]
    parameters: dict[str, Any] = {"algorithm": algorithm}
    if isinstance(private, ec.EllipticCurvePrivateKey):
        signature = private.sign(signed, ec.ECDSA(hash_algorithm))
    elif algorithm == "rsassa_pss":
        signature = private.sign(signed, padding.PSS(padding.MGF1(hash_algorithm), salt), hash_algorithm)
        generator = {"algorithm": "mgf1", "parameters": {"algorithm": mask}}
        digest = {"algorithm": "sha256"}
        parameters["parameters"] = {
            "hash_algorithm": digest,
            "mask_gen_algorithm": generator,
            "salt_length": salt,
        }
    else:
        signature = private.sign(signed, padding.PKCS1v15(), hash_algorithm)
    der = signer.public_bytes(Encoding.DER)
    return rewritten(
        certificates=[cms.CertificateChoices.load(der)],
        info_signature_algorithm=algos.SignedDigestAlgorithm(parameters),
        info_signature=signature,
    )


@pytest.mark.parametrize("algorithm", ["rsassa_pss", "sha256_rsa", "rsassa_pkcs1v15"])
def test_signatures_by_rsa_verify_where_they_name_their_hash(algorithm: str) -> None:
    data = signed_by(rsa_key(), algorithm)
    if algorithm == "rsassa_pkcs1v15":
        with pytest.raises(CardSecurityError):
            parse_card_security(data)
    else:
        assert verify_card_security(data, trusted=(CSCA,), now=NOW).encode() == INFOS.encode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (lambda: signed_by(rsa_key(), "rsassa_pss", mask="sha512"), "one hash for message and mask"),
        (lambda: signed_by(rsa_key(), "sha256_ecdsa"), "fits the signer's key"),
        (lambda: signed_by(key("signer"), "sha256_rsa"), "fits the signer's key"),
        (lambda: signed_by(key("signer"), "sha1_ecdsa"), "expected one of sha256"),
        (lambda: signed_by(key("signer"), "sha384_ecdsa"), "does not verify"),
        (lambda: signed_by(key("stranger"), "sha384_ecdsa"), "does not verify"),
    ],
)
def test_signatures_of_another_kind_than_they_say_are_refused(data: Any, reason: str) -> None:
    with pytest.raises(CardSecurityError, match=reason):
        parse_card_security(data())


def without(name: str) -> bytes:
    """The file without a member of SignedData or its signer, which are optional in CMS."""
    outer = cms.ContentInfo.load(FILE)
    signed_data = outer["content"]
    place = {"content": signed_data["encap_content_info"], "signed_attrs": signed_data["signer_infos"][0]}
    place.get(name, signed_data)[name] = None
    result: bytes = outer.dump(force=True)
    return result


def attributes(*items: tuple[str, list[Any]]) -> cms.CMSAttributes:
    return cms.CMSAttributes([cms.CMSAttribute({"type": name, "values": values}) for name, values in items])


TYPE = ("content_type", [str(OID.SECURITY_OBJECT)])
DIGEST = ("message_digest", [bytes(32)])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (lambda: b"", "expected one data object"),
        (lambda: b"\x30\x80\0\0", "definite length"),
        (lambda: FILE + b"\0\0", "expected"),
        (lambda: b"\x30\x02\x05\0", "another one"),
        (lambda: cms.ContentInfo({"content_type": "data", "content": b"x"}).dump(), "content type SignedData"),
        (lambda: rewritten(version="v1"), "version 3"),
        (lambda: rewritten(encap_content_info={"content_type": "data", "content": b"x"}), "version 3"),
        (lambda: rewritten(signer_infos=[]), "one signer"),
        (lambda: without("content"), "the content and its signer"),
        (lambda: without("certificates"), "the content and its signer"),
        (lambda: without("signed_attrs"), "expected signed attributes"),
        (lambda: rewritten(certificates=[]), "the signer's certificate once, found 0"),
        (lambda: rewritten(certificates=[choice(SIGNER), choice(SIGNER)]), "the signer's certificate once, found 2"),
        (lambda: rewritten(certificates=[choice(CSCA)]), "the signer's certificate once, found 0"),
        (lambda: rewritten(info_sid=by_key(CSCA)), "the signer's certificate once, found 0"),
        (lambda: rewritten(info_signed_attrs=attributes(DIGEST)), "one content_type, found 0"),
        (lambda: rewritten(info_signed_attrs=attributes(TYPE, TYPE, DIGEST)), "one content_type, found 2"),
        (lambda: rewritten(info_signed_attrs=attributes(TYPE)), "one message_digest, found 0"),
        (
            lambda: rewritten(info_signed_attrs=attributes(("content_type", ["data"]), DIGEST)),
            "the type of the content",
        ),
        (lambda: rewritten(info_signed_attrs=attributes(TYPE, DIGEST)), "the digest of the content"),
        (lambda: rewritten(info_digest_algorithm={"algorithm": "sha1"}), "expected one of sha256"),
        (lambda: rewritten(info_signature=b"\x30\0"), "does not verify"),
    ],
)
def test_other_structures_are_refused(data: Any, reason: str) -> None:
    with pytest.raises(CardSecurityError, match=reason):
        parse_card_security(data())


def choice(certificate: x509.Certificate) -> cms.CertificateChoices:
    return cms.CertificateChoices.load(certificate.public_bytes(Encoding.DER))


def by_key(certificate: x509.Certificate) -> cms.SignerIdentifier:
    """The other way to name a signer (RFC 5652 §5.3)."""
    identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    return cms.SignerIdentifier({"subject_key_identifier": identifier})


def test_a_signer_may_be_named_by_its_key_and_found_among_several_certificates() -> None:
    data = rewritten(info_sid=by_key(SIGNER), certificates=[choice(CSCA), choice(SIGNER)])
    assert parse_card_security(data).signer == SIGNER


def test_a_key_on_a_curve_that_is_not_named_is_refused() -> None:
    # ICAO Doc 9303 wants explicit parameters; cryptography reads named curves only.
    der = SIGNER.public_bytes(Encoding.DER)
    named = bytes.fromhex("06092b2403030208010107")
    assert named in der
    unknown = cms.CertificateChoices.load(der.replace(named, named[:-1] + b"\x7f"))
    with pytest.raises(CardSecurityError, match="a key on a named curve"):
        parse_card_security(rewritten(certificates=[unknown]))


def test_content_that_is_no_security_infos_is_refused_once_it_is_believed() -> None:
    class NotInfos(SecurityInfos):
        def encode(self) -> bytes:
            return b"\x30\0"

    data = build_card_security(NotInfos(()), signer=SIGNER, key=key("signer"))
    with pytest.raises(SecurityInfoError):
        verify_card_security(data, trusted=(CSCA,), now=NOW)


def test_the_issuer_is_found_among_several_trusted_ones() -> None:
    others = [
        certificate(name, key(name), name, signed_by=key(name), ca=True, usage=("key_cert_sign",)) for name in "AB"
    ]
    assert verify_document_signer(SIGNER, trusted=(*others, CSCA), now=NOW) == CSCA
    with pytest.raises(CardSecurityError, match="found another issuer"):
        verify_document_signer(SIGNER, trusted=others, now=NOW)
    with pytest.raises(CardSecurityError, match="found another issuer"):
        verify_document_signer(SIGNER, trusted=(), now=NOW)


@pytest.mark.parametrize(
    "csca",
    [
        lambda: certificate("CSCA", key("stranger"), ca=True, usage=("key_cert_sign",)),
        lambda: certificate("CSCA", key("CSCA"), ca=False, usage=("key_cert_sign",)),
        lambda: certificate("CSCA", key("CSCA"), ca=None, usage=("key_cert_sign",)),
        lambda: certificate("CSCA", key("CSCA"), ca=True, usage=("digital_signature",)),
    ],
    ids=["another key of the same name", "no CA", "not said to be a CA", "no right to sign certificates"],
)
def test_a_csca_that_could_not_have_issued_the_signer_is_not_its_issuer(csca: Any) -> None:
    with pytest.raises(CardSecurityError, match="found another issuer"):
        verify_card_security(FILE, trusted=(csca(),), now=NOW)


def test_key_usage_need_not_be_there() -> None:
    csca = certificate("CSCA", key("CSCA"), ca=True, usage=None)
    signer = certificate("Document Signer", key("signer"), usage=None)
    assert verify_document_signer(signer, trusted=(csca,), now=NOW) == csca


def test_a_signer_that_may_not_sign_is_refused() -> None:
    signer = certificate("Document Signer", key("signer"), usage=("key_agreement",))
    with pytest.raises(CardSecurityError, match="key usage digitalSignature"):
        verify_document_signer(signer, trusted=(CSCA,), now=NOW)


@pytest.mark.parametrize("days", [-101, 101])
def test_certificates_that_are_not_valid_now_are_refused(days: int) -> None:
    at = NOW + timedelta(days=days)
    with pytest.raises(CardSecurityError, match="CSCA: expected a certificate that is valid now"):
        verify_document_signer(SIGNER, trusted=(CSCA,), now=at)
    lasting = certificate(
        "CSCA", key("CSCA"), ca=True, usage=None, starts=NOW - timedelta(days=999), ends=NOW + timedelta(days=999)
    )
    with pytest.raises(CardSecurityError, match="document signer: expected a certificate that is valid now"):
        verify_document_signer(SIGNER, trusted=(lasting,), now=at)


def test_a_revoked_signer_is_refused() -> None:
    assert verify_card_security(FILE, trusted=(CSCA,), now=NOW, revoked={4712}).encode() == INFOS.encode()
    with pytest.raises(CardSecurityError, match="revoked"):
        verify_card_security(FILE, trusted=(CSCA,), now=NOW, revoked={4711})


def test_extensions_that_cannot_be_read_are_refused() -> None:
    csca = certificate("CSCA", key("CSCA"), ca=True, usage=b"\x04\0")
    signer = certificate("Document Signer", key("signer"), usage=b"\x04\0")
    for trusted, leaf in ((csca, SIGNER), (CSCA, signer)):
        with pytest.raises(CardSecurityError, match="extensions that can be read"):
            verify_document_signer(leaf, trusted=(trusted,), now=NOW)
