"""Relying parties under the FAPI 2.0 profiles, in their flavours, and a provider that sees TLS certificates."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.oidc.conformance import QUIET, Setup, client_keys, keys_file, playing
from tests.oidc.world import ISSUER, KEYS, World
from tests.qr.conftest import Clock
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.emulation.provider.clients import Client
from useid_middleware.emulation.provider.policy import Policy
from useid_middleware.http.asgi import Receive, Scope, Send

POLICY = Policy(
    signing_algorithm="ES256",
    refresh_tokens="always",
    require_pkce=True,
    require_pushed_authorization_requests=True,
    require_dpop_nonce=True,
)
CLIENT = replace(
    QUIET, client_secret="", require_pushed_authorization_requests=True, id_token_signed_response_alg="ES256"
)


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for the client and its key, in PEM."""

    certificate: str
    key: str


def certificate_for(name: str) -> Certificate:
    """A new one, with this name as its subject; a server at 127.0.0.1 can use it as well."""
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start + timedelta(days=36500))
    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    pem = builder.add_extension(names, critical=False).sign(key, SHA256()).public_bytes(Encoding.PEM).decode()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Certificate(pem, private)


@cache
def client_certificate() -> Certificate:
    """Ours. Its subject is what the client registered."""
    return certificate_for(CLIENT.client_id)


def certificate_files(folder: Path, certificate: Certificate) -> tuple[Path, Path]:
    """A certificate and its key in files."""
    files = (folder / "certificate.pem", folder / "key.pem")
    files[0].write_text(certificate.certificate)
    files[1].write_text(certificate.key)
    return files


class AskingProvider(Provider):
    """The provider behind a server that asks for certificates at the addresses for mutual TLS, and there alone.

    In one process there is no handshake, so the certificate is taken as shown; that our HTTP client does show it is a
    test of its own.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI, with the TLS extension."""
        if scope["type"] == "http" and scope["path"].startswith("/mtls/"):
            scope = {**scope, "extensions": {"tls": {"client_cert_chain": [client_certificate().certificate]}}}
        await super().__call__(scope, receive, send)


def dpop(folder: Path, **policy: Any) -> Setup:
    """private_key_jwt, pushed requests, tokens bound by DPoP."""
    private, public = client_keys("ES256")
    client = replace(CLIENT, token_endpoint_auth_method="private_key_jwt", jwks=public, dpop_bound_access_tokens=True)
    settings = {**_settings("fapi2", client), "private_keys": keys_file(folder, private), "dpop": True}
    return Setup(client=client, policy=replace(POLICY, **policy), provider=settings)


def mtls(folder: Path, **policy: Any) -> Setup:
    """Mutual TLS for the client's authentication, and tokens bound to its certificate."""
    client = replace(
        CLIENT,
        token_endpoint_auth_method="tls_client_auth",
        tls_client_auth_subject_dn=f"CN={CLIENT.client_id}",
        tls_client_certificate_bound_access_tokens=True,
    )
    certificate, key = certificate_files(folder, client_certificate())
    settings = {
        **_settings("fapi2", client),
        "client_authentication": "tls_client_auth",
        "tls_certificate": certificate,
        "tls_key": key,
    }
    return Setup(client=client, policy=replace(POLICY, require_dpop_nonce=False, **policy), provider=settings)


def message_signing(folder: Path, **policy: Any) -> Setup:
    """As with DPoP, and requests and responses are signed (JAR, JARM)."""
    setup = dpop(folder, **policy)
    client = replace(
        setup.client,
        require_signed_request_object=True,
        request_object_signing_alg="ES256",
        authorization_signed_response_alg="ES256",
    )
    settings = {**setup.provider, "profile": "fapi2-message-signing"}
    return Setup(client=client, policy=setup.policy, provider=settings, response_mode="jwt")


FLAVOURS = {"fapi2-dpop": dpop, "fapi2-mtls": mtls, "fapi2-message-signing": message_signing}


def _settings(profile: str, client: Client) -> dict[str, Any]:
    return {"profile": profile, "client_id": client.client_id, "client_secret": None}


@asynccontextmanager
async def playing_fapi(plan: str, folder: Path, *faults: str, **policy: Any) -> AsyncIterator[World]:
    """:func:`~tests.oidc.conformance.playing` for one of the flavours."""
    setup = FLAVOURS[plan](folder, **policy)
    clock = Clock()
    values: dict[str, Any] = {}
    if plan == "fapi2-mtls":
        op = AskingProvider(ISSUER, clients=[setup.client], policy=setup.policy, keys=KEYS, clock=clock)
        op.inject("mtls-endpoint-aliases")
        values = {"op": op, "transport": httpx2.ASGITransport(op)}
    async with playing(*faults, setup=setup, clock=clock, **values) as world:
        yield world
