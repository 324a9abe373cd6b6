"""The keys of a provider, of a stranger and of ourselves, and tokens made with them, the impossible ones included."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from useid_middleware._codec import b64url
from useid_middleware.oidc.core.keys import KeySet

NOW = 1_700_000_000
ISSUER = "https://op.example"
CLIENT = "client-1"

#: Whatever JSON can be made to hold, and what only careless parsers take for it.
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@dataclass(frozen=True)
class Signers:
    """Private keys. The provider publishes all but ``stranger`` and ``decryption``."""

    rsa: RSAKey
    ec: ECKey
    ec384: ECKey
    ec521: ECKey
    ed: OKPKey
    stranger: RSAKey
    decryption: RSAKey

    def key(self, algorithm: str) -> Key:
        """The provider's key for this algorithm."""
        keys: dict[str, Key] = {"ES256": self.ec, "ES384": self.ec384, "ES512": self.ec521}
        return self.rsa if algorithm[1:2] == "S" and algorithm[0] in "RP" else keys.get(algorithm, self.ed)

    def published(self) -> KeySet:
        """What the provider's ``jwks_uri`` answers, read."""
        return KeySet.parse(jwks(self.rsa, self.ec, self.ec384, self.ec521, self.ed))


@pytest.fixture(scope="session")
def signers() -> Signers:
    """Made once: RSA keys take their time."""
    return Signers(
        rsa=RSAKey.generate_key(2048, {"kid": "rsa-1"}),
        ec=ECKey.generate_key("P-256", {"kid": "ec-1"}),
        ec384=ECKey.generate_key("P-384", {"kid": "ec-384"}),
        ec521=ECKey.generate_key("P-521", {"kid": "ec-521"}),
        ed=OKPKey.generate_key("Ed25519", {"kid": "ed-1"}),
        stranger=RSAKey.generate_key(2048, {"kid": "rsa-1"}),
        decryption=RSAKey.generate_key(2048, {"kid": "enc-1"}),
    )


@pytest.fixture(scope="session")
def published(signers: Signers) -> KeySet:
    """The provider's public keys."""
    return signers.published()


def jwks(*keys: object) -> bytes:
    """A JWK Set document of the public parts of ``keys``; what is no key stands in it as it is."""
    kinds = (RSAKey, ECKey, OKPKey)
    return json.dumps(
        {"keys": [key.as_dict(private=False) if isinstance(key, kinds) else key for key in keys]}
    ).encode()


def segment(content: object) -> str:
    """A part of a token: JSON of ``content``, or its text or bytes as they are."""
    if isinstance(content, str):
        content = content.encode()
    return b64url(content if isinstance(content, bytes) else json.dumps(content).encode())


def forge(header: object, payload: object, key: Key | None = None, *, algorithm: str = "RS256") -> str:
    """A compact token with any header and payload, honestly signed with ``key``, or with an empty signature."""
    signing_input = f"{segment(header)}.{segment(payload)}"
    signature = JWSRegistry.algorithms[algorithm].sign(signing_input.encode(), key) if key is not None else b""
    return f"{signing_input}.{b64url(signature)}"
