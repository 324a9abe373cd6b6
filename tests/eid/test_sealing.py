"""The sealed refresh address: only the widget whose secret it was sealed under can read it, for its own session."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from useid_middleware._codec import b64url, un_b64url_any
from useid_middleware.eid.core.sealing import MAX_SIZE, NONCE_SIZE, decode_sealed, open_refresh_url, seal_refresh_url
from useid_middleware.errors import RequestError

SECRET = bytes(range(32))
SESSION = b64url(b"i" * 16)
NONCE = bytes(range(NONCE_SIZE))
URL = "https://app.example/auth/eid/refresh/abc?ResultMajor=ok"


def sealed(url: str = URL) -> str:
    return seal_refresh_url(url, secret=SECRET, session_id=SESSION, nonce=NONCE)


@given(
    url=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=500),
    secret=st.binary(min_size=32, max_size=32),
    session_id=st.binary(min_size=16, max_size=16).map(b64url),
    nonce=st.binary(min_size=NONCE_SIZE, max_size=NONCE_SIZE),
)
def test_what_was_sealed_is_what_is_opened(url: str, secret: bytes, session_id: str, nonce: bytes) -> None:
    blob = seal_refresh_url(url, secret=secret, session_id=session_id, nonce=nonce)
    assert decode_sealed(blob)[:NONCE_SIZE] == nonce
    assert open_refresh_url(blob, secret=secret, session_id=session_id) == url


def test_the_form_is_nonce_ciphertext_and_tag_in_base64url() -> None:
    content = un_b64url_any(sealed())
    assert content[:NONCE_SIZE] == NONCE
    assert len(content) == NONCE_SIZE + len(URL) + 16
    assert URL.encode() not in content


def test_another_secret_or_another_session_opens_nothing() -> None:
    with pytest.raises(RequestError, match="sealed_invalid"):
        open_refresh_url(sealed(), secret=bytes(32), session_id=SESSION)
    with pytest.raises(RequestError, match="sealed_invalid"):
        open_refresh_url(sealed(), secret=SECRET, session_id=b64url(b"j" * 16))


@given(position=st.integers(min_value=0, max_value=NONCE_SIZE + len(URL) + 16 - 1), bit=st.integers(0, 7))
def test_one_changed_bit_anywhere_opens_nothing(position: int, bit: int) -> None:
    content = bytearray(un_b64url_any(sealed()))
    content[position] ^= 1 << bit
    with pytest.raises(RequestError, match="sealed_invalid"):
        open_refresh_url(b64url(bytes(content)), secret=SECRET, session_id=SESSION)


def test_what_is_sealed_and_no_text_is_refused() -> None:
    blob = NONCE + AESGCM(SECRET).encrypt(NONCE, b"\xff\xfe", b"useid-refresh-v1\n" + SESSION.encode())
    with pytest.raises(RequestError, match="sealed_invalid"):
        open_refresh_url(b64url(blob), secret=SECRET, session_id=SESSION)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "!" * 60,
        sealed() + "=",
        sealed() + " ",
        sealed()[:-1] + "é",
        b64url(bytes(NONCE_SIZE + 16)),
        "A" * (MAX_SIZE + 1),
        b64url(bytes(MAX_SIZE)),
    ],
)
def test_what_cannot_be_a_sealed_address_is_refused_without_the_secret(text: str) -> None:
    with pytest.raises(RequestError, match="sealed_invalid") as caught:
        decode_sealed(text)
    assert caught.value.status_hint == 400


def test_the_longest_that_is_taken_is_as_long_as_it_says() -> None:
    assert len(decode_sealed(b64url(bytes(MAX_SIZE * 3 // 4)))) == MAX_SIZE * 3 // 4


def test_the_error_quotes_nothing() -> None:
    with pytest.raises(RequestError) as caught:
        open_refresh_url(sealed(), secret=bytes(32), session_id=SESSION)
    assert sealed()[:20] not in str(caught.value)
    assert "app.example" not in str(caught.value)


@given(st.text(max_size=200))
def test_no_text_at_all_does_worse_than_being_refused(text: str) -> None:
    with pytest.raises(RequestError, match="sealed_invalid"):
        open_refresh_url(text, secret=SECRET, session_id=SESSION)
