"""New keys of this client, for the operator to keep."""

import json
from typing import Any

from joserfc.jwk import ECKey, KeySet, RSAKey


def new_client_keys() -> tuple[bytes, dict[str, Any]]:
    """Keys to sign (ES256, PS256) and to decrypt (ECDH-ES, RSA-OAEP-256) with: private JWK Set and public one."""
    wanted = (
        ("sig", "ES256", ECKey.generate_key("P-256")),
        ("sig", "PS256", RSAKey.generate_key(2048)),
        ("enc", "ECDH-ES+A256KW", ECKey.generate_key("P-256")),
        ("enc", "RSA-OAEP-256", RSAKey.generate_key(2048)),
    )
    keys = []
    for use, algorithm, key in wanted:
        named = key.as_dict(private=True) | {"use": use, "alg": algorithm, "kid": key.thumbprint()}
        keys.append(named)
    public = KeySet.import_key_set({"keys": keys}).as_dict(private=False)
    return json.dumps({"keys": keys}, indent=1).encode(), dict(public)
