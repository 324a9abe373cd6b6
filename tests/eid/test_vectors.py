"""The published test vectors, computed anew: docs/reference/eid-vectors.json is what our code does."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from useid_middleware.eid.core.link import ClientLink, Widget, build_widget_link, parse_link
from useid_middleware.eid.core.sealing import open_refresh_url, seal_refresh_url
from useid_middleware.eid.core.tctoken import LOOPBACK_CLIENT, client_url
from useid_middleware.errors import RequestError

Vector = Mapping[str, Any]

VECTORS = json.loads(Path(__file__).parents[2].joinpath("docs/reference/eid-vectors.json").read_text("utf-8"))


def _each(name: str) -> pytest.MarkDecorator:
    vectors: list[Vector] = VECTORS[name]
    assert vectors
    return pytest.mark.parametrize(
        "vector", [pytest.param(each, id=each.get("name") or each["why"]) for each in vectors]
    )


def _spelt(data: bytes) -> str:
    """Base64url without padding, by another way than the code's."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def _secret(vector: Vector) -> bytes:
    return bytes.fromhex(vector["widgetSessionSecret"])


@_each("clientLinks")
def test_a_stock_client_is_started_by_this_link(vector: Vector) -> None:
    url = vector["tcTokenUrl"]
    assert client_url(url) == vector["clientUrl"]
    assert client_url(url, client=LOOPBACK_CLIENT) == vector["loopbackUrl"]
    for link in (vector["clientUrl"], vector["loopbackUrl"]):
        assert parse_qs(urlsplit(link).query) == {"tcTokenURL": [url]}
        assert parse_link(link) == ClientLink(url)


@_each("widgetLinks")
def test_a_client_that_knows_the_widget_is_started_by_this_link(vector: Vector) -> None:
    url, session_id, server = vector["tcTokenUrl"], vector["widgetSessionId"], vector["server"]
    assert build_widget_link(tc_token_url=url, session_id=session_id, server=server) == vector["served"]
    assert f"{vector['served']}#widgetSessionSecret={_spelt(_secret(vector))}" == vector["scanned"]
    members = {"tcTokenURL": [url], "widgetSessionId": [session_id], "server": [server]}
    assert parse_qs(urlsplit(vector["served"]).query) == members
    assert parse_link(vector["scanned"]) == ClientLink(url, Widget(session_id, server, _secret(vector)))


@_each("invalidLinks")
def test_an_invalid_link_is_refused(vector: Vector) -> None:
    with pytest.raises(RequestError, match="link_malformed"):
        parse_link(vector["link"])


@_each("sealed")
def test_a_refresh_address_is_sealed_to_these_bytes(vector: Vector) -> None:
    session_id, nonce, url = vector["widgetSessionId"], bytes.fromhex(vector["nonce"]), vector["refreshUrl"]
    sealed = seal_refresh_url(url, secret=_secret(vector), session_id=session_id, nonce=nonce)
    assert sealed == vector["sealedRefreshUrl"]
    # The grammar as the reference puts it, written once more.
    aad = b"useid-refresh-v1\n" + session_id.encode("ascii")
    assert aad == bytes.fromhex(vector["aad"])
    assert _spelt(nonce + AESGCM(_secret(vector)).encrypt(nonce, url.encode("utf-8"), aad)) == sealed
    assert open_refresh_url(sealed, secret=_secret(vector), session_id=session_id) == url


@_each("invalidSealed")
def test_what_was_not_sealed_so_is_refused(vector: Vector) -> None:
    with pytest.raises(RequestError, match="sealed_invalid"):
        open_refresh_url(vector["sealedRefreshUrl"], secret=_secret(vector), session_id=vector["widgetSessionId"])
