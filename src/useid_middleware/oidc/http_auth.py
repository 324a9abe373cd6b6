"""Calling APIs as the logged-in user, with httpx2: ``client.get(url, auth=AccessTokenAuth(request))``."""

import time
from collections.abc import AsyncGenerator, Generator
from secrets import token_urlsafe
from typing import Any, Protocol

import httpx2

from ..errors import NotAuthenticated
from ..sessions.auth import AccessToken, Credentials
from .core.dpop import dpop_key_from, dpop_proof


class HasAuth(Protocol):
    """A request object of a framework."""

    @property
    def scope(self) -> Any:
        """The ASGI scope."""


class AccessTokenAuth(httpx2.Auth):
    """Sends the access token of a request's session: as Bearer (RFC 6750) or with a DPoP proof (RFC 9449).

    The token is renewed ahead of its expiry, and once more when an API answers 401. For ``AsyncClient`` alone. Raises
    :class:`~..errors.NotAuthenticated` where there is no token and no way to one. Use it with servers that the token
    is meant for: whoever receives a Bearer token can use it.
    """

    def __init__(self, request: HasAuth) -> None:
        credentials = request.scope.get("auth")
        if not isinstance(credentials, Credentials):
            raise NotAuthenticated("not_authenticated", "this request did not go through the plugin")
        self._credentials = credentials
        self._nonce = ""

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response]:
        """Refused: looking a token up has to await."""
        raise RuntimeError("AccessTokenAuth works with httpx2.AsyncClient")

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """See httpx2."""
        token = await self._credentials.token()
        response = yield self._signed(request, token)
        if response.status_code != 401:
            return
        if self._learn_nonce(response) and token.key:
            response = yield self._signed(request, token)
            if response.status_code != 401:
                return
        renewed = await self._credentials.token(refused=token.value)
        if renewed.value != token.value:
            yield self._signed(request, renewed)

    def _signed(self, request: httpx2.Request, token: AccessToken) -> httpx2.Request:
        request.headers["authorization"] = f"{token.kind} {token.value}"
        if token.key:
            request.headers["dpop"] = dpop_proof(
                dpop_key_from(token.key),
                method=request.method,
                url=str(request.url),
                now=int(time.time()),
                jti=token_urlsafe(16),
                access_token=token.value,
                nonce=self._nonce,
            )
        return request

    def _learn_nonce(self, response: httpx2.Response) -> bool:
        nonce = str(response.headers.get("dpop-nonce", ""))
        is_new = bool(nonce) and nonce != self._nonce
        self._nonce = nonce or self._nonce
        return is_new
