"""The tcToken: what we write is what is read, and every malformed form is refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from useid_middleware._xml import child, local_name, namespace, parse_xml, text
from useid_middleware.eid.core.tctoken import (
    CLIENT,
    LOOPBACK_CLIENT,
    PAOS_BINDING,
    PATH_SECURITY,
    WEBAUTHN,
    TCToken,
    WebAuthnServer,
    build_tctoken,
    client_url,
    domain_of,
    parse_tctoken,
)
from useid_middleware.errors import RequestError

TOKEN = TCToken(
    server_address="https://app.example/auth/eid/paos",
    session_identifier="7E0A12",
    refresh_address="https://app.example/auth/eid/refresh/abc?x=1&y=<2>",
    communication_error_address="https://app.example/auth/eid/refresh/abc",
    path_security=PATH_SECURITY,
    psk=bytes(range(32)),
)
XML = build_tctoken(TOKEN).decode()
#: XML keeps these as they are; a tab or a line break at an end is layout.
TEXTS = st.text(st.characters(min_codepoint=33, max_codepoint=0xFFFD, exclude_categories=["Cs", "Cc"]), min_size=1)


@given(server=TEXTS, session=TEXTS, refresh=TEXTS, error=TEXTS, psk=st.binary(max_size=64))
def test_what_is_written_is_what_is_read(server: str, session: str, refresh: str, error: str, psk: bytes) -> None:
    token = TCToken(server, session, refresh, error, path_security=PATH_SECURITY if psk else "", psk=psk)
    assert parse_tctoken(build_tctoken(token)) == token


def test_the_elements_have_the_names_and_the_order_of_the_schema() -> None:
    root = parse_xml(XML.encode(), max_size=4096)
    assert (local_name(root), namespace(root)) == ("TCTokenType", "")
    assert [local_name(element) for element in root] == [
        "ServerAddress",
        "SessionIdentifier",
        "RefreshAddress",
        "CommunicationErrorAddress",
        "Binding",
        "PathSecurity-Protocol",
        "PathSecurity-Parameters",
    ]
    parameters = child(root, "PathSecurity-Parameters", ns="")
    assert parameters is not None
    psk = child(parameters, "PSK", ns="")
    assert psk is not None
    assert text(psk) == bytes(range(32)).hex().upper()


def test_an_attached_server_needs_no_key() -> None:
    written = build_tctoken(replace(TOKEN, path_security="", psk=b""))
    assert b"PathSecurity" not in written
    assert parse_tctoken(written).psk == b""


def test_a_token_that_says_that_there_is_no_session_names_the_way_back_alone() -> None:
    token = TCToken(communication_error_address="https://app.example/auth/eid/refresh/abc")
    assert token.is_error
    assert not TOKEN.is_error
    written = build_tctoken(token)
    for name in (b"ServerAddress", b"SessionIdentifier", b"RefreshAddress", b"Binding", b"PathSecurity"):
        assert name not in written
    assert parse_tctoken(written) == token


def test_the_secrets_of_a_token_are_not_shown_by_accident() -> None:
    assert "7E0A12" not in repr(TOKEN)
    assert "refresh/abc" not in repr(TOKEN)
    assert repr(TOKEN.psk) not in repr(TOKEN)


def test_clients_are_started_on_this_machine() -> None:
    assert client_url("https://a.example/?a=1&b=2") == f"{CLIENT}?tcTokenURL=https%3A%2F%2Fa.example%2F%3Fa%3D1%26b%3D2"
    assert client_url("x", client=LOOPBACK_CLIENT) == "http://127.0.0.1:24727/eID-Client?tcTokenURL=x"


# ── the WebAuthn server ───────────────────────────────────────────────────────────────────────────────────────────────

HASHES = (bytes(range(32)), bytes(range(32, 64)))
BOUND = replace(TOKEN, webauthn_server=WebAuthnServer("widget.example", HASHES))
BOUND_XML = build_tctoken(BOUND).decode()

DOMAINS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z0-9]{1,20}){0,3}(:[1-9][0-9]{0,3})?", fullmatch=True)


@given(
    domain=DOMAINS.filter(lambda text: not text.endswith(":443")), hashes=st.lists(st.binary(min_size=32, max_size=32))
)
def test_the_webauthn_server_that_is_written_is_read(domain: str, hashes: list[bytes]) -> None:
    token = replace(TOKEN, webauthn_server=WebAuthnServer(domain, tuple(hashes)))
    assert parse_tctoken(build_tctoken(token)) == token


def test_the_webauthn_servers_element_is_of_a_namespace_of_ours_and_stock_clients_see_the_others_alone() -> None:
    *others, element = parse_xml(BOUND_XML.encode(), max_size=4096)
    assert [local_name(each) for each in others] == [
        local_name(each) for each in parse_xml(XML.encode(), max_size=4096)
    ]
    assert (local_name(element), namespace(element)) == ("WebAuthnServer", "urn:useid-middleware:webauthn:1")
    assert [(local_name(each), namespace(each), text(each)) for each in element] == [
        ("Domain", WEBAUTHN, "widget.example"),
        ("SPKI-SHA256", WEBAUTHN, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
        ("SPKI-SHA256", WEBAUTHN, "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"),
    ]


def test_a_token_of_another_login_names_no_webauthn_server() -> None:
    assert "WebAuthnServer" not in XML
    assert parse_tctoken(XML.encode()).webauthn_server is None


def test_a_token_that_says_that_there_is_no_session_vouches_for_nobody() -> None:
    token = TCToken(communication_error_address="https://app.example/", webauthn_server=BOUND.webauthn_server)
    assert b"WebAuthnServer" not in build_tctoken(token)


@pytest.mark.parametrize(
    "document",
    [
        BOUND_XML.replace(WEBAUTHN, "urn:useid-middleware:webauthn:2"),
        BOUND_XML.replace(f' xmlns:w="{WEBAUTHN}"', "").replace("w:", ""),
    ],
)
def test_an_element_of_another_namespace_vouches_for_nobody(document: str) -> None:
    assert parse_tctoken(document.encode()) == TOKEN


@pytest.mark.parametrize(
    ("address", "domain"),
    [
        ("https://widget.example", "widget.example"),
        ("https://widget.example/auth", "widget.example"),
        ("https://widget.example:443/auth", "widget.example"),
        ("https://Widget.example:8443/auth", "widget.example:8443"),
        ("http://localhost:8000/auth", "localhost:8000"),
        ("http://localhost/auth", "localhost:80"),
        ("https://[::1]:8443/", "[::1]:8443"),
        ("https://[::1]/", "[::1]"),
    ],
)
def test_a_server_is_named_by_host_and_port(address: str, domain: str) -> None:
    assert domain_of(address) == domain
    token = replace(TOKEN, webauthn_server=WebAuthnServer(domain))
    assert parse_tctoken(build_tctoken(token)) == token


@pytest.mark.parametrize(
    "address", ["", "widget.example", "https://", "ftp://widget.example", "https://a:x/", "https://[/"]
)
def test_what_is_no_web_address_names_no_server(address: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        domain_of(address)


HASH = "<w:SPKI-SHA256>AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8</w:SPKI-SHA256>"
DOMAIN = "<w:Domain>widget.example</w:Domain>"
ELEMENT = BOUND_XML[BOUND_XML.index("<w:WebAuthnServer") : BOUND_XML.index("</TCTokenType>")]


@pytest.mark.parametrize(
    "document",
    [
        BOUND_XML.replace(ELEMENT, ELEMENT * 2),
        BOUND_XML.replace(DOMAIN, ""),
        BOUND_XML.replace(DOMAIN, DOMAIN * 2),
        BOUND_XML.replace(DOMAIN, DOMAIN + "<w:Domain>evil.example</w:Domain>"),
        BOUND_XML.replace(DOMAIN, DOMAIN.replace("w:", "")),
        BOUND_XML.replace(HASH, HASH.replace("w:", "")),
        BOUND_XML.replace(HASH, HASH + "<w:Later/>"),
        BOUND_XML.replace(HASH, HASH + "text"),
        BOUND_XML.replace(DOMAIN, "text" + DOMAIN),
        BOUND_XML.replace(HASH, "<w:SPKI-SHA256/>"),
        BOUND_XML.replace(HASH, HASH.replace("AAEC", "AAE")),
        BOUND_XML.replace(HASH, HASH.replace("AAEC", "AAAEC")),
        BOUND_XML.replace(HASH, HASH.replace("Hh8", "Hh9")),
        BOUND_XML.replace(HASH, HASH.replace("Hh8", "Hh8=")),
        BOUND_XML.replace(HASH, HASH.replace("AAEC", "AA+C")),
        BOUND_XML.replace(HASH, HASH.replace("AAEC", "<b/>AAEC")),
        BOUND_XML.replace(DOMAIN, "<w:Domain><b>widget.example</b></w:Domain>"),
        *(
            BOUND_XML.replace(DOMAIN, f"<w:Domain>{domain}</w:Domain>")
            for domain in (
                "",
                "widget.example:443",
                "widget.example:0",
                "widget.example:08443",
                "widget.example:",
                "widget.example:100000",
                "widget.example:x",
                "Widget.example",
                "widget.example.",
                ".widget.example",
                "widget..example",
                "-widget.example",
                "widget.example/auth",
                "https://widget.example",
                "user@widget.example",
                "widget example",
                "w\u0131dget.example",
                "a" * 64,
                "[::1",
                "[]",
                "*",
            )
        ),
        build_tctoken(replace(BOUND, webauthn_server=WebAuthnServer("widget.example", (bytes(31),)))).decode(),
        # It says that there is no session, and the element beside it makes no sense.
        f"<TCTokenType><CommunicationErrorAddress>x</CommunicationErrorAddress>{ELEMENT * 2}</TCTokenType>",
    ],
)
def test_what_does_not_say_which_webauthn_server_it_is_is_refused(document: str) -> None:
    with pytest.raises(RequestError, match="tctoken_malformed"):
        parse_tctoken(document.encode())


def without(name: str) -> str:
    start, end = XML.index(f"<{name}>"), XML.index(f"</{name}>") + len(f"</{name}>")
    return XML[:start] + XML[end:]


@pytest.mark.parametrize(
    "document",
    [
        "",
        "no xml",
        "<TCTokenType>",
        "<TCTokenType/>",
        "<TCTokenType></TCToken>",
        "<Other/>",
        XML.replace("TCTokenType", "TCToken"),
        without("ServerAddress"),
        without("SessionIdentifier"),
        without("RefreshAddress"),
        XML.replace("https://app.example/auth/eid/paos", ""),
        XML.replace("7E0A12", ""),
        XML.replace("<Binding>", "<ServerAddress>https://evil.example/</ServerAddress><Binding>"),
        XML.replace("<Binding>", "<SessionIdentifier>other</SessionIdentifier><Binding>"),
        XML.replace("<Binding>", "<RefreshAddress>https://evil.example/</RefreshAddress><Binding>"),
        XML.replace(
            "<Binding>", "<CommunicationErrorAddress>https://evil.example/</CommunicationErrorAddress><Binding>"
        ),
        XML.replace("</Binding>", "</Binding><Binding>urn:other</Binding>"),
        XML.replace("</PSK>", "</PSK><PSK>00</PSK>"),
        XML.replace("</PathSecurity-Parameters>", "</PathSecurity-Parameters><PathSecurity-Parameters/>"),
        XML.replace(PAOS_BINDING, "urn:liberty:paos:2003-08"),
        XML.replace("<PSK>00", "<PSK>0"),
        XML.replace("<PSK>00", "<PSK>zz"),
        XML.replace("<TCTokenType>", '<!DOCTYPE TCTokenType [<!ENTITY a "b">]><TCTokenType>'),
        XML.replace("<TCTokenType>", '<!DOCTYPE TCTokenType SYSTEM "file:///etc/passwd"><TCTokenType>'),
        XML.replace("7E0A12", "&undefined;"),
        XML.replace("7E0A12", "<b>7E0A12</b>"),
        XML.replace("UTF-8", "UTF-7"),
        XML + "<!-- -->" + "x" * 20_000,
        XML.replace("7E0A12", "7E0A12" * 3000),
    ],
)
def test_every_malformed_form_is_refused(document: str) -> None:
    with pytest.raises(RequestError, match="tctoken_malformed") as caught:
        parse_tctoken(document.encode())
    assert caught.value.status_hint == 400
    assert bytes(range(32)).hex().upper() not in str(caught.value)


def test_elements_that_this_version_does_not_know_are_passed_over() -> None:
    later = XML.replace("<Binding>", "<Later>1</Later><Binding>")
    assert parse_tctoken(later.encode()) == TOKEN


def test_without_a_binding_it_is_paos() -> None:
    assert parse_tctoken(without("Binding").encode()) == TOKEN


@given(st.binary(max_size=300))
def test_no_bytes_at_all_do_worse_than_being_refused(data: bytes) -> None:
    with pytest.raises(RequestError, match="tctoken_malformed"):
        parse_tctoken(data)
