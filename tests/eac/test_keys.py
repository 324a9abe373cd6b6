"""Keys: published vectors of AES and CMAC, the derivation's variants, and sizes that fit nothing."""

from hashlib import sha1, sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from useid_middleware.eac.errors import KeyMaterialError, OIDError
from useid_middleware.eac.keys import (
    SessionKeys,
    decrypt,
    derive_password_key,
    derive_session_keys,
    encrypt,
    mac,
    pad,
    unpad,
)
from useid_middleware.eac.oids import OID

RFC_4493_KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
FIPS_197_KEY = bytes(range(32))


@pytest.mark.parametrize(
    ("size", "encrypted"),
    [
        (16, "69c4e0d86a7b0430d8cdb78070b4c55a"),
        (24, "dda97ca4864cdfe06eaf70a0ec0d7191"),
        (32, "8ea2b7ca516745bfeafc49904b496089"),
    ],
)
def test_one_block_is_encrypted_as_fips_197_says(size: int, encrypted: str) -> None:
    block = bytes.fromhex("00112233445566778899aabbccddeeff")
    key = FIPS_197_KEY[:size]
    assert SessionKeys(key, key).encrypt_block(block).hex() == encrypt(key, block).hex() == encrypted
    assert decrypt(key, bytes.fromhex(encrypted)) == block


def test_chained_blocks_are_encrypted_as_nist_sp_800_38a_says() -> None:
    # F.2.1, the first two blocks.
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    encrypted = bytes.fromhex("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2")
    iv = bytes(range(16))
    assert encrypt(RFC_4493_KEY, plain, iv=iv) == encrypted
    assert decrypt(RFC_4493_KEY, encrypted, iv=iv) == plain


@pytest.mark.parametrize(
    ("data", "found"),
    [("", "bb1d6929e9593728"), ("6bc1bee22e409f96e93d7e117393172a", "070a16b46b4d4144")],
)
def test_macs_are_those_of_rfc_4493_cut_to_eight_bytes(data: str, found: str) -> None:
    assert mac(RFC_4493_KEY, bytes.fromhex(data)).hex() == found


def test_a_mac_verifies_only_as_it_is() -> None:
    keys = SessionKeys(b"e" * 16, b"m" * 16)
    right = mac(keys.mac, b"data")
    assert keys.is_mac_of(b"data", right)
    for wrong in (right[:-1], right + b"\0", right[:-1] + bytes((right[-1] ^ 1,)), b""):
        assert not keys.is_mac_of(b"data", wrong)
    assert not keys.is_mac_of(b"date", right)


@pytest.mark.parametrize(
    ("protocol", "size", "digest"),
    [
        (OID.PACE_ECDH_GM_AES_CBC_CMAC_128, 16, sha1),
        (OID.CA_ECDH_AES_CBC_CMAC_192, 24, sha256),
        (OID.PACE_ECDH_GM_AES_CBC_CMAC_256, 32, sha256),
    ],
)
def test_the_hash_of_the_derivation_goes_with_the_cipher(protocol: str, size: int, digest: type) -> None:
    keys = derive_session_keys(b"secret", protocol=protocol, nonce=b"nonce")
    assert keys.enc == digest(b"secretnonce\0\0\0\1").digest()[:size]
    assert keys.mac == digest(b"secretnonce\0\0\0\2").digest()[:size]
    assert derive_password_key(b"123456", protocol=protocol) == digest(b"123456\0\0\0\3").digest()[:size]


def test_protocols_without_aes_derive_no_keys() -> None:
    with pytest.raises(OIDError):
        derive_session_keys(b"secret", protocol=OID.PACE_ECDH_GM_3DES_CBC_CBC)


def test_an_empty_password_is_refused() -> None:
    with pytest.raises(KeyMaterialError, match="expected a password"):
        derive_password_key(b"", protocol=OID.PACE_ECDH_GM_AES_CBC_CMAC_128)


def test_keys_and_data_of_other_sizes_are_refused() -> None:
    for wrong in (b"", bytes(15), bytes(17), bytes(33)):
        for use in (mac, encrypt, decrypt):
            with pytest.raises(KeyMaterialError, match="16, 24 or 32 bytes"):
                use(wrong, bytes(16))
        with pytest.raises(KeyMaterialError):
            SessionKeys(wrong, wrong)
    keys = SessionKeys(bytes(16), bytes(16))
    for size in (0, 15, 17):
        for use in (encrypt, decrypt):
            with pytest.raises(KeyMaterialError, match="whole blocks"):
                use(bytes(16), bytes(size))
        for of_session in (keys.encrypt_block, lambda data: keys.decrypt(data, iv=bytes(16))):
            with pytest.raises(KeyMaterialError, match="whole blocks"):
                of_session(bytes(size))
    with pytest.raises(KeyMaterialError, match="one size"):
        SessionKeys(bytes(16), bytes(32))


@given(st.lists(st.tuples(st.binary(max_size=300), st.binary(min_size=16, max_size=16)), min_size=2, max_size=5))
def test_session_keys_treat_each_message_as_if_it_were_their_first(messages: list[tuple[bytes, bytes]]) -> None:
    keys = SessionKeys(b"e" * 16, b"m" * 16)
    for data, block in messages:
        iv = keys.encrypt_block(block)
        assert iv == encrypt(keys.enc, block)
        assert keys.decrypt(encrypt(keys.enc, pad(data), iv=iv), iv=iv) == pad(data)
        assert keys.mac_of(data) == mac(keys.mac, data)


def test_session_keys_do_not_show_themselves() -> None:
    assert repr(SessionKeys(b"e" * 16, b"m" * 16)) == "SessionKeys()"


@given(st.binary(max_size=100))
def test_padding_comes_off_again(data: bytes) -> None:
    padded = pad(data)
    assert len(padded) % 16 == 0
    assert len(data) < len(padded) <= len(data) + 16
    assert unpad(padded) == data


@pytest.mark.parametrize("data", [b"", b"a", bytes(16), b"\x80" + bytes(16), b"a" * 16, b"\x81" + bytes(15)])
def test_what_is_not_padded_is_told(data: bytes) -> None:
    assert unpad(data) is None
