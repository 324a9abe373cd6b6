"""Us as a relying party, at each origin that we are asked at."""

from typing import Final
from urllib.parse import urlsplit

from ..errors import ConfigurationError, RequestError
from ..settings import Settings
from .core.relying_party import RelyingParty

#: Loopback hosts with their ports; a configured origin is one.
_MAX_PARTIES: Final = 16


class Parties:
    """Relying parties by origin; wrong settings are found when this is made (``ConfigurationError``)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[tuple[str, str], RelyingParty] = {}
        # Without an origin a name of this machine stands for it.
        origin = settings.origin or f"http://{settings.webauthn.rp_id or 'localhost'}"
        for tenant in ("", *settings.embed.tenants):
            self._at(origin, tenant)

    def at(self, origin: str, tenant: str = "") -> RelyingParty:
        """Us at this origin; with a ``tenant``, in frames inside its pages."""
        try:
            return self._at(origin, tenant)
        except ConfigurationError:
            # http://127.0.0.1, say: browsers know no credentials of addresses.
            message = "Host: expected localhost or a configured origin; credentials belong to a domain"
            raise RequestError("unknown_host", message, status_hint=421) from None

    def _at(self, origin: str, tenant: str) -> RelyingParty:
        party = self._known.get((origin, tenant))
        if party is None:
            settings = self._settings
            tops = settings.embed.tenants[tenant].origins if tenant else ()
            party = RelyingParty(
                id=settings.webauthn.rp_id or urlsplit(origin).hostname or "",
                name=settings.app_name,
                origins=frozenset((origin, *settings.webauthn.origins)),
                top_origins=frozenset(tops),
                accepts_cross_origin=bool(tenant),
            )
            if len(self._known) < _MAX_PARTIES * (1 + len(settings.embed.tenants)):
                self._known[origin, tenant] = party
        return party
