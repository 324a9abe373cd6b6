"""A provider without rules, ``python -m benchmarks.peers.provider FD ISSUER``: it signs the nonce that a code says."""

import json
import socket
import sys
from time import time
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey

from useid_middleware.http.asgi import Receive, Scope, Send

from ..oidc import id_token_claims


class StubProvider:
    """Discovery, keys, and a token endpoint, as an ASGI app."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._key = RSAKey.generate_key(2048, {"kid": "k", "use": "sig", "alg": "RS256"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        content = json.dumps(self._answer(scope["path"], body)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _answer(self, path: str, body: bytes) -> dict[str, Any]:
        if path == "/jwks":
            return {"keys": [self._key.as_dict(private=False)]}
        if path == "/token":
            nonce = parse_qs(body.decode())["code"][0]
            claims = id_token_claims(self._issuer, nonce, int(time())) | {"sub": nonce}  # Each is another person.
            token = jwt.encode({"alg": "RS256", "kid": "k"}, claims, self._key)
            return {"access_token": "a" * 43, "token_type": "Bearer", "expires_in": 300, "id_token": token}
        return {
            "issuer": self._issuer,
            "authorization_endpoint": f"{self._issuer}/authorize",
            "token_endpoint": f"{self._issuer}/token",
            "jwks_uri": f"{self._issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }


if __name__ == "__main__":
    config = uvicorn.Config(
        StubProvider(sys.argv[2]), loop="asyncio", http="httptools", lifespan="off", log_level="warning"
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
