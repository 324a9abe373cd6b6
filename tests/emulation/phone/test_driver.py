"""The phone's HTTP against a server that behaves, and against servers that do not."""

from dataclasses import replace

import httpx2
import pytest

from tests.emulation.phone.fake_server import CODE, KEY_ID, NOW, SESSION_ID, FakeServer
from useid_middleware._codec import b64url
from useid_middleware.emulation.phone.core import Decided, EnrolledKey, LoginRequest, TrustedLink, choose_enrolment
from useid_middleware.emulation.phone.driver import MAX_ANSWER, decide, enrol, new_client, scan
from useid_middleware.errors import (
    AuthenticationError,
    RateLimited,
    RequestError,
    StateError,
    UnavailableError,
    UseIDError,
)
from useid_middleware.qr.core.link import parse_link
from useid_middleware.qr.core.signing import Decision

SCAN_PATH = f"/session/{b64url(SESSION_ID)}"
SEED = bytes(range(32))


def _client(server: FakeServer) -> httpx2.AsyncClient:
    return new_client(httpx2.ASGITransport(server))


def _trusted(server: FakeServer) -> TrustedLink:
    key = EnrolledKey(server=server.server, username="alice", app_name="Tana", label="test", key_id=KEY_ID, seed=SEED)
    server.public_key = key.public_key
    return choose_enrolment(parse_link(server.login_link(), scheme="tana"), [key])


async def _request(client: httpx2.AsyncClient, server: FakeServer) -> LoginRequest:
    return await scan(client, _trusted(server))


async def test_a_key_is_enrolled_with_a_proof_that_the_server_accepts() -> None:
    server = FakeServer()
    link = parse_link(server.enrolment_link(), scheme="tana")
    async with _client(server) as client:
        key, code = await enrol(client, link, seed=SEED, label="test", issued_at=NOW)
    assert key == _trusted(FakeServer()).key
    assert server.public_key == key.public_key
    assert code == CODE


@pytest.mark.parametrize(
    ("decision", "expected"),
    [(Decision.APPROVE, Decided("approved", CODE)), (Decision.REJECT, Decided("rejected"))],
)
async def test_a_decision_is_one_that_the_server_can_verify(decision: Decision, expected: Decided) -> None:
    server = FakeServer()
    async with _client(server) as client:
        request = await _request(client, server)
        assert request.context == server.context
        assert await decide(client, request, decision, issued_at=NOW) == expected
    assert server.decision is decision


async def test_an_approval_without_a_code_has_none() -> None:
    server = FakeServer(code=None)
    async with _client(server) as client:
        request = await _request(client, server)
        assert await decide(client, request, Decision.APPROVE, issued_at=NOW) == Decided("approved")


async def test_an_enrolment_link_is_the_only_one_that_enrols() -> None:
    server = FakeServer()
    async with _client(server) as client:
        with pytest.raises(RequestError, match="expected a link of type enrol"):
            await enrol(client, _trusted(server).link, seed=SEED, label="test", issued_at=NOW)
    assert server.calls == []


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "malformed_request", RequestError),
        (403, "device_unknown", AuthenticationError),
        (404, "session_unknown", StateError),
        (409, "already_scanned", StateError),
        (410, "session_expired", StateError),
        (503, "store_unavailable", UnavailableError),
    ],
)
async def test_the_servers_refusal_keeps_its_code_and_status(status: int, code: str, kind: type[UseIDError]) -> None:
    server = FakeServer()
    server.fail(SCAN_PATH, status, {"code": code, "message": "why"})
    async with _client(server) as client:
        with pytest.raises(kind) as caught:
            await _request(client, server)
    assert (type(caught.value), caught.value.code, caught.value.message, caught.value.status_hint) == (
        kind,
        code,
        "why",
        status,
    )


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("999999", 3600), ("soon", 2), ("-1", 2), ("²", 2)])
async def test_a_limit_says_when_to_come_back(header: str, seconds: int) -> None:
    server = FakeServer()
    server.fail(SCAN_PATH, 429, {"code": "rate_limited", "message": "slow down"}, retry_after=header)
    async with _client(server) as client:
        with pytest.raises(RateLimited) as caught:
            await _request(client, server)
    assert caught.value.retry_after == seconds


async def test_a_refusal_cannot_steer_the_terminal() -> None:
    server = FakeServer()
    server.fail(SCAN_PATH, 400, {"code": "malformed_request", "message": "\x1b[2J\r\n" + "x" * 9000})
    async with _client(server) as client:
        with pytest.raises(RequestError) as caught:
            await _request(client, server)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) == 300


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {"content-type": "text/html"}, b"{}"),
        (200, {"content-type": "application/json"}, b"{}"),
        (200, {"content-type": "application/json"}, b'{"a": "' + b"x" * MAX_ANSWER + b'"}'),
        (200, {"content-type": "application/json", "content-encoding": "gzip"}, b"{}"),
        (200, {}, b"{}"),
        (302, {"location": "https://evil.example/"}, b""),
        (307, {"location": "https://evil.example/", "content-type": "application/json"}, b"{}"),
        (403, {"content-type": "application/json"}, b'{"code": "Not a code!", "message": ""}'),
        (500, {"content-type": "text/plain"}, b"Internal Server Error"),
        (502, {"content-type": "application/json"}, b"null"),
    ],
)
async def test_an_answer_that_is_not_of_the_reference_is_refused(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    server = FakeServer(scripted={SCAN_PATH: (status, headers, body)})
    async with _client(server) as client:
        with pytest.raises(UnavailableError) as caught:
            await _request(client, server)
    assert caught.value.code == "answer_invalid"
    assert len(server.calls) == 1


class _Failing(httpx2.AsyncBaseTransport):
    def __init__(self, error: Exception) -> None:
        self.error = error

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        raise self.error


@pytest.mark.parametrize("error", [httpx2.ConnectError("refused"), httpx2.ReadTimeout("slow"), TimeoutError()])
async def test_a_server_that_cannot_be_reached_is_unavailable(error: Exception) -> None:
    async with new_client(_Failing(error)) as client:
        with pytest.raises(UnavailableError) as caught:
            await _request(client, FakeServer())
    assert caught.value.code == "server_unreachable"


async def test_an_address_that_the_http_library_refuses_is_unreachable() -> None:
    server = FakeServer()
    trusted = _trusted(server)
    strange = replace(trusted, link=replace(trusted.link, server="https://app.example/\x01"))
    async with _client(server) as client:
        with pytest.raises(UnavailableError) as caught:
            await scan(client, strange)
    assert caught.value.code == "server_unreachable"
    assert server.calls == []
