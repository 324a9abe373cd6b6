"""The plugin and the provider that all hosts of these tests have."""

from pathlib import Path
from typing import Any

import httpx2

from tests.oidc.world import KEYS
from tests.qr.conftest import make_settings
from useid_middleware import UseID
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.emulation.provider.clients import Client


def make_plugin(url: str, *, issuer: str, pki: Path, **values: Any) -> tuple[UseID, Provider]:
    """All four ways to log in for an app at ``url``; the plugin reaches the provider without a network."""
    client = Client(client_id="shop", client_secret="a secret of tests", redirect_uris=(f"{url}/auth/callback",))
    provider = Provider(issuer, clients=[client], keys=KEYS)
    eid = {"server": "embedded", "pki": str(pki), "required": ["RestrictedID", "GivenNames"], "username": "GivenNames"}
    known = {"issuer": issuer, "client_id": client.client_id, "client_secret": client.client_secret}
    settings = make_settings(
        eid=eid | values.pop("eid", {}),
        oidc={"providers": {"op": known}},
        webauthn={"enabled": True},
        **values,
    )
    return UseID(settings, transport=httpx2.ASGITransport(app=provider)), provider
