"""Object identifiers: there and back, and what the names of protocols fix."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from useid_middleware.eac.errors import OIDError
from useid_middleware.eac.oids import OID, Cipher, cipher_of, decode_oid, encode_oid, hash_of

arcs = st.integers(0, 1 << 40)
identifiers = st.tuples(st.integers(0, 1), st.integers(0, 39), st.lists(arcs, max_size=6)) | st.tuples(
    st.just(2), arcs, st.lists(arcs, max_size=6)
)


@given(identifiers)
def test_every_identifier_comes_back(arcs: tuple[int, int, list[int]]) -> None:
    dotted = ".".join(map(str, (arcs[0], arcs[1], *arcs[2])))
    assert decode_oid(encode_oid(dotted)) == dotted


@given(st.binary(max_size=70))
@example(b"")
@example(bytes(65))
def test_bytes_are_an_identifier_or_one_error(content: bytes) -> None:
    try:
        dotted = decode_oid(content)
    except OIDError:
        return
    assert encode_oid(dotted) == content


def test_the_encoding_is_that_of_the_standard() -> None:
    assert encode_oid(OID.PACE_ECDH_GM_AES_CBC_CMAC_128).hex() == "04007f00070202040202"
    # X.690 §8.19.5
    assert encode_oid("2.999.3").hex() == "883703"
    assert decode_oid(bytes.fromhex("883703")) == "2.999.3"


@pytest.mark.parametrize("content", ["", "80", "2A8001", "2A81", "00" * 65])
def test_other_encodings_are_refused(content: str) -> None:
    with pytest.raises(OIDError):
        decode_oid(bytes.fromhex(content))


@pytest.mark.parametrize("dotted", ["", "1", "a.b", "1.2.-3", "3.1", "0.40", "1.40.1", "-1.2", f"1.2.{1 << 500}"])
def test_what_is_no_identifier_is_refused(dotted: str) -> None:
    with pytest.raises(OIDError):
        encode_oid(dotted)


def test_protocols_fix_their_cipher() -> None:
    assert cipher_of("0.4.0.127.0.7.2.2.4.2.2") is Cipher.AES_128
    assert cipher_of(OID.CA_ECDH_AES_CBC_CMAC_192) is Cipher.AES_192
    assert cipher_of(OID.PACE_ECDH_GM_AES_CBC_CMAC_256) == 32
    for other in (OID.PACE_ECDH_GM_3DES_CBC_CBC, OID.TA_ECDSA_SHA_256, "1.2.3"):
        with pytest.raises(OIDError, match=r"expected a PACE or CA protocol"):
            cipher_of(other)


def test_protocols_fix_their_hash() -> None:
    assert hash_of("0.4.0.127.0.7.2.2.2.2.3") == "sha256"
    assert hash_of(OID.RI_ECDH_SHA_512) == "sha512"
    for other in (OID.TA_ECDSA_SHA_1, OID.CA_ECDH, "1.2.3"):
        with pytest.raises(OIDError, match=r"expected a TA-ECDSA or RI-ECDH protocol"):
            hash_of(other)
