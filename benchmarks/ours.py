"""Our plugin as the benchmarks run it: everything on, with limits that count and never refuse."""

from useid_middleware import Identity, Settings, UseID, UseIDMiddleware
from useid_middleware.accounts.base import Account, DeviceKey
from useid_middleware.http.asgi import ASGIApp, Receive, Scope, Send
from useid_middleware.settings import LimitSettings, QRSettings, SSESettings

#: As in production: set, and https, so that cookies are ``__Host-`` ones.
ORIGIN = "https://app.example"
_NEVER = 1_000_000_000


def plugin(*, store: str = "memory://", heartbeat: float = 15, app: ASGIApp | None = None) -> UseIDMiddleware:
    """The plugin with its default assurance (L1: rotating frame, confirmation code) around ``app``."""
    settings = Settings(
        store=store,
        accounts="memory://",
        from_env=False,
        origin=ORIGIN,
        limits=LimitSettings(
            **dict.fromkeys(("per_ip", "per_account", "per_key", "looks_per_ip", "streams_per_ip", "streams"), _NEVER)
        ),
        qr=QRSettings(waiting_limit=_NEVER),
        sse=SSESettings(heartbeat=heartbeat),
    )
    return UseIDMiddleware(app or nothing_here, useid=UseID(settings))


async def enrol(useid: UseID, *, key_id: bytes, public_key: bytes) -> Account:
    """A new account with a phone, as an enrolment would leave it."""
    name = key_id.hex()
    account, _ = await useid.accounts.resolve(Identity("host", name, username=name), now=0)
    device = DeviceKey(f"phone-{name}", key_id, account.id, public_key, "Phone", 0)
    if not await useid.accounts.add_device(device):
        raise RuntimeError("the phone is enrolled already")
    return account


async def nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    """A host app with no pages."""
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
