"""TR-03130 over SOAP: the client of this package against the embedded server, every minor, and every forgery."""

import base64
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.emulation.card.world import NOW, stream
from tests.emulation.server.test_service import LIFETIME, Clock, few_rights
from tests.emulation.server.world import (
    CANCELLED,
    EVERYTHING,
    PSEUDONYM,
    Client,
    card_of,
    pki,
    with_body,
    with_data,
)
from useid_middleware._xml import Element, add, local_name
from useid_middleware.eid.client import SoapEIDServer
from useid_middleware.eid.core.attributes import Operation, UseIDRequest, UseIDSession, Wish
from useid_middleware.eid.core.requests import GetResultRequest, GetServerInfoRequest, Request, build_request
from useid_middleware.eid.core.responses import parse_get_result_response, parse_use_id_response
from useid_middleware.eid.core.results import Minor
from useid_middleware.eid.core.signing import NONCE_SIZE, VerifiedBody, sign_envelope, verify_envelope
from useid_middleware.eid.core.soap import CONTENT_TYPE, EID, Function
from useid_middleware.emulation import paos
from useid_middleware.emulation.paos import decode, encode
from useid_middleware.emulation.pki import PKI
from useid_middleware.emulation.server.app import Site
from useid_middleware.emulation.server.routes import SOAP_PATH, SoapRoutes
from useid_middleware.emulation.server.service import EmbeddedEIDServer
from useid_middleware.emulation.server.soap import SoapInterface
from useid_middleware.emulation.server.soap_keys import CLIENT, SIGNING, SigningKey, prepare_key, read_clients
from useid_middleware.errors import ConfigurationError, EIDServerError
from useid_middleware.settings import EIDSettings
from useid_middleware.stores.memory import MemoryStore

ORIGIN = "https://eid.example"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SigningKey]:
    """The server's key, an eService's, and two that look like it."""
    made = {}
    for name in ("server", "shop", "other shop", "stranger"):
        folder = tmp_path_factory.mktemp(name.replace(" ", "-"))
        made[name] = prepare_key(folder, SIGNING if name == "server" else CLIENT, now=NOW)
    return made


class World:
    """The SOAP interface in the process, for two eServices, and their messages."""

    def __init__(self, keys: dict[str, SigningKey], *, made: PKI | None = None, max_sessions: int = 100) -> None:
        self.clock = Clock()
        self.keys = keys
        self.store = MemoryStore(clock=self.clock)
        self.server = EmbeddedEIDServer(
            self.store,
            made or pki(),
            clock=self.clock,
            random_bytes=stream("server"),
            max_sessions=max_sessions,
            session_lifetime=LIFETIME,
        )
        interface = SoapInterface(
            self.server,
            clients=[keys["shop"].certificate, keys["other shop"].certificate],
            signing=lambda: keys["server"],
            store=self.store,
            clock=self.clock,
            random_bytes=stream("soap"),
        )
        site = Site(SoapRoutes(interface).routes(), origin=ORIGIN)
        self.transport = httpx2.ASGITransport(app=site)
        self._nonces = stream("nonce")

    def signed(
        self, request: Request | Element, *, who: str = "shop", change: Callable[[Element], None] | None = None
    ) -> bytes:
        """A message of an eService; ``change`` makes something else of its request before it is signed."""
        envelope = request if not isinstance(request, Request) else build_request(request)
        if change is not None:
            change(envelope[1][0])
        key = self.keys[who]
        return sign_envelope(
            envelope, certificate=key.certificate, key=key.key, now=self.clock(), nonce=self._nonces(NONCE_SIZE)
        )

    async def post(self, body: bytes, *, action: str = "", headers: dict[str, str] | None = None) -> httpx2.Response:
        """The answer of HTTP."""
        async with httpx2.AsyncClient(transport=self.transport, base_url=ORIGIN) as client:
            return await client.post(
                SOAP_PATH, content=body, headers={"content-type": CONTENT_TYPE, "soapaction": action, **(headers or {})}
            )

    async def call(self, body: bytes, *, action: str = "") -> VerifiedBody:
        """The answer's body, once the server's signature is verified."""
        response = await self.post(body, action=action)
        assert response.status_code == 200
        assert response.headers["content-type"] == CONTENT_TYPE
        certificate = self.keys["server"].certificate
        return verify_envelope(response.content, expected_certificates=[certificate], now=self.clock())

    async def minor(self, body: bytes, *, action: str = "") -> str:
        """The ResultMinor of a refusal."""
        payload = (await self.call(body, action=action)).payload
        assert [local_name(each) for each in payload] == ["Result"]
        found = {local_name(each): each.text or "" for each in payload[0]}
        assert found["ResultMajor"] == CANCELLED.major
        return found["ResultMinor"]

    async def opened(self, request: UseIDRequest = PSEUDONYM, *, who: str = "shop") -> UseIDSession:
        """A session."""
        return parse_use_id_response(await self.call(self.signed(request, who=who)))

    async def logged_in(self, session: UseIDSession, card: str = "erika", **options: Any) -> str:
        """The dialogue to its end: the minor that the client is told."""
        client = Client(session.psk_id, card_of(card, label=session.id), **options)
        message = client.start()
        while True:
            answer = decode(await self.server.answer_paos(encode(message)))
            if isinstance(answer.body, paos.StartPAOSResponse):
                return answer.body.result.minor
            message = client.respond(answer)

    def get_result(self, session: UseIDSession, counter: int, *, who: str = "shop") -> bytes:
        return self.signed(GetResultRequest(session.id, counter), who=who)


@pytest.fixture
def world(keys: dict[str, SigningKey]) -> World:
    return World(keys)


def settings(key: SigningKey, server: SigningKey, *, url: str, ca_file: Path | None = None) -> EIDSettings:
    return EIDSettings(
        server=url,
        tls_certificate=key.certificate_file,
        tls_key=key.key_file,
        ca_file=ca_file,
        signing_certificate=key.certificate_file,
        signing_key=key.key_file,
        server_signing_certificate=server.certificate_file,
    )


@pytest.fixture
async def client(world: World) -> AsyncIterator[SoapEIDServer]:
    made = SoapEIDServer(
        settings(world.keys["shop"], world.keys["server"], url=ORIGIN + SOAP_PATH),
        clock=world.clock,
        random_bytes=stream("client"),
        transport=world.transport,
    )
    yield made
    await made.close()


# --- The client of this package


async def test_a_login_over_soap_is_the_same_as_in_the_process(world: World, client: SoapEIDServer) -> None:
    session = await client.use_id(EVERYTHING)
    assert session.ecard_server_address == f"{ORIGIN}/eid/paos"
    assert await world.logged_in(session) == ""
    over_soap = await client.get_result(session.id, counter=1)
    inside = await world.server.use_id(EVERYTHING)
    await world.logged_in(inside)
    assert over_soap == await world.server.get_result(inside.id, counter=1)
    assert over_soap.personal_data.restricted_id is not None


async def test_the_server_says_over_soap_what_its_certificate_allows(world: World, client: SoapEIDServer) -> None:
    info = await client.get_server_info()
    assert info == await world.server.get_server_info()


async def test_a_key_that_the_service_brings_comes_back(client: SoapEIDServer) -> None:
    request = replace(PSEUDONYM, psk="0123456789abcdef" * 2, psk_id="shop 17")
    session = await client.use_id(request)
    assert (session.psk_id, session.psk) == (request.psk_id, request.psk)


async def test_a_refusal_reaches_the_service_as_one(client: SoapEIDServer) -> None:
    with pytest.raises(EIDServerError) as caught:
        await client.get_result("unknown", counter=1)
    assert caught.value.minor == Minor.INVALID_SESSION


# --- Every minor: useID


USE_ID: dict[str, tuple[UseIDRequest, Minor]] = {
    "a right that is missing": (
        UseIDRequest({Operation.RESIDENCE_PERMIT_I: Wish.REQUIRED}),
        Minor.MISSING_TERMINAL_RIGHTS,
    ),
    "an age without a number": (UseIDRequest({Operation.AGE_VERIFICATION: Wish.REQUIRED}), Minor.MISSING_ARGUMENT),
    "a place without a community": (UseIDRequest({Operation.PLACE_VERIFICATION: Wish.ALLOWED}), Minor.MISSING_ARGUMENT),
    "an odd PSK": (replace(PSEUDONYM, psk_id="1", psk="A" * 33), Minor.INVALID_PSK),
    "a short PSK": (replace(PSEUDONYM, psk_id="1", psk="A" * 30), Minor.INVALID_PSK),
    "a PSK that is not hexadecimal": (replace(PSEUDONYM, psk_id="1", psk="Z" * 32), Minor.INVALID_PSK),
}


@pytest.mark.parametrize("name", USE_ID)
async def test_what_cannot_be_served_is_refused_by_its_minor(keys: dict[str, SigningKey], name: str) -> None:
    request, expected = USE_ID[name]
    world = World(keys, made=few_rights())
    assert await world.minor(world.signed(request)) == expected


async def test_too_many_open_sessions_are_refused(keys: dict[str, SigningKey]) -> None:
    world = World(keys, max_sessions=1)
    await world.opened()
    assert await world.minor(world.signed(PSEUDONYM, who="other shop")) == Minor.TOO_MANY_OPEN_SESSIONS


# --- Every minor: getResult


async def test_before_the_end_there_is_no_result_yet(world: World) -> None:
    session = await world.opened()
    assert await world.minor(world.get_result(session, 1)) == Minor.NO_RESULT_YET
    await world.logged_in(session)
    assert parse_get_result_response(await world.call(world.get_result(session, 2))).personal_data.restricted_id


@pytest.mark.parametrize(
    ("card", "options", "expected"),
    [
        ("revoked", {}, Minor.INVALID_DOCUMENT),
        ("expired", {}, Minor.INVALID_DOCUMENT),
        ("erika", {"tampers": {2: with_data(token=bytes(8))}}, Minor.INVALID_DOCUMENT),
        ("erika", {"tampers": {1: with_data(challenge=b"")}}, Minor.INTERNAL_ERROR),
        ("erika", {"tampers": {1: with_body(paos.DIDAuthenticateResponse(CANCELLED, None))}}, Minor.INTERNAL_ERROR),
    ],
)
async def test_a_failed_authentication_is_told_once(
    world: World, card: str, options: dict[str, Any], expected: Minor
) -> None:
    session = await world.opened()
    assert await world.logged_in(session, card, **options) != ""
    assert await world.minor(world.get_result(session, 1)) == expected
    assert await world.minor(world.get_result(session, 2)) == Minor.INVALID_SESSION


async def test_a_counter_that_is_not_the_next_ends_the_session(world: World) -> None:
    session = await world.opened()
    assert await world.minor(world.get_result(session, 2)) == Minor.INVALID_COUNTER
    assert await world.minor(world.get_result(session, 1)) == Minor.INVALID_SESSION


async def test_a_session_that_is_foreign_delivered_or_timed_out_is_invalid(world: World) -> None:
    session, late = await world.opened(), await world.opened()
    await world.logged_in(session)
    assert await world.minor(world.get_result(session, 1, who="other shop")) == Minor.INVALID_SESSION
    await world.call(world.get_result(session, 1))
    assert await world.minor(world.get_result(session, 2)) == Minor.INVALID_SESSION
    world.clock.now += LIFETIME
    assert await world.minor(world.get_result(late, 1)) == Minor.INVALID_SESSION
    assert await world.minor(world.signed(GetResultRequest("no such session", 1))) == Minor.INVALID_SESSION


# --- Schema


def _without(name: str) -> Callable[[Element], None]:
    def change(request: Element) -> None:
        request.remove(next(each for each in request if local_name(each) == name))

    return change


def _twice(name: str) -> Callable[[Element], None]:
    def change(request: Element) -> None:
        found = next(each for each in request if local_name(each) == name)
        add(request, name, found.text or "", ns=EID)

    return change


def _saying(name: str, content: str) -> Callable[[Element], None]:
    def change(request: Element) -> None:
        next(each for each in request if local_name(each) == name).text = content

    return change


def _more(name: str) -> Callable[[Element], None]:
    def change(request: Element) -> None:
        add(request, name, ns=EID)

    return change


@pytest.mark.parametrize("change", [_without("UseOperations"), _twice("UseOperations"), _more("Nonsense")])
async def test_a_use_id_that_breaks_the_schema_is_refused(world: World, change: Callable[[Element], None]) -> None:
    assert await world.minor(world.signed(PSEUDONYM, change=change)) == Minor.SCHEMA_VIOLATION


@pytest.mark.parametrize(
    ("change", "ends"),
    [
        (_without("Session"), False),
        (_without("RequestCounter"), True),
        (_twice("RequestCounter"), True),
        (_saying("RequestCounter", "one"), True),
        (_saying("RequestCounter", ""), True),
        (_saying("RequestCounter", "1.5"), True),
        (_saying("RequestCounter", "9" * 40), True),
        (_more("Nonsense"), True),
    ],
)
async def test_a_get_result_that_breaks_the_schema_ends_the_session_that_it_names(
    world: World, change: Callable[[Element], None], ends: bool
) -> None:
    session = await world.opened()
    body = world.signed(GetResultRequest(session.id, 1), change=change)
    assert await world.minor(body) == Minor.SCHEMA_VIOLATION
    expected = Minor.INVALID_SESSION if ends else Minor.NO_RESULT_YET
    assert await world.minor(world.get_result(session, 1)) == expected


async def test_nobody_ends_anothers_session_by_breaking_the_schema(world: World) -> None:
    session = await world.opened()
    body = world.signed(GetResultRequest(session.id, 1), who="other shop", change=_without("RequestCounter"))
    assert await world.minor(body) == Minor.SCHEMA_VIOLATION
    assert await world.minor(world.get_result(session, 1)) == Minor.NO_RESULT_YET


async def test_another_function_than_there_is_breaks_the_schema(world: World) -> None:
    def rename(request: Element) -> None:
        request.tag = f"{{{EID}}}deleteAllRequest"

    assert await world.minor(world.signed(GetServerInfoRequest(), change=rename)) == Minor.SCHEMA_VIOLATION


# --- Signatures


def _broken(signed: bytes) -> bytes:
    """The same with another signature value."""

    def change(found: re.Match[bytes]) -> bytes:
        value = bytearray(base64.b64decode(found[2]))
        value[-1] ^= 1
        return found[1] + base64.b64encode(value) + found[3]

    return re.sub(rb"(<ds:SignatureValue>)([^<]+)(</ds:SignatureValue>)", change, signed)


FORGERIES: dict[str, Callable[[bytes], bytes]] = {
    "no Security header": lambda body: re.sub(rb"<wsse:Security.*</wsse:Security>", b"", body, flags=re.DOTALL),
    "no signature": lambda body: re.sub(rb"<ds:Signature.*</ds:Signature>", b"", body, flags=re.DOTALL),
    "no timestamp": lambda body: re.sub(rb"<wsu:Timestamp.*</wsu:Timestamp>", b"", body, flags=re.DOTALL),
    "another signature value": _broken,
    "a body that was changed": lambda body: body.replace(b"</soapenv:Body>", b" </soapenv:Body>"),
    "a signature with SHA-1": lambda body: body.replace(
        b"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", b"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1"
    ),
    "a digest with SHA-1": lambda body: body.replace(
        b"http://www.w3.org/2001/04/xmlenc#sha256", b"http://www.w3.org/2000/09/xmldsig#sha1"
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
@pytest.mark.parametrize("function", [Function.USE_ID, Function.GET_RESULT, Function.GET_SERVER_INFO])
async def test_what_nobody_has_signed_is_refused_and_opens_nothing(world: World, name: str, function: Function) -> None:
    session = await world.opened()
    requests: dict[Function, Request] = {
        Function.USE_ID: PSEUDONYM,
        Function.GET_RESULT: GetResultRequest(session.id, 1),
        Function.GET_SERVER_INFO: GetServerInfoRequest(),
    }
    signed = world.signed(requests[function])
    forged = FORGERIES[name](signed)
    assert forged != signed
    assert await world.minor(forged, action=function.action) == Minor.INTERNAL_ERROR
    assert await world.minor(world.get_result(session, 1)) == Minor.NO_RESULT_YET


async def test_a_message_of_a_stranger_is_refused(world: World) -> None:
    assert await world.minor(world.signed(PSEUDONYM, who="stranger")) == Minor.INTERNAL_ERROR


async def test_a_message_is_taken_once(world: World) -> None:
    body = world.signed(PSEUDONYM)
    await world.call(body)
    assert await world.minor(body) == Minor.INTERNAL_ERROR
    session = await world.opened()
    ask = world.get_result(session, 1)
    assert await world.minor(ask) == Minor.NO_RESULT_YET
    # A copy does not even cost the session its counter.
    assert await world.minor(ask) == Minor.INTERNAL_ERROR
    assert await world.minor(world.get_result(session, 2)) == Minor.NO_RESULT_YET


@pytest.mark.parametrize("seconds", [-400, 400])
async def test_a_message_of_another_time_is_refused(world: World, seconds: int) -> None:
    body = world.signed(PSEUDONYM)
    world.clock.now += seconds
    assert await world.minor(body) == Minor.INTERNAL_ERROR


async def test_the_answer_to_what_cannot_be_read_names_the_function_of_the_action(world: World) -> None:
    for action, expected in ((Function.GET_RESULT.action, "getResultResponse"), ("", "useIDResponse")):
        assert local_name((await world.call(b"<a/>", action=action)).payload) == expected


# --- HTTP


@pytest.mark.parametrize("body", [b"", b"hello", b"<a", b"<!DOCTYPE a><a/>", b"\xff\xfe", b"<a/>"])
async def test_what_is_no_envelope_breaks_the_schema(world: World, body: bytes) -> None:
    assert await world.minor(body) == Minor.SCHEMA_VIOLATION


async def test_a_body_of_another_type_or_size_is_refused_by_http(world: World) -> None:
    typed = await world.post(b"{}", headers={"content-type": "application/json"})
    assert (typed.status_code, typed.json()["code"]) == (415, "unsupported_media_type")
    large = await world.post(b" " * (256 * 1024 + 1))
    assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
    async with httpx2.AsyncClient(transport=world.transport, base_url=ORIGIN) as client:
        assert (await client.get(SOAP_PATH)).status_code == 405
        assert (await client.post("/eid/other")).status_code == 404


# --- Keys


def test_a_key_is_made_once_and_again_when_it_ends(tmp_path: Path) -> None:
    made = prepare_key(tmp_path, CLIENT, now=NOW)
    assert prepare_key(tmp_path, CLIENT, now=NOW).certificate == made.certificate
    assert made.key_file.stat().st_mode & 0o077 == 0
    assert "TEST" in made.certificate.subject.rfc4514_string()
    again = prepare_key(tmp_path, CLIENT, now=made.certificate.not_valid_after_utc)
    assert again.certificate != made.certificate


@pytest.mark.parametrize(
    ("name", "content"),
    [("soap/client.pem", b"no"), ("soap/client.key.pem", b"no"), ("soap/client.key.pem", "foreign")],
)
def test_a_key_that_cannot_be_used_is_a_configuration_error(tmp_path: Path, name: str, content: bytes | str) -> None:
    prepare_key(tmp_path / "pki", CLIENT, now=NOW)
    foreign = prepare_key(tmp_path / "other", CLIENT, now=NOW).key_file.read_bytes()
    (tmp_path / "pki" / name).write_bytes(foreign if isinstance(content, str) else content)
    with pytest.raises(ConfigurationError):
        prepare_key(tmp_path / "pki", CLIENT, now=NOW)


def test_clients_are_read_from_their_files(tmp_path: Path, keys: dict[str, SigningKey]) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(b"".join(keys[name].certificate_file.read_bytes() for name in ("shop", "other shop")))
    expected = (keys["shop"].certificate, keys["other shop"].certificate)
    assert read_clients([both]) == expected
    assert read_clients([keys[name].certificate_file for name in ("shop", "other shop")]) == expected


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_client_without_a_certificate_is_a_configuration_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "client.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"eid\.soap_clients"):
        read_clients([path])
