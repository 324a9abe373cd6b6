"""Requests to a provider as the client that we are registered as: credentials, DPoP proofs, nonces.

Authlib attaches the credentials; the assertions among them are made by the core.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from authlib.oauth2.auth import ClientAuth

from .._codec import b64url
from ..errors import ConfigurationError
from ..settings import OIDCProvider
from ..stores.base import Clock
from .core import dpop
from .core.client_authentication import ASSERTION_TYPE, basic_credentials, client_assertion, secret_assertion
from .core.keys import ClientKeys
from .network import HTTP, Answer, origin_of

_FORM: Final = "application/x-www-form-urlencoded"


class Calls:
    """Sends a client's requests."""

    def __init__(
        self,
        provider: OIDCProvider,
        *,
        http: HTTP,
        client_keys: ClientKeys | None,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._provider = provider
        self._http = http
        self._client_keys = client_keys
        self._clock = clock
        self._random_bytes = random_bytes
        self._nonces: dict[str, str] = {}
        self._auth = self._client_auth()

    def unique(self) -> str:
        """A fresh ``jti``."""
        return b64url(self._random_bytes(16))

    async def get(self, url: str, access_token: str, *, dpop_key: bytes = b"") -> Answer:
        """GET with an access token in the header (RFC 6750 §2.1, RFC 9449 §7.1); again with the nonce if asked."""

        async def send() -> Answer:
            headers = {}
            if access_token:
                headers["authorization"] = f"{'DPoP' if dpop_key else 'Bearer'} {access_token}"
            if dpop_key:
                headers["dpop"] = self.proof(dpop_key, "GET", url, access_token=access_token)
            return await self._http.get(url, headers=headers)

        answer = await send()
        if self._learn_nonce(url, answer) and answer.status == 401 and dpop_key:
            answer = await send()
            self._learn_nonce(url, answer)
        return answer

    async def post(self, url: str, form: Mapping[str, str] | str, *, dpop_key: bytes = b"") -> Answer:
        """POST a form as this client (OpenID Connect Core §9), again with the DPoP nonce if one is asked for."""
        if not isinstance(form, str):
            # All methods but Basic name the client in the form, where a pushed request has it already; each parameter
            # may be there once (RFC 6749 §3.2).
            is_named = self._provider.client_authentication != "client_secret_basic"
            form = urlencode([pair for pair in form.items() if not (is_named and pair[0] == "client_id")])
        body = form

        async def send() -> Answer:
            # Assertions are for one use, so each attempt has its own.
            _, headers, content = self._auth.prepare("POST", url, {"content-type": _FORM}, body)
            if dpop_key:
                headers["dpop"] = self.proof(dpop_key, "POST", url)
            return await self._http.post(url, content.encode(), headers=headers)

        answer = await send()
        if self._learn_nonce(url, answer) and answer.status in (400, 401) and dpop_key:
            answer = await send()
            self._learn_nonce(url, answer)
        return answer

    def proof(self, key: bytes, method: str, url: str, *, access_token: str = "") -> str:
        """A DPoP proof (RFC 9449 §4.2) with the last nonce that the server of ``url`` gave."""
        return dpop.dpop_proof(
            dpop.dpop_key_from(key),
            method=method,
            url=url,
            now=int(self._clock()),
            jti=self.unique(),
            access_token=access_token or None,
            nonce=self._nonces.get(origin_of(url), ""),
        )

    def _learn_nonce(self, url: str, answer: Answer) -> bool:
        """Note the nonce for the next proof (RFC 9449 §8.2); whether it is a new one."""
        nonce = answer.headers.get("dpop-nonce", "")
        if not nonce or len(nonce) > 500 or self._nonces.get(origin_of(url)) == nonce:
            return False
        if len(self._nonces) > 50:  # Servers of one provider are few; a hostile one must not fill the memory.
            self._nonces.clear()
        self._nonces[origin_of(url)] = nonce
        return True

    def _client_auth(self) -> ClientAuth:
        provider = self._provider
        secret = provider.client_secret.get_secret_value() if provider.client_secret is not None else ""
        method: Any = provider.client_authentication
        if method == "client_secret_basic":
            # Authlib leaves out the form encoding that RFC 6749 §2.3.1 asks for.
            def method(client: ClientAuth, verb: str, url: str, headers: dict[str, str], body: str) -> Any:
                return url, headers | {"authorization": basic_credentials(provider.client_id, secret)}, body
        elif method in ("private_key_jwt", "client_secret_jwt"):

            def method(client: ClientAuth, verb: str, url: str, headers: dict[str, str], body: str) -> Any:
                fields = {"client_id": provider.client_id, "client_assertion_type": ASSERTION_TYPE}
                fields["client_assertion"] = self._assertion(secret)
                return url, headers, f"{body}&{urlencode(fields)}" if body else urlencode(fields)
        elif "tls_client_auth" in method:
            method = "none"  # RFC 8705 §2: the certificate says who we are, the body says as which client.
        return ClientAuth(provider.client_id, secret, method)

    def _assertion(self, secret: str) -> str:
        """RFC 7523 §3; FAPI 2.0 wants the issuer as the only audience, and every provider must take it."""
        common: dict[str, Any] = {
            "client_id": self._provider.client_id,
            "audience": self._provider.expected_issuer,
            "now": int(self._clock()),
            "jti": self.unique(),
        }
        if self._provider.client_authentication == "client_secret_jwt":
            return secret_assertion(secret, **common)
        key, algorithm = self.signing()
        return client_assertion(key, algorithm=algorithm, **common)

    def signing(self) -> tuple[Any, str]:
        if self._client_keys is None:
            raise ConfigurationError("private_keys must be set to sign")
        return self._client_keys.signing(None)
