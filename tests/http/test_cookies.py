"""Cookies: names, attributes, and what is read of what a client sends."""

import pytest

from useid_middleware.http.cookies import Cookie

COOKIE = Cookie("useid-test")


def read(*values: str, secure: bool = False) -> str | None:
    return COOKIE.read([(b"host", b"x"), *((b"cookie", value.encode("latin-1")) for value in values)], secure=secure)


def test_over_https_the_name_has_the_host_prefix_and_the_cookie_is_secure() -> None:
    assert COOKIE.set("v", secure=True) == (
        b"set-cookie",
        b"__Host-useid-test=v; Path=/; HttpOnly; SameSite=Lax; Secure",
    )
    assert COOKIE.set("v", secure=False, max_age=5) == (
        b"set-cookie",
        b"useid-test=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=5",
    )


def test_a_plain_cookie_does_not_stand_in_for_the_secure_one() -> None:
    assert read("useid-test=planted", secure=True) is None
    assert read("__Host-useid-test=ours", secure=True) == "ours"


@pytest.mark.parametrize("header", ["useid-test=v", "a=b; useid-test=v", "useid-test=v; a=b", "a=b;useid-test=v;c"])
def test_it_is_found_wherever_it_stands(header: str) -> None:
    assert read(header) == "v"


def test_http2_splits_the_header_into_several() -> None:
    assert read("a=b", "useid-test=v", "c=d") == "v"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "other=v",
        "xuseid-test=v",
        "useid-test=",
        'useid-test="v"',
        "useid-test=v w",
        "useid-test=é",
        "useid-test=" + "a" * 129,
    ],
)
def test_what_we_did_not_write_is_not_read(header: str) -> None:
    assert read(header) is None


def test_two_different_values_are_none() -> None:
    assert read("useid-test=a; useid-test=b") is None
    assert read("useid-test=a", "useid-test=b") is None
    assert read("useid-test=a; useid-test=a") == "a"
