"""The eService's TLS key, looked at over real TLS before a bound login may end there."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.http.test_pins import certificate_of
from tests.qr.conftest import Clock
from useid_middleware.errors import EServiceError, UnavailableError
from useid_middleware.http.pins import pin_of
from useid_middleware.settings import EIDSettings, Tenant
from useid_middleware.webauthn.client import EServices


@asynccontextmanager
async def eservice(folder: Path) -> AsyncIterator[tuple[int, Path, bytes]]:
    """A TLS server with a key of its own: port, PEM file of its certificate, pin."""
    key = generate_private_key(SECP256R1())
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    der = certificate_of(key, days=3650)
    certificate.write_bytes(der.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], certificate, pin_of(der.public_bytes(Encoding.DER))
    finally:
        server.close()


def look_at(
    port: int, *, keys: tuple[Path, ...], clock: Clock | None = None, connect: Any = None, **more: Any
) -> EServices:
    tenant = Tenant.model_validate(
        {
            "origins": ["https://shop.example"],
            "token_urls": ["https://shop.example/eid/"],
            "refresh_origins": [f"https://localhost:{port}"],
            "client": "bound",
            "server_keys": keys,
            **more,
        }
    )
    return EServices(tenants={"shop": tenant}, eid=EIDSettings(), clock=clock or Clock(), connect=connect)


async def test_the_pin_of_a_known_key_is_told(tmp_path: Path) -> None:
    async with eservice(tmp_path) as (port, certificate, pin):
        assert await look_at(port, keys=(certificate,)).check("shop") == pin


async def test_any_of_the_known_keys_will_do_so_that_one_can_be_renewed(tmp_path: Path) -> None:
    following = tmp_path / "next.pem"
    key = generate_private_key(SECP256R1())
    following.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    async with eservice(tmp_path) as (port, certificate, pin):
        assert await look_at(port, keys=(following, certificate)).check("shop") == pin
        with pytest.raises(EServiceError, match="expected a TLS key of the settings") as refused:
            await look_at(port, keys=(following,)).check("shop")
        assert (refused.value.code, refused.value.status_hint) == ("eservice_refused", 502)


async def test_without_known_keys_an_authority_must_vouch(tmp_path: Path) -> None:
    async with eservice(tmp_path) as (port, _, _):
        with pytest.raises(EServiceError, match="an authority vouches"):
            await look_at(port, keys=()).check("shop")


async def test_an_eservice_that_is_away_or_speaks_no_tls_is_unavailable(tmp_path: Path) -> None:
    async with eservice(tmp_path) as (_, certificate, _):
        plain = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = plain.sockets[0].getsockname()[1]
        with pytest.raises(UnavailableError) as away:
            await look_at(port, keys=(certificate,)).check("shop")
        assert (away.value.code, away.value.retry_is_safe) == ("eservice_unavailable", True)
        plain.close()
        await plain.wait_closed()
        with pytest.raises(UnavailableError, match="eService"):
            await look_at(port, keys=(certificate,)).check("shop")


async def test_an_answer_is_believed_for_half_a_minute(tmp_path: Path) -> None:
    key, clock, asked = generate_private_key(SECP256R1()), Clock(), []

    async def connect(host: str, port: int, context: ssl.SSLContext) -> bytes:
        asked.append((host, port))
        return certificate_of(key).public_bytes(Encoding.DER)

    pem = tmp_path / "key.pem"
    pem.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    seen = look_at(443, keys=(pem,), clock=clock, connect=connect, refresh_origins=["https://shop.example"])
    for seconds in (0, 29.9, 0.2, -100):
        clock.advance(seconds)
        assert len(await seen.check("shop")) == 32
    # Again after half a minute, and when the clock went back.
    assert asked == [("shop.example", 443)] * 3


async def test_each_origin_where_logins_may_end_is_looked_at(tmp_path: Path) -> None:
    key, asked = generate_private_key(SECP256R1()), []

    async def connect(host: str, port: int, context: ssl.SSLContext) -> bytes:
        asked.append(host)
        return certificate_of(key if host == "one.example" else generate_private_key(SECP256R1())).public_bytes(
            Encoding.DER
        )

    pem = tmp_path / "key.pem"
    pem.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    origins = ["https://one.example", "https://two.example"]
    with pytest.raises(EServiceError):
        await look_at(443, keys=(pem,), connect=connect, refresh_origins=origins).check("shop")
    assert asked == ["one.example", "two.example"]


async def test_ourselves_we_know_and_a_tenant_whose_logins_are_not_bound_has_none(tmp_path: Path) -> None:
    key = generate_private_key(SECP256R1())
    pem = tmp_path / "own.pem"
    pem.write_bytes(certificate_of(key).public_bytes(Encoding.PEM))
    own = EServices(tenants={}, eid=EIDSettings(webauthn_server_keys=(pem,)), clock=Clock())
    assert await own.check("") == pin_of(certificate_of(key).public_bytes(Encoding.DER))
    assert await look_at(8443, keys=()).check("") == b""
    with pytest.raises(EServiceError, match="bound"):
        await look_at(8443, keys=(), client="integrated").check("shop")
