"""The sealed refresh address of the channel binding."""

import json
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.webauthn import hpke
from useid_middleware._codec import b64url, un_b64url_any
from useid_middleware.errors import RequestError
from useid_middleware.webauthn.core.sealing import MAX_SIZE, decode_sealed, open_refresh_url, seal_refresh_url

RFC = {name: bytes.fromhex(value) for name, value in json.loads(
    Path(__file__).with_name("hpke_vectors.json").read_text("utf-8")
).items() if name != "source"}  # fmt: skip
PRIVATE = RFC["skRm"]
PUBLIC = RFC["pkRm"]
OTHER = bytes(range(32))
SESSION = "A" * 22
INFO = b"useid-refresh-hpke-v1\n" + SESSION.encode()
URL = "https://shop.example/auth/eid/refresh/abc?x=1&y=ä"


def test_the_reference_makes_the_vector_of_the_rfc_and_opens_it() -> None:
    sealed = hpke.seal(RFC["pt"], public_key=PUBLIC, ephemeral=RFC["skEm"], info=RFC["info"], aad=RFC["aad"])
    assert sealed == RFC["enc"] + RFC["ct"]
    assert hpke.open_sealed(sealed, private_key=PRIVATE, info=RFC["info"], aad=RFC["aad"]) == RFC["pt"]


def test_the_reference_opens_what_was_sealed() -> None:
    sealed = un_b64url_any(seal_refresh_url(URL, public_key=PUBLIC, session_id=SESSION))
    assert hpke.open_sealed(sealed, private_key=PRIVATE, info=INFO, aad=b"").decode() == URL
    with pytest.raises(InvalidTag):
        hpke.open_sealed(sealed, private_key=PRIVATE, info=INFO + b"x", aad=b"")


def test_what_the_reference_sealed_is_opened() -> None:
    sealed = hpke.seal(URL.encode(), public_key=PUBLIC, ephemeral=RFC["skEm"], info=INFO, aad=b"")
    assert open_refresh_url(b64url(sealed), private_key=PRIVATE, session_id=SESSION) == URL


def test_the_same_address_is_sealed_in_another_way_each_time() -> None:
    first, second = (seal_refresh_url(URL, public_key=PUBLIC, session_id=SESSION) for _ in range(2))
    assert first[:43] != second[:43]
    assert open_refresh_url(first, private_key=PRIVATE, session_id=SESSION) == URL
    assert open_refresh_url(second, private_key=PRIVATE, session_id=SESSION) == URL


def _refused(sealed: str, *, private_key: bytes = PRIVATE, session_id: str = SESSION) -> str:
    with pytest.raises(RequestError) as caught:
        open_refresh_url(sealed, private_key=private_key, session_id=session_id)
    assert "shop.example" not in str(caught.value)
    return caught.value.code


def test_another_key_and_another_session_open_nothing() -> None:
    sealed = seal_refresh_url(URL, public_key=PUBLIC, session_id=SESSION)
    assert _refused(sealed, private_key=OTHER) == "sealed_invalid"
    assert _refused(sealed, session_id="B" * 22) == "sealed_invalid"
    assert _refused(sealed, session_id="") == "sealed_invalid"


def test_no_byte_of_it_can_be_changed() -> None:
    sealed = un_b64url_any(seal_refresh_url(URL, public_key=PUBLIC, session_id=SESSION))
    for at in range(len(sealed)):
        for bit in (0x01, 0x80):
            changed = bytearray(sealed)
            changed[at] ^= bit
            assert _refused(b64url(bytes(changed))) == "sealed_invalid", at


def test_two_sealed_addresses_cannot_be_mixed() -> None:
    first, second = (un_b64url_any(seal_refresh_url(URL, public_key=PUBLIC, session_id=SESSION)) for _ in range(2))
    assert _refused(b64url(first[:32] + second[32:])) == "sealed_invalid"


def test_it_cannot_be_cut_or_extended() -> None:
    sealed = un_b64url_any(seal_refresh_url(URL, public_key=PUBLIC, session_id=SESSION))
    for part in (sealed[:-1], sealed + b"\0", sealed[:48], sealed[:49], sealed[:32], sealed[32:], sealed[:31]):
        assert _refused(b64url(part)) == "sealed_invalid", len(part)


@pytest.mark.parametrize("text", ["", "A", "A" * 64, "ä" * 80, "A" * 80 + "==", "+" * 80, "A" * 79 + "\n"])
def test_what_is_no_base64url_or_too_short_is_refused(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        decode_sealed(text)
    assert caught.value.code == "sealed_invalid"


def test_a_sealed_address_has_at_most_4096_characters() -> None:
    assert decode_sealed("A" * MAX_SIZE) == bytes(MAX_SIZE * 3 // 4)
    with pytest.raises(RequestError):
        decode_sealed("A" * (MAX_SIZE + 4))


def test_an_ephemeral_key_of_small_order_is_refused() -> None:
    sealed = un_b64url_any(seal_refresh_url(URL, public_key=PUBLIC, session_id=SESSION))
    for point in (bytes(32), b"\1" + bytes(31)):
        assert _refused(b64url(point + sealed[32:])) == "sealed_invalid"


def test_what_is_no_text_is_refused_although_it_was_sealed_well() -> None:
    sealed = hpke.seal(b"\xff\xfe", public_key=PUBLIC, ephemeral=RFC["skEm"], info=INFO, aad=b"")
    assert _refused(b64url(sealed)) == "sealed_invalid"


@pytest.mark.parametrize("key", [b"", PUBLIC[:31], PUBLIC + b"\0", bytes(32), b"\1" + bytes(31)])
def test_a_key_of_another_length_or_of_small_order_is_not_sealed_for(key: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        seal_refresh_url(URL, public_key=key, session_id=SESSION)
    assert caught.value.code == "widget_key_invalid"


def test_the_public_key_of_the_vector_belongs_to_its_private_key() -> None:
    assert X25519PrivateKey.from_private_bytes(PRIVATE).public_key().public_bytes_raw() == PUBLIC
