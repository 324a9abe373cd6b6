"""HTTP of a user's phones: enrol, list, revoke."""

from dataclasses import dataclass
from math import ceil
from typing import Final

from .._codec import JsonType, b64url, timestamp
from ..accounts.base import DeviceKey
from ..http.asgi import ASGIApp
from ..http.requests import Request
from ..http.responses import Response, json_response
from ..http.routing import Handler
from ..http.sse import EventStreams
from ..sessions.auth import required_session
from ..settings import Settings
from ..stores.base import Clock
from ..stores.limits import Looks
from ..waiting.code import check_code_format
from ..waiting.records import Current
from ..waiting.stream import StatusStream
from .core import enrolment as core
from .core.enrolment import Enrolment
from .devices import DeviceService
from .routes import check_issued_at, decode_bytes


@dataclass(frozen=True, slots=True)
class EnrolBody:
    """``POST /devices/enrol``: no member."""


@dataclass(frozen=True, slots=True)
class ProofBody:
    """``POST /devices/enrol/{id}``."""

    publicKey: str
    signature: str
    label: str
    issuedAt: int


@dataclass(frozen=True, slots=True)
class ConfirmBody:
    """``POST /devices/enrol/{id}/confirm``."""

    code: str = ""


_enrol: Final = JsonType(EnrolBody)
_proof: Final = JsonType(ProofBody)
_confirm: Final = JsonType(ConfirmBody)


class DeviceRoutes:
    """The calls of enrolment and of the list of phones."""

    def __init__(self, *, service: DeviceService, streams: EventStreams, settings: Settings, clock: Clock) -> None:
        self._service = service
        self._streams = streams
        self._settings = settings
        self._clock = clock
        self._looks = Looks(settings.limits)

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {
            "GET /devices": self.list,
            "DELETE /devices/{id}": self.revoke,
            "POST /devices/enrol": self.offer,
            "GET /devices/enrol/{id}": self.status,
            "GET /devices/enrol/{id}/events": self.events,
            "POST /devices/enrol/{id}": self.prove,
            "POST /devices/enrol/{id}/confirm": self.confirm,
        }

    async def offer(self, request: Request) -> ASGIApp:
        """The user wants to add a phone."""
        user = required_session(request.scope)
        await request.json(_enrol, default=b"{}")
        enrolment = (await self._service.offer(user.account_id, server=request.server, ip=request.ip)).record
        answer = {
            "enrolmentId": enrolment.id,
            "challenge": enrolment.challenge,
            "expiresAt": timestamp(enrolment.deadline),
            "expiresIn": ceil(enrolment.deadline - self._clock()),
            "qrData": self._service.link(enrolment),
        }
        return json_response(answer, status=201)

    async def status(self, request: Request) -> ASGIApp:
        """The enrolment's status, for those who poll."""
        account_id = required_session(request.scope).account_id
        await self._looks.spend(request.ip)
        current = await self._service.look(request.params["id"], account_id)
        return json_response(self._service.records.status(current))

    async def prove(self, request: Request) -> ASGIApp:
        """The phone proves its key and learns the key's id and the code to show."""
        body = await request.json(_proof)
        enrolment, username, code = await self._service.prove(
            request.params["id"],
            public_key=decode_bytes("publicKey", body.publicKey, 32),
            signature=decode_bytes("signature", body.signature, 64),
            label=core.check_label(body.label),
            issued_at=check_issued_at(body.issuedAt),
            ip=request.ip,
        )
        answer = {
            "keyId": b64url(enrolment.key_id),
            "username": username,
            "appName": self._settings.app_name,
            "code": code,
        }
        return json_response(answer)

    async def confirm(self, request: Request) -> ASGIApp:
        """The user types the phone's code."""
        user = required_session(request.scope)
        code = check_code_format((await request.json(_confirm)).code)
        device = await self._service.confirm(request.params["id"], user.account_id, code=code, ip=request.ip)
        return json_response(_device(device))

    async def list(self, request: Request) -> ASGIApp:
        """The user's phones."""
        account_id = required_session(request.scope).account_id
        await self._looks.spend(request.ip)
        devices = await self._service.of_account(account_id)
        return json_response({"devices": [_device(device) for device in devices]})

    async def revoke(self, request: Request) -> ASGIApp:
        """Revoke one."""
        account_id = required_session(request.scope).account_id
        await self._service.revoke(account_id, request.params["id"], ip=request.ip)
        return Response(204)

    async def events(self, request: Request) -> ASGIApp:
        """The enrolment's event stream."""
        enrolment_id, account_id = request.params["id"], required_session(request.scope).account_id
        await self._looks.spend(request.ip)
        stream = StatusStream(
            self._service.records,
            enrolment_id,
            _Owner(self._service, enrolment_id, account_id),
            streams=self._streams,
            limits=self._settings.limits,
            heartbeat=self._settings.sse.heartbeat,
            last_event_id=request.header(b"last-event-id"),
        )
        return self._streams.response(stream)


class _Owner:
    """The user who waits for an enrolment."""

    __slots__ = ("_account_id", "_enrolment_id", "_service")

    def __init__(self, service: DeviceService, enrolment_id: str, account_id: str) -> None:
        self._service = service
        self._enrolment_id = enrolment_id
        self._account_id = account_id

    async def look(self) -> Current[Enrolment]:
        return await self._service.look(self._enrolment_id, self._account_id)

    async def expire(self) -> None:
        await self._service.records.expire(self._enrolment_id)

    def frames(self, enrolment: Enrolment) -> None:
        return None


def _device(device: DeviceKey) -> dict[str, object]:
    return {
        "id": device.id,
        "label": device.label,
        "createdAt": timestamp(device.created_at),
        "lastUsedAt": timestamp(device.last_used_at) if device.last_used_at is not None else None,
    }
