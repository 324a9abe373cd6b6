"""Who an eService is: its TLS key, looked at before a bound login may end there.

A page's script cannot see the certificate of the server that it leads to. So we look for it: what the browser is told
as the hash of the eService's certificate is what the eService showed us a moment ago (docs/security.md).
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Final, Protocol
from urllib.parse import urlsplit

from ..errors import EServiceError, UnavailableError
from ..http.pins import pin_of, read_pins
from ..settings import EIDSettings, Tenant

#: Seconds for connecting and the handshake.
TIMEOUT: Final = 5.0
#: Seconds that an answer is believed: who begins many logins must not make us knock at an eService as often.
_FRESH: Final = 30.0
_HTTPS: Final = 443


class Connect(Protocol):
    """Opens TLS with a host and returns the certificate in DER. ``ssl.SSLError`` and ``OSError`` say why not."""

    async def __call__(self, host: str, port: int, context: ssl.SSLContext, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _EService:
    origins: tuple[str, ...]
    pins: tuple[bytes, ...]


class EServices:
    """The eServices of all tenants, and ourselves as one (the tenant without a name).

    Our own pages come over the very TLS that their certificate protects, so that there is nothing more to look at.
    """

    def __init__(
        self,
        *,
        tenants: Mapping[str, Tenant],
        eid: EIDSettings,
        clock: Callable[[], float],
        connect: Connect | None = None,
    ) -> None:
        self._own = read_pins("eid.webauthn_server_keys", eid.webauthn_server_keys) if not eid.webauthn_server else ()
        self._tenants = {
            name: _EService(
                tuple(tenant.refresh_origins or tenant.origins),
                read_pins(f"embed.tenants.{name}.server_keys", tenant.server_keys),
            )
            for name, tenant in tenants.items()
            if tenant.client == "bound"
        }
        self._clock = clock
        self._connect = connect or _connect
        self._seen: dict[str, tuple[float, bytes]] = {}

    async def check(self, tenant: str) -> bytes:
        """The pin of the eService's key, empty on plain http; ``eservice_refused``, ``eservice_unavailable``.

        Where a tenant's logins may end at several origins each of them is looked at; the first one's pin is told.
        """
        if not tenant:
            return self._own[0] if self._own else b""
        eservice = self._tenants.get(tenant)
        if eservice is None:
            raise EServiceError("eservice_refused", "eService: expected a tenant whose logins are bound")
        first, *_ = [await self._look(origin, eservice.pins) for origin in eservice.origins]
        return first

    async def _look(self, origin: str, pins: tuple[bytes, ...]) -> bytes:
        parts = urlsplit(origin)
        if parts.scheme != "https":
            return b""  # The settings allow that on loopback hosts alone.
        now = self._clock()
        checked_at, pin = self._seen.get(origin, (0.0, b""))
        if not 0 <= now - checked_at < _FRESH:
            pin = await self._fetch(parts.hostname or "", parts.port or _HTTPS, pins)
            self._seen[origin] = (now, pin)
        return pin

    async def _fetch(self, host: str, port: int, pins: tuple[bytes, ...]) -> bytes:
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if pins:  # The key is known; who else vouches for it does not matter.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        try:
            async with asyncio.timeout(TIMEOUT):
                pin = pin_of(await self._connect(host, port, context))
        except ssl.SSLCertVerificationError:
            raise EServiceError(
                "eservice_refused", "eService: expected a certificate that an authority vouches for"
            ) from None
        except (OSError, TimeoutError, ValueError):
            raise UnavailableError(
                "eservice_unavailable", "eService: expected to reach it over TLS", retry_is_safe=True
            ) from None
        if pins and not any(compare_digest(pin, known) for known in pins):
            raise EServiceError("eservice_refused", "eService: expected a TLS key of the settings")
        return pin


async def _connect(host: str, port: int, context: ssl.SSLContext, /) -> bytes:
    _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    try:
        certificate: bytes | None = writer.get_extra_info("ssl_object").getpeercert(True)
        if certificate is None:
            raise ssl.SSLError("no certificate")
        return certificate
    finally:
        writer.close()
