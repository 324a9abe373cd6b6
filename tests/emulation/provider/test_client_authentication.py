"""How clients prove who they are: each by the one method it registered."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from joserfc.jwk import ECKey

from tests.emulation.provider.world import (
    CALLBACK,
    ISSUER,
    NOW,
    SECRET,
    VERIFIER,
    World,
    a_client,
    assertion,
    refused,
)
from useid_middleware.emulation.provider.client_authentication import ASSERTION_TYPE
from useid_middleware.emulation.provider.policy import Policy
from useid_middleware.http.asgi import Receive, Scope, Send

TOKEN_URL = f"{ISSUER}/token"


async def test_basic_authentication_is_form_encoded() -> None:
    world = World([a_client(client_id="a:b c", client_secret="p%ss:wörd")])
    form = {"grant_type": "client_credentials"}
    assert (await world.token(form, auth=("a%3Ab+c", "p%25ss%3Aw%C3%B6rd"))).status_code == 200
    assert refused(await world.token(form, auth=("a:b c", "p%ss:word")), "invalid_client", 401)


@pytest.mark.parametrize("auth", [("rp", "wrong"), ("rp", ""), ("stranger", SECRET), ("", "")])
async def test_wrong_secrets_and_strangers_are_refused(auth: tuple[str, str]) -> None:
    response = await World().token({"grant_type": "client_credentials"}, auth=auth)
    assert refused(response, "invalid_client", 401)
    assert response.headers["www-authenticate"].startswith("Basic")


async def test_a_client_authenticates_by_its_one_method() -> None:
    form = {"grant_type": "client_credentials", "client_id": "rp", "client_secret": SECRET}
    world = World()
    assert refused(await world.token(form, auth=None), "invalid_client", 401)
    assert refused(await world.token(form), "invalid_request")
    assert refused(
        await world.token({"grant_type": "client_credentials", "client_id": "rp"}, auth=None), "invalid_client", 401
    )
    posting = World([a_client(token_endpoint_auth_method="client_secret_post")])
    assert (await posting.token(form, auth=None)).status_code == 200
    assert refused(await posting.token({"grant_type": "client_credentials"}), "invalid_client", 401)


async def test_a_public_client_names_itself_and_proves_nothing() -> None:
    world = World([a_client(client_secret="", token_endpoint_auth_method="none")])
    code = (await world.log_in()).params["code"]
    form = {"grant_type": "authorization_code", "code": code, "client_id": "rp", "redirect_uri": CALLBACK}
    assert (await world.token(form | {"code_verifier": VERIFIER}, auth=None)).status_code == 200
    assert refused(
        await world.token({"grant_type": "client_credentials", "client_id": "rp"}, auth=None), "unauthorized_client"
    )


def claims(**changes: Any) -> dict[str, Any]:
    good = {"iss": "rp", "sub": "rp", "aud": ISSUER, "exp": NOW + 60, "iat": NOW, "jti": "once"}
    return {name: value for name, value in (good | changes).items() if value is not None}


def assertion_form(token: str) -> dict[str, str]:
    return {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": token}


@pytest.mark.parametrize("aud", [ISSUER, TOKEN_URL, [ISSUER, "https://other.example"]])
async def test_an_assertion_by_the_clients_key_is_good_once(aud: Any) -> None:
    world = World([a_client(token_endpoint_auth_method="private_key_jwt")])
    form = assertion_form(assertion(claims(aud=aud), kid="client-1"))
    assert (await world.token(form, auth=None)).status_code == 200
    assert refused(await world.token(form, auth=None), "invalid_client", 401)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "other"},
        {"sub": "other"},
        {"aud": "https://other.example"},
        {"aud": None},
        {"exp": NOW - 31},
        {"exp": NOW + 7200},
        {"exp": None},
        {"jti": None},
    ],
)
async def test_an_assertion_that_does_not_fit_is_refused(changes: dict[str, Any]) -> None:
    world = World([a_client(token_endpoint_auth_method="private_key_jwt")])
    response = await world.token(assertion_form(assertion(claims(**changes))), auth=None)
    assert refused(response, "invalid_client", 401)


async def test_an_assertion_by_another_key_or_none_is_refused() -> None:
    world = World([a_client(token_endpoint_auth_method="private_key_jwt")])
    foreign = ECKey.generate_key("P-256")
    for token in (
        assertion(claims(), key=foreign),
        assertion(claims(), key=SECRET.encode(), alg="HS256"),
        "not.a.token",
        "nothing",
    ):
        assert refused(await world.token(assertion_form(token), auth=None), "invalid_client", 401)
    form = assertion_form(assertion(claims())) | {"client_assertion_type": "urn:other"}
    assert refused(await world.token(form, auth=None), "invalid_request")


async def test_an_assertion_can_be_signed_with_the_secret() -> None:
    world = World([a_client(token_endpoint_auth_method="client_secret_jwt")])
    good = assertion(claims(), key=SECRET.encode(), alg="HS256")
    assert (await world.token(assertion_form(good), auth=None)).status_code == 200
    bad = assertion(claims(jti="twice"), key=b"guess", alg="HS256")
    assert refused(await world.token(assertion_form(bad), auth=None), "invalid_client", 401)


def certificate(key: EllipticCurvePrivateKey, name: str = "rp") -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.fromtimestamp(NOW, tz=UTC)
    built = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    built = built.serial_number(1).not_valid_before(start).not_valid_after(start + timedelta(days=1))
    return built.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def over_tls(world: World, pem: str) -> None:
    """From now on the server says that the client showed this certificate."""
    provider = world.provider

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await provider({**scope, "extensions": {"tls": {"client_cert_chain": [pem] if pem else []}}}, receive, send)

    world.machine = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=ISSUER)


async def test_mutual_tls_by_name_and_by_key() -> None:
    key, other = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    form = {"grant_type": "client_credentials", "client_id": "rp"}
    by_name = a_client(token_endpoint_auth_method="tls_client_auth", tls_client_auth_subject_dn="CN=rp")
    by_key = a_client(token_endpoint_auth_method="self_signed_tls_client_auth", jwks={"keys": [jwk_of(key)]})
    for client, wrong in ((by_name, certificate(key, "other")), (by_key, certificate(other))):
        world = World([client])
        over_tls(world, certificate(key))
        assert (await world.token(form, auth=None)).status_code == 200
        over_tls(world, wrong)
        assert refused(await world.token(form, auth=None), "invalid_client", 401)
        over_tls(world, "")
        assert refused(await world.token(form, auth=None), "invalid_client", 401)
        over_tls(world, "not PEM")
        assert refused(await world.token(form, auth=None), "invalid_request")


def jwk_of(key: EllipticCurvePrivateKey) -> dict[str, Any]:
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return dict(ECKey.import_key(pem).as_dict(private=False))


async def test_tokens_can_be_bound_to_a_certificate() -> None:
    key = generate_private_key(SECP256R1())
    world = World([a_client(tls_client_certificate_bound_access_tokens=True)])
    over_tls(world, certificate(key))
    token = (await world.tokens())["access_token"]
    assert (await world.userinfo(token)).status_code == 200
    introspected = await world.machine.post("/introspect", data={"token": token}, auth=("rp", SECRET))
    assert set(introspected.json()["cnf"]) == {"x5t#S256"}
    over_tls(world, certificate(generate_private_key(SECP256R1())))
    assert (await world.userinfo(token)).status_code == 401


async def test_a_certificate_header_is_trusted_only_where_it_is_configured() -> None:
    client = a_client(token_endpoint_auth_method="tls_client_auth", tls_client_auth_subject_dn="CN=rp")
    headers = {"x-client-cert": quote(certificate(generate_private_key(SECP256R1())))}
    form = {"grant_type": "client_credentials", "client_id": "rp"}
    for header, status in (("", 401), ("X-Client-Cert", 200)):
        world = World([client], Policy(certificate_header=header))
        assert (await world.machine.post("/token", data=form, headers=headers)).status_code == status
