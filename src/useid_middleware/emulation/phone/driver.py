"""The phone's network: one call per step, every answer limited and checked. No other module of the phone sends HTTP."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from ..._codec import DecodeError, JsonType, b64url, encode_json
from ...errors import AuthenticationError, RateLimited, RequestError, StateError, UnavailableError, UseIDError
from ...qr.core.link import Link, LinkType
from ...qr.core.signing import Decision
from .binding import Account, MadePasskey, SealedEnd, account_body, credential_body, read_account
from .core import (
    Decided,
    EnrolledKey,
    LoginRequest,
    TrustedLink,
    decision_body,
    enrolment_body,
    read_decision,
    read_enrolment,
    read_scan,
    require_type,
    scan_body,
    shown,
)

#: Bytes of an answer that are read at most.
MAX_ANSWER: Final = 16 * 1024
#: Seconds for connecting, and between two bytes …
STEP_TIMEOUT: Final = 10.0
#: … and for one call from start to end, so that a server cannot hold the phone by dripping.
CALL_TIMEOUT: Final = 20.0


def new_client(transport: httpx2.AsyncBaseTransport | None = None) -> httpx2.AsyncClient:
    """An HTTP client as a phone wants it: no redirects, no proxies from the environment, no compressed answers."""
    return httpx2.AsyncClient(
        transport=transport,
        timeout=STEP_TIMEOUT,
        follow_redirects=False,
        trust_env=False,
        headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "useid-phone"},
    )


async def scan(client: httpx2.AsyncClient, trusted: TrustedLink) -> LoginRequest:
    """Tell the server that this phone scanned, and learn what is asked."""
    link = trusted.link
    url = f"{link.server}/session/{b64url(link.id)}"
    return read_scan(trusted, await _call(client, "POST", url, scan_body(trusted)))


async def decide(client: httpx2.AsyncClient, request: LoginRequest, decision: Decision, *, issued_at: int) -> Decided:
    """Sign and send the user's decision."""
    body = decision_body(decision, request, issued_at=issued_at)
    answer = await _call(client, "POST", f"{request.link.server}/{decision}", body)
    return read_decision(decision, answer, binding=request.binding)


async def enrol(
    client: httpx2.AsyncClient, link: Link, *, seed: bytes, label: str, issued_at: int
) -> tuple[EnrolledKey, str]:
    """Prove possession of a new key to a server the user trusts: the enrolled key, and the code for the desktop."""
    require_type(link, LinkType.ENROL)
    body = enrolment_body(link, seed=seed, label=label, issued_at=issued_at)
    answer = await _call(client, "POST", f"{link.server}/devices/enrol/{b64url(link.id)}", body)
    return read_enrolment(link, answer, seed=seed, label=label)


async def open_account(client: httpx2.AsyncClient, end: SealedEnd) -> Account:
    """Hand over the sealed end of a login: its temporary account, for which a passkey is wanted."""
    url = f"{end.binding.server}/webauthn/accounts"
    return read_account(end, await _call(client, "POST", url, account_body(end), expected_status=201))


async def register(client: httpx2.AsyncClient, made: MadePasskey) -> None:
    """Hand over the passkey's public key, once the passkey is kept: the other device is asked for it from now on."""
    url = f"{made.account.binding.server}/webauthn/accounts/{made.account.user_id}"
    await _call(client, "PUT", url, credential_body(made), expected_status=204)


async def _call(
    client: httpx2.AsyncClient, method: str, url: str, body: Mapping[str, Any], *, expected_status: int = 200
) -> bytes:
    headers = {"content-type": "application/json"}
    try:
        async with (
            asyncio.timeout(CALL_TIMEOUT),
            client.stream(method, url, content=encode_json(body), headers=headers) as response,
        ):
            answer = await _read(response)
    except (TimeoutError, httpx2.TimeoutException):
        raise UnavailableError("server_unreachable", "the server did not answer in time") from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise UnavailableError("server_unreachable", f"the server cannot be reached ({type(error).__name__})") from None
    if response.status_code == expected_status:
        return answer
    raise _error(response, answer)


async def _read(response: httpx2.Response) -> bytes:
    if response.is_redirect:
        raise UnavailableError("answer_invalid", "the server's answer: expected no redirect")
    if response.status_code == 204:
        return b""
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" or "content-encoding" in response.headers:
        raise UnavailableError(
            "answer_invalid", f"the server's answer (status {response.status_code}): expected plain application/json"
        )
    answer = bytearray()
    async for chunk in response.aiter_raw():
        answer += chunk
        if len(answer) > MAX_ANSWER:
            raise UnavailableError("answer_invalid", f"the server's answer: expected at most {MAX_ANSWER} bytes")
    return bytes(answer)


@dataclass(frozen=True, slots=True)
class _Refusal:
    code: str
    message: str


_REFUSAL: Final = JsonType(_Refusal)


def _error(response: httpx2.Response, answer: bytes) -> UseIDError:
    """The server's own error, in our tree, with the server's code."""
    status = response.status_code
    try:
        refusal = _REFUSAL.decode(answer)
    except DecodeError:
        refusal = _Refusal("", "")
    if not re.fullmatch("[a-z][a-z0-9_]{0,63}", refusal.code):
        return UnavailableError(
            "answer_invalid", f"the server's answer (status {status}): expected an error of the reference"
        )
    code, message = refusal.code, shown(refusal.message[:300])
    if status == 429:
        return RateLimited(_retry_after(response))
    if status >= 500:
        return UnavailableError(code, message, retry_after=_retry_after(response))
    kind = {401: AuthenticationError, 403: AuthenticationError, 404: StateError, 409: StateError, 410: StateError}.get(
        status, RequestError
    )
    return kind(code, message, status_hint=status)


def _retry_after(response: httpx2.Response) -> int:
    value = response.headers.get("retry-after", "")
    return min(int(value), 3600) if value.isascii() and value.isdigit() and len(value) < 8 else 2
