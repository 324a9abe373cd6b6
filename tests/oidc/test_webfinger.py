"""WebFinger: from what a person types to an issuer, with the examples of OpenID Connect Discovery."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from useid_middleware.errors import ProviderError, RequestError, UseIDError
from useid_middleware.oidc.core.webfinger import ISSUER, issuer_of, normalise, webfinger_url

RESOURCE = "acct:joe@example.com"


@pytest.mark.parametrize(
    ("identifier", "resource", "host"),
    [
        # The examples of Discovery 1.0 §2.2.
        ("joe@example.com", "acct:joe@example.com", "example.com"),
        ("https://example.com/joe", "https://example.com/joe", "example.com"),
        ("example.com:8080", "https://example.com:8080/", "example.com:8080"),
        (
            "acct:juliet%40capulet.example@shopping.example.com",
            "acct:juliet%40capulet.example@shopping.example.com",
            "shopping.example.com",
        ),
        # And of §2.1.
        ("example.com", "https://example.com/", "example.com"),
        ("example.com/joe", "https://example.com/joe", "example.com"),
        ("joe@example.com:8080", "https://joe@example.com:8080/", "example.com:8080"),
        ("https://example.com/joe?a=b#fragment", "https://example.com/joe?a=b", "example.com"),
        ("  joe@Example.COM ", "acct:joe@example.com", "example.com"),
        ("ACCT:joe@example.com", "acct:joe@example.com", "example.com"),
        ("HTTPS://Example.com:443/Joe", "https://example.com/Joe", "example.com"),
        ("http://example.com/joe", "http://example.com/joe", "example.com"),
        ("juliet@capulet.example@shopping.example.com", "acct:juliet%40capulet.example@shopping.example.com",
         "shopping.example.com"),
        ("joe+tag@example.com", "acct:joe+tag@example.com", "example.com"),
        ("jö@example.com", "acct:j%C3%B6@example.com", "example.com"),
        ("joe@müller.example", "acct:joe@xn--mller-kva.example", "xn--mller-kva.example"),
        ("joe@localhost", "acct:joe@localhost", "localhost"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000/", "127.0.0.1:9000"),
        ("http://[::1]:9000/a", "http://[::1]:9000/a", "[::1]:9000"),
    ],
)  # fmt: skip
def test_an_identifier_becomes_resource_and_host(identifier: str, resource: str, host: str) -> None:
    assert normalise(identifier) == (resource, host)


@pytest.mark.parametrize(
    "identifier",
    [
        "",
        " ",
        "@",
        "@example",
        "=joe",
        "!joe",
        "joe@",
        "acct:",
        "acct:joe",
        "acct:@example.com",
        "acct:joe@example.com:8080",
        "acct:joe@example.com/path",
        "mailto:joe@example.com",
        "javascript:alert(1)",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://",
        "https:///joe",
        "https://joe:secret@example.com/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://exa mple.com/",
        "https://example.com\\@evil.example/",
        "joe@exam\nple.com",
        "joe@-example.com",
        "joe@example..com",
        "joe@exam_ple.com",
        "joe@" + "a" * 64 + ".example",
        "https://[::1/",
        "https://[zz]/",
        "https://müller.example/",
        "joe@\u2028",
        "joe@müller..example",
        "joe@" + "ü" * 64,
        "x" * 301,
    ],
)
def test_what_is_no_identifier_is_refused(identifier: str) -> None:
    with pytest.raises(RequestError) as caught:
        normalise(identifier)
    assert caught.value.code == "identifier_invalid"


def test_the_request_is_that_of_discovery_section_2_2_1() -> None:
    assert webfinger_url(*normalise("joe@example.com")) == (
        "https://example.com/.well-known/webfinger?resource=acct%3Ajoe%40example.com"
        "&rel=http%3A%2F%2Fopenid.net%2Fspecs%2Fconnect%2F1.0%2Fissuer"
    )


def test_an_escaped_at_sign_is_escaped_again() -> None:
    url = webfinger_url(*normalise("acct:juliet%40capulet.example@shopping.example.com"))
    assert "resource=acct%3Ajuliet%2540capulet.example%40shopping.example.com&" in url


@pytest.mark.parametrize(
    ("identifier", "start"),
    [
        ("http://example.com/joe", "https://example.com/"),
        ("joe@localhost", "http://localhost/"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000/"),
        ("http://[::1]:9000", "http://[::1]:9000/"),
        ("https://localhost:9000", "https://localhost:9000/"),
        ("localhost.example.com", "https://localhost.example.com/"),
    ],
)
def test_only_this_machine_is_asked_without_tls(identifier: str, start: str) -> None:
    assert webfinger_url(*normalise(identifier)).startswith(start + ".well-known/webfinger?")


@given(st.text(max_size=40) | st.from_regex(r"(acct:|https?://)?[a-z%@]{0,9}@?[a-z.:/0-9\[\]-]{0,20}", fullmatch=True))
def test_every_text_is_an_identifier_with_a_host_to_ask_or_refused(identifier: str) -> None:
    try:
        resource, host = normalise(identifier)
    except UseIDError:
        return
    parts = urlsplit(webfinger_url(resource, host))
    assert (parts.netloc, parts.path) == (host, "/.well-known/webfinger")
    assert parse_qs(parts.query) == {"resource": [resource], "rel": [ISSUER]}
    assert normalise(resource) == (resource, host)


def answer(*hrefs: Any, **changes: Any) -> bytes:
    """An answer about the resource with these issuers."""
    links = [{"rel": "http://webfinger.net/rel/avatar", "href": 5}, *({"rel": ISSUER, "href": href} for href in hrefs)]
    return json.dumps({"subject": RESOURCE, "links": links} | changes).encode()


@pytest.mark.parametrize(
    "body",
    [
        answer("https://sso.example/realm"),
        answer("https://sso.example/realm", "https://sso.example/realm"),
        answer("https://sso.example/realm", subject="acct:joe.doe@example.com", aliases=[RESOURCE]),
        json.dumps({"links": [{"rel": ISSUER, "href": "https://sso.example/realm"}]}).encode(),
    ],
)
def test_an_answer_names_the_issuer(body: bytes) -> None:
    assert issuer_of(body, expected_resource=RESOURCE) == "https://sso.example/realm"


@pytest.mark.parametrize(
    ("body", "member"),
    [
        (b"", "document"),
        (b"[]", "document"),
        (b"<html>", "document"),
        (b'{"links":[],"links":[]}', "document"),
        (answer("https://sso.example", padding="x" * 256 * 1024), "document"),
        (answer("https://sso.example", subject="acct:eve@example.com"), "subject"),
        (answer("https://sso.example", subject=None), "subject"),
        (answer("https://sso.example", aliases=RESOURCE), "aliases"),
        (answer("https://sso.example", links=None), "links"),
        (answer("https://sso.example", links={}), "links"),
        (answer("https://sso.example", links=["https://sso.example"]), "links"),
        (answer("https://sso.example", links=[{}] * 101), "links"),
        (answer(), "links"),
        (answer("https://sso.example", "https://other.example"), "links"),
        (answer(None), "href"),
        (answer(["https://sso.example"]), "href"),
        (answer("http://sso.example"), "href"),
        (answer("https://sso.example?x"), "href"),
        (answer("https://sso.example#x"), "href"),
        (answer("https://user@sso.example"), "href"),
        (answer("javascript:alert(1)"), "href"),
        (answer("sso.example"), "href"),
        (answer("https://sso.example", "javascript:alert(1)"), "href"),
    ],
)
def test_an_answer_that_names_no_issuer_or_several_is_refused(body: bytes, member: str) -> None:
    with pytest.raises(ProviderError) as caught:
        issuer_of(body, expected_resource=RESOURCE)
    assert (caught.value.code, caught.value.details) == ("webfinger_invalid", {"member": member})


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise_our_error(body: bytes) -> None:
    with pytest.raises(UseIDError):
        issuer_of(body, expected_resource=RESOURCE)
