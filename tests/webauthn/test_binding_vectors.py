"""The published vectors of the channel binding are what the code does."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from useid_middleware._codec import un_b64url
from useid_middleware.webauthn.core.sealing import open_refresh_url

VECTORS = json.loads((Path(__file__).parents[2] / "docs/reference/webauthn-vectors.json").read_text("utf-8"))["sealed"]


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_a_published_sealed_address_opens_with_the_widgets_key(vector: dict[str, str]) -> None:
    private_key = un_b64url(vector["privateKey"], 32)
    public_key = X25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()
    assert public_key == un_b64url(vector["publicKey"], 32)
    opened = open_refresh_url(vector["sealedRefreshUrl"], private_key=private_key, session_id=vector["widgetSessionId"])
    assert opened == vector["refreshUrl"]
