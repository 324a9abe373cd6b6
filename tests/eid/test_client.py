"""The SOAP client: mutual TLS, signatures both ways, what is sent again and what never is."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import httpx2
import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from tests.eid.signers import NOW, new_signer, rsa_key
from tests.eid.soap_server import Parties, SoapServer, new_parties, settings_for, soap_server, write_files
from tests.qr.conftest import Clock
from useid_middleware._xml import serialize
from useid_middleware.eid.client import SoapEIDServer
from useid_middleware.eid.core.attributes import (
    EIDResult,
    Operation,
    Outcome,
    PersonalData,
    RestrictedID,
    ServerInfo,
    UseIDRequest,
    UseIDSession,
    Wish,
)
from useid_middleware.eid.core.requests import GetResultRequest, GetServerInfoRequest, Request
from useid_middleware.eid.core.responses import Response, build_response
from useid_middleware.eid.core.results import Minor
from useid_middleware.eid.core.signing import LIFETIME, SKEW, verify_envelope
from useid_middleware.eid.core.soap import CONTENT_TYPE, MAX_MESSAGE
from useid_middleware.eid.interface import EIDServer
from useid_middleware.errors import ConfigurationError, EIDServerError, UnavailableError

SESSION = "1234567890abcdef1234567890abcdef"
ASKED = UseIDRequest({Operation.RESTRICTED_ID: Wish.REQUIRED})
OPENED = UseIDSession(SESSION, "https://eid.example/paos", "0987654321abcdef1234567890abcdef", "AB" * 16)
RESULT = EIDResult(
    PersonalData(restricted_id=RestrictedID(bytes(32))),
    operations_allowed_by_user=dict.fromkeys(Operation, Outcome.PROHIBITED)
    | {Operation.RESTRICTED_ID: Outcome.ALLOWED},
)
INFO = ServerInfo("2.4.0", dict.fromkeys(Operation, Wish.ALLOWED))


def answer(request: Request) -> Response:
    """What a server says to whom it likes."""
    match request:
        case UseIDRequest():
            return OPENED
        case GetResultRequest():
            return RESULT
        case GetServerInfoRequest():
            return INFO


def refuse(minor: Minor) -> Callable[[Request], Response]:
    """A server that refuses everything, with this minor."""

    def refusing(request: Request) -> Response:
        raise EIDServerError(minor, "expected this, found that")

    return refusing


@pytest.fixture(scope="module")
def parties() -> Parties:
    return new_parties()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, parties: Parties) -> Path:
    made = tmp_path_factory.mktemp("eid")
    write_files(made, parties)
    return made


def nonces() -> Callable[[int], bytes]:
    """Bytes that never come twice."""
    numbers = count()
    return lambda size: next(numbers).to_bytes(size, "big")


@asynccontextmanager
async def client_of(
    folder: Path, *, server: str = "https://eid.example/soap", limit: float = 10, transport: object = None
) -> AsyncIterator[SoapEIDServer]:
    """A client with the files in this folder, closed in the end."""
    settings = settings_for(folder, server=server, timeout=limit)
    client = SoapEIDServer(settings, clock=Clock(), random_bytes=nonces(), transport=transport)
    await client.open()
    yield client
    await client.close()


Answers = Callable[[httpx2.Request], httpx2.Response]


class Network(httpx2.AsyncBaseTransport):
    """A network where, one after the other, each request meets its fate; the last one also meets the rest.

    ``read`` counts those of which the server has seen something.
    """

    def __init__(self, *fates: Answers | Exception | type[Exception]) -> None:
        self._fates = fates
        self.tried = 0
        self.read: list[bytes] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2."""
        fate = self._fates[min(self.tried, len(self._fates) - 1)]
        self.tried += 1
        if isinstance(fate, type):
            raise fate("nobody is there")
        self.read.append(await request.aread())
        if isinstance(fate, Exception):
            raise fate
        return fate(request)


def good(parties: Parties, say: Callable[[Request], Response] = answer) -> Answers:
    """The answer of an honest server."""
    server = SoapServer(parties, say)
    return lambda request: soap(server.respond(request.content))


def soap(body: bytes, *, status: int = 200, content_type: str = CONTENT_TYPE) -> httpx2.Response:
    """An answer that comes as from the network, in pieces."""

    async def pieces() -> AsyncIterator[bytes]:
        yield body

    return httpx2.Response(status, content=pieces(), headers={"content-type": content_type})


async def disbelieved(folder: Path, fate: Answers, *, times: int = 1) -> str:
    """Why a result that comes so is not believed."""
    network = Network(fate)
    async with client_of(folder, transport=network) as client:
        with pytest.raises(UnavailableError) as caught:
            await client.get_result(SESSION, counter=1)
    assert caught.value.code == "eid_server_unavailable"
    assert not caught.value.retry_is_safe
    assert network.tried == times
    return caught.value.message


# over real TLS


async def test_all_functions_work_over_mutual_tls(folder: Path, parties: Parties) -> None:
    async with (
        soap_server(folder, parties, answer) as server,
        client_of(folder, server=server.url) as client,
    ):
        eid_server: EIDServer = client
        assert await eid_server.get_server_info() == INFO
        assert await eid_server.use_id(ASKED) == OPENED
        assert await eid_server.get_result(SESSION, counter=1) == RESULT
    operations = {each: ASKED.operations.get(each, Wish.PROHIBITED) for each in Operation}
    assert server.requests == [GetServerInfoRequest(), UseIDRequest(operations), GetResultRequest(SESSION, 1)]


async def test_requests_are_posted_as_the_interface_says(folder: Path, parties: Parties) -> None:
    async with soap_server(folder, parties, answer) as server, client_of(folder, server=server.url) as client:
        await client.use_id(ASKED)
        await client.get_result(SESSION, counter=1)
        await client.get_server_info()
    assert [each["soapaction"] for each in server.headers] == [
        '"http://bsi.bund.de/eID/useID"',
        '"http://bsi.bund.de/eID/getResult"',
        '"http://bsi.bund.de/eID/getServerInfo"',
    ]
    for headers in server.headers:
        assert headers[":request"] == "POST /soap HTTP/1.1"
        assert headers["content-type"] == "text/xml;charset=utf-8"
        assert headers["accept-encoding"] == "identity"
        assert "transfer-encoding" not in headers


async def test_calls_one_after_another_share_a_connection(folder: Path, parties: Parties) -> None:
    async with soap_server(folder, parties, answer) as server, client_of(folder, server=server.url) as client:
        for counter in range(1, 6):
            await client.get_result(SESSION, counter=counter)
    assert server.connections == 1


async def test_calls_at_once_are_all_answered(folder: Path, parties: Parties) -> None:
    async with soap_server(folder, parties, answer) as server, client_of(folder, server=server.url) as client:
        results = await asyncio.gather(*(client.get_result(SESSION, counter=each) for each in range(20)))
    assert results == [RESULT] * 20
    assert len(server.requests) == 20


@pytest.mark.parametrize("minor", Minor)
async def test_a_refusal_is_raised_with_its_minor(folder: Path, parties: Parties, minor: Minor) -> None:
    async with soap_server(folder, parties, refuse(minor)) as server, client_of(folder, server=server.url) as client:
        for call in (client.use_id(ASKED), client.get_result(SESSION, counter=1), client.get_server_info()):
            with pytest.raises(EIDServerError) as caught:
                await call
            assert caught.value.minor == minor
    assert len(server.requests) == 3


async def test_a_server_of_another_authority_is_not_spoken_to(tmp_path: Path, folder: Path, parties: Parties) -> None:
    write_files(tmp_path, parties)
    (tmp_path / "ca.pem").write_bytes(new_parties().authority.certificate_pem)
    async with soap_server(folder, parties, answer) as server, client_of(tmp_path, server=server.url) as client:
        with pytest.raises(UnavailableError) as caught:
            await client.get_result(SESSION, counter=1)
    assert caught.value.retry_is_safe
    assert server.requests == []


async def test_a_server_of_another_name_is_not_spoken_to(folder: Path, parties: Parties) -> None:
    async with (
        soap_server(folder, parties, answer, host="127.0.0.1") as server,
        client_of(folder, server=server.url) as client,
    ):
        with pytest.raises(UnavailableError) as caught:
            await client.get_result(SESSION, counter=1)
    assert caught.value.retry_is_safe
    assert server.requests == []


async def test_a_client_without_the_right_certificate_is_not_answered(
    tmp_path: Path, folder: Path, parties: Parties
) -> None:
    write_files(tmp_path, parties)
    foreign = new_signer(name="client TEST", now=datetime.now(UTC).timestamp())
    (tmp_path / "tls.pem").write_bytes(foreign.certificate_pem)
    (tmp_path / "tls.key").write_bytes(foreign.key_pem)
    async with soap_server(folder, parties, answer) as server, client_of(tmp_path, server=server.url) as client:
        with pytest.raises(UnavailableError):
            await client.get_server_info()
    assert server.requests == []


async def test_nobody_at_the_address_is_certain_to_have_no_effect(folder: Path, parties: Parties) -> None:
    async with soap_server(folder, parties, answer) as server:
        pass
    async with client_of(folder, server=server.url) as client:
        with pytest.raises(UnavailableError) as caught:
            await client.get_result(SESSION, counter=1)
    assert caught.value.message == "eID server: expected an answer, found ConnectError"
    assert caught.value.retry_is_safe


async def test_a_client_can_be_closed_twice_and_used_again(folder: Path, parties: Parties) -> None:
    async with soap_server(folder, parties, answer) as server, client_of(folder, server=server.url) as client:
        await client.get_server_info()
        await client.close()
        await client.close()
        assert await client.get_server_info() == INFO
    assert server.connections == 2


# what is sent again

CALLS: dict[str, Callable[[SoapEIDServer], Awaitable[object]]] = {
    "useID": lambda client: client.use_id(ASKED),
    "getResult": lambda client: client.get_result(SESSION, counter=1),
    "getServerInfo": lambda client: client.get_server_info(),
}
ANSWERS = {"useID": OPENED, "getResult": RESULT, "getServerInfo": INFO}
LOST = [httpx2.ReadTimeout("late"), httpx2.ReadError("broken"), httpx2.RemoteProtocolError("gone")]


@pytest.mark.parametrize("function", CALLS)
@pytest.mark.parametrize("fate", [httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout])
async def test_what_did_not_leave_is_sent_once_more(
    folder: Path, parties: Parties, fate: type[Exception], function: str
) -> None:
    network = Network(fate, good(parties))
    async with client_of(folder, transport=network) as client:
        assert await CALLS[function](client) == ANSWERS[function]
    assert (network.tried, len(network.read)) == (2, 1)


@pytest.mark.parametrize("function", CALLS)
async def test_what_never_left_certainly_had_no_effect(folder: Path, function: str) -> None:
    network = Network(httpx2.ConnectError)
    async with client_of(folder, transport=network) as client:
        with pytest.raises(UnavailableError) as caught:
            await CALLS[function](client)
    assert caught.value.code == "eid_server_unavailable"
    assert caught.value.retry_is_safe
    assert network.tried == 2


@pytest.mark.parametrize("function", ["useID", "getServerInfo"])
@pytest.mark.parametrize("lost", LOST, ids=lambda each: type(each).__name__)
async def test_an_unanswered_request_that_does_no_harm_is_sent_once_more(
    folder: Path, parties: Parties, lost: Exception, function: str
) -> None:
    network = Network(lost, good(parties))
    async with client_of(folder, transport=network) as client:
        assert await CALLS[function](client) == ANSWERS[function]
    assert network.tried == 2


@pytest.mark.parametrize("lost", LOST, ids=lambda each: type(each).__name__)
async def test_a_result_is_never_asked_for_again_once_the_request_was_sent(
    folder: Path, parties: Parties, lost: Exception
) -> None:
    network = Network(lost, good(parties))
    async with client_of(folder, transport=network) as client:
        with pytest.raises(UnavailableError) as caught:
            await client.get_result(SESSION, counter=1)
    assert not caught.value.retry_is_safe
    assert network.tried == 1


async def test_a_request_that_left_once_may_have_had_an_effect_whatever_came_then(folder: Path) -> None:
    network = Network(httpx2.ReadTimeout("late"), httpx2.ConnectError)
    async with client_of(folder, transport=network) as client:
        with pytest.raises(UnavailableError) as caught:
            await client.use_id(ASKED)
    assert not caught.value.retry_is_safe
    assert network.tried == 2


async def test_nothing_is_sent_three_times(folder: Path) -> None:
    network = Network(httpx2.ReadTimeout("late"))
    async with client_of(folder, transport=network) as client:
        with pytest.raises(UnavailableError):
            await client.get_server_info()
    assert network.tried == 2


async def test_what_is_sent_again_is_signed_anew(folder: Path, parties: Parties) -> None:
    network = Network(httpx2.ReadTimeout("late"), good(parties))
    async with client_of(folder, transport=network) as client:
        await client.use_id(ASKED)
    keys = {
        verify_envelope(each, expected_certificates=[parties.client.certificate], now=NOW).replay_key
        for each in network.read
    }
    assert len(keys) == 2


async def test_a_refusal_is_final(folder: Path, parties: Parties) -> None:
    network = Network(good(parties, refuse(Minor.TOO_MANY_OPEN_SESSIONS)))
    async with client_of(folder, transport=network) as client:
        with pytest.raises(EIDServerError):
            await client.use_id(ASKED)
    assert network.tried == 1


async def test_a_server_that_does_not_answer_is_left_after_the_time_limit(folder: Path, parties: Parties) -> None:
    async with silent_server(folder) as url, client_of(folder, server=url, limit=0.2) as client:
        with pytest.raises(UnavailableError) as caught:
            await client.get_result(SESSION, counter=1)
    assert not caught.value.retry_is_safe


async def test_a_server_that_does_not_end_its_answer_is_left_after_the_time_limit(folder: Path) -> None:
    """It has begun in time, and never ends."""

    def fate(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=slowly(), headers={"content-type": CONTENT_TYPE})

    async def slowly() -> AsyncIterator[bytes]:
        yield b"<"
        await asyncio.Event().wait()

    async with client_of(folder, transport=Network(fate), limit=0.2) as client:
        with pytest.raises(UnavailableError, match="expected an answer, found TimeoutError"):
            await client.get_result(SESSION, counter=1)


# answers that are not believed


async def test_an_answer_that_nobody_signed_is_not_believed(folder: Path) -> None:
    body = serialize(build_response(RESULT))
    reason = await disbelieved(folder, lambda request: soap(body))
    assert reason == "eID server: WS-Security: Security: expected once, found 0 times"


async def test_an_answer_that_another_signed_is_not_believed(folder: Path, parties: Parties) -> None:
    signers = iter([parties.client, parties.server_tls, new_signer()])
    for _ in range(3):
        reason = await disbelieved(folder, lambda request: soap(next(signers).sign(build_response(RESULT))))
        assert "expected a certificate that is trusted, found another" in reason


async def test_our_own_request_is_no_answer(folder: Path) -> None:
    assert "found another" in await disbelieved(folder, lambda request: soap(request.content))


@pytest.mark.parametrize(
    ("sent", "reason"),
    [(NOW - LIFETIME - SKEW, "Expires: expected a moment to come"), (NOW + SKEW + 1, "Created: expected a moment")],
)
async def test_an_answer_of_another_time_is_not_believed(
    folder: Path, parties: Parties, sent: float, reason: str
) -> None:
    body = parties.server.sign(build_response(RESULT), now=sent)
    assert reason in await disbelieved(folder, lambda request: soap(body))


async def test_an_answer_that_was_changed_is_not_believed(folder: Path, parties: Parties) -> None:
    body = parties.server.sign(build_response(RESULT)).replace(b"PROHIBITED", b"NOTONCHIP", 1)
    assert "expected the digest of Body" in await disbelieved(folder, lambda request: soap(body))


async def test_an_answer_that_came_before_is_not_believed(folder: Path, parties: Parties) -> None:
    body = parties.server.sign(build_response(RESULT))
    async with client_of(folder, transport=Network(lambda request: soap(body))) as client:
        assert await client.get_result(SESSION, counter=1) == RESULT
        with pytest.raises(UnavailableError, match="expected a new answer, found one that came before"):
            await client.get_result(SESSION, counter=2)


async def test_answers_are_remembered_only_while_they_are_good(folder: Path, parties: Parties) -> None:
    clock = Clock()
    server = SoapServer(parties, answer, clock=clock)
    transport = Network(lambda request: soap(server.respond(request.content)))
    client = SoapEIDServer(settings_for(folder), clock=clock, random_bytes=nonces(), transport=transport)
    for _ in range(3):
        await client.get_server_info()
    assert len(client._seen) == 3
    clock.advance(LIFETIME + SKEW)
    await client.get_server_info()
    assert len(client._seen) == 1
    await client.close()


async def test_an_answer_to_another_question_is_not_believed(folder: Path, parties: Parties) -> None:
    reason = await disbelieved(folder, good(parties, lambda request: OPENED))
    assert reason == "getResult: Body: expected getResultResponse"


async def test_another_psk_than_the_one_of_the_request_is_not_used(folder: Path, parties: Parties) -> None:
    asked = UseIDRequest({}, psk_id="0987654321abcdef1234567890abcdef", psk="cd" * 16)
    async with client_of(folder, transport=Network(good(parties))) as client:
        with pytest.raises(UnavailableError, match="useID: PSK: expected the one of the request, found another"):
            await client.use_id(asked)


async def test_the_psk_of_the_request_comes_back_in_any_case(folder: Path, parties: Parties) -> None:
    asked = UseIDRequest({}, psk_id="0987654321abcdef1234567890abcdef", psk="ab" * 16)
    async with client_of(folder, transport=Network(good(parties))) as client:
        assert await client.use_id(asked) == OPENED


@pytest.mark.parametrize("status", [201, 204, 400, 403, 404, 500, 502, 503])
async def test_another_status_than_200_is_no_answer(folder: Path, parties: Parties, status: int) -> None:
    body = b"" if status == 204 else parties.server.sign(build_response(RESULT))
    reason = await disbelieved(folder, lambda request: soap(body, status=status))
    assert reason == f"eID server: expected 200, found {status}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(folder: Path, status: int) -> None:
    def redirect(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers={"location": "https://other.example/soap"})

    assert await disbelieved(folder, redirect) == f"eID server: expected 200, found {status}"


@pytest.mark.parametrize("content_type", ["", "text/html", "application/soap+xml", "text/xml2"])
async def test_another_media_type_is_no_answer(folder: Path, parties: Parties, content_type: str) -> None:
    body = parties.server.sign(build_response(RESULT))
    reason = await disbelieved(folder, lambda request: soap(body, content_type=content_type))
    assert reason == "eID server: expected text/xml, found another media type"


@pytest.mark.parametrize("content_type", ["text/xml", "TEXT/XML; charset=UTF-8", "text/xml;charset=utf-8"])
async def test_the_media_type_has_several_spellings(folder: Path, parties: Parties, content_type: str) -> None:
    server = SoapServer(parties, answer)
    network = Network(lambda request: soap(server.respond(request.content), content_type=content_type))
    async with client_of(folder, transport=network) as client:
        assert await client.get_result(SESSION, counter=1) == RESULT


async def test_a_compressed_answer_is_not_unpacked(folder: Path) -> None:
    def bomb(request: httpx2.Request) -> httpx2.Response:
        response = soap(gzip.compress(bytes(50_000_000)))
        response.headers["content-encoding"] = "gzip"
        return response

    assert await disbelieved(folder, bomb) == "eID server: expected an answer without compression"


async def test_an_answer_without_end_is_left_at_the_bound(folder: Path) -> None:
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += 1
            yield bytes(16 * 1024)

    def fate(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=endless(), headers={"content-type": CONTENT_TYPE})

    assert await disbelieved(folder, fate) == f"eID server: expected at most {MAX_MESSAGE} bytes"
    assert given == MAX_MESSAGE // (16 * 1024) + 1


@pytest.mark.parametrize("body", [b"", b"<html/>", b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', b"\xff"])
async def test_what_is_no_soap_message_is_no_answer(folder: Path, body: bytes) -> None:
    assert (await disbelieved(folder, lambda request: soap(body))).startswith("eID server: XML: expected ")


# files


def configured(folder: Path, **files: Path | None) -> str:
    """What the operator is told about these settings."""
    settings = settings_for(folder).model_copy(update=files)
    with pytest.raises(ConfigurationError) as caught:
        SoapEIDServer(settings, clock=Clock(), random_bytes=bytes)
    return caught.value.message


SETTINGS = [
    *("tls_certificate", "tls_key", "ca_file", "signing_certificate", "signing_key", "server_signing_certificate"),
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_missing_file_is_named_by_its_setting(folder: Path, setting: str) -> None:
    message = configured(folder, **{setting: folder / "nowhere.pem"})
    assert message == f"eid.{setting}: expected a readable PEM file, found FileNotFoundError"


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_file_of_something_else_is_named_by_its_setting(folder: Path, tmp_path: Path, setting: str) -> None:
    (tmp_path / "other.pem").write_text("not a PEM file")
    message = configured(folder, **{setting: tmp_path / "other.pem"})
    assert message.startswith(f"eid.{setting}: expected a readable PEM file, found ")


@pytest.mark.parametrize("setting", [each for each in SETTINGS if each != "ca_file"])
def test_a_setting_that_is_missing_is_named(folder: Path, setting: str) -> None:
    assert configured(folder, **{setting: None}) == f"eid.{setting}: expected a PEM file, found none"


def test_the_key_must_be_the_certificate_s(folder: Path) -> None:
    assert configured(folder, tls_key=folder / "signing.key").startswith("eid.tls_key: expected a readable PEM file")
    message = configured(folder, signing_key=folder / "tls.key")
    assert message == "eid.signing_key: expected the key of the certificate, found another"


@pytest.mark.parametrize("setting", ["tls_key", "signing_key"])
def test_nobody_is_asked_for_a_passphrase(folder: Path, parties: Parties, tmp_path: Path, setting: str) -> None:
    key = (parties.client_tls if setting == "tls_key" else parties.client).key
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (tmp_path / "encrypted.pem").write_bytes(encrypted)
    assert configured(folder, **{setting: tmp_path / "encrypted.pem"}).startswith(f"eid.{setting}: expected a readable")


def test_a_weak_key_does_not_sign(folder: Path, tmp_path: Path) -> None:
    weak = new_signer(rsa_key(1024))
    (tmp_path / "weak.pem").write_bytes(weak.certificate_pem)
    (tmp_path / "weak.key").write_bytes(weak.key_pem)
    message = configured(folder, signing_certificate=tmp_path / "weak.pem", signing_key=tmp_path / "weak.key")
    assert message == "eid.signing_key: expected an RSA key of 2048 bits or an EC key of 256 bits"


@asynccontextmanager
async def silent_server(folder: Path) -> AsyncIterator[str]:
    """A server that takes everything in and says nothing."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "server-tls.pem", folder / "server-tls.key")

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context)
    async with listener:
        yield f"https://localhost:{listener.sockets[0].getsockname()[1]}/soap"
