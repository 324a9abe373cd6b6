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
    TCToken,
    build_tctoken,
    client_url,
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
