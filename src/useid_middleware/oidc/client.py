"""What we ask a provider over HTTP: metadata, keys, tokens, userinfo. One object a provider.

Authlib builds the grants; what comes back is judged by the core.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from authlib.oauth2.rfc6749.parameters import prepare_token_request

from ..errors import ConfigurationError, ProviderError
from ..settings import OIDCProvider, OIDCSettings
from ..stores.base import Clock
from .calls import Calls
from .core import claims_sources
from .core.authorization import error_code, parse_pushed_response, request_object
from .core.jose import claimed_issuer, decrypt_token, is_encrypted
from .core.keys import ClientKeys, KeySet
from .core.metadata import ProviderMetadata, check_metadata, discovery_url, parse_metadata, rewrite
from .core.tokens import TokenSet, parse_token_response
from .core.userinfo import read_userinfo
from .keeping import Kept
from .network import HTTP, Answer, origin_of

T = TypeVar("T")

#: What a verification says when other keys might mend it.
_KEY_TROUBLE: Final = ("token_key_unknown", "token_signature_invalid")


class ProviderClient:
    """One provider, as we are registered there."""

    def __init__(
        self,
        name: str,
        provider: OIDCProvider,
        *,
        http: HTTP,
        settings: OIDCSettings,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.name = name
        self.provider = provider
        self.http = http
        self._settings = settings
        self._clock = clock
        self.client_keys = _read_keys(provider)
        self._calls = Calls(provider, http=http, client_keys=self.client_keys, clock=clock, random_bytes=random_bytes)
        self._secret_keys = _secret_keys(provider)
        self._metadata = Kept(self._fetch_metadata, clock=clock, settings=settings)
        self._keys = Kept(self._fetch_keys, clock=clock, settings=settings)
        self._sources: dict[str, Kept[KeySet]] = {
            issuer: Kept(partial(self._fetch_source_keys, issuer), clock=clock, settings=settings)
            for issuer in provider.claims_providers
        }

    @property
    def label(self) -> str:
        """What people call the provider."""
        return self.provider.label or self.name

    # what the provider says of itself

    async def metadata(self) -> ProviderMetadata:
        """Discovery, kept for ``metadata_lifetime``; the last known while the provider is away."""
        return await self._metadata.value()

    async def keys(self) -> KeySet:
        """The provider's public keys, kept likewise."""
        return await self._keys.value()

    def forget(self) -> None:
        """Fetch metadata and keys anew when they are next needed."""
        self._metadata.forget()
        self._keys.forget()

    async def verified(self, verify: Callable[[KeySet], T]) -> T:
        """What ``verify`` makes of the keys; fetched once more where that might mend an unknown key or bad signature.

        A provider may rotate its keys between our last look and its signing, under a new key id or the old one.
        """
        keys = await self.keys()
        try:
            return verify(keys)
        except ProviderError as error:
            if error.code not in _KEY_TROUBLE:
                raise
            fresh = await self._keys.fresher(keys)
            if fresh.fingerprints == keys.fingerprints:
                raise
            return verify(fresh)

    def open(self, token: str, *, name: str) -> str:
        """``token``, decrypted with our keys where it is encrypted for us."""
        if not is_encrypted(token):
            return token
        if self.client_keys is None:
            raise ProviderError(
                "token_encryption_refused",
                f"{name}: expected a signed token, found an encrypted one and no private_keys",
                details={"token": name},
            )
        return decrypt_token(token, self.client_keys, name=name)

    # the authorization request

    async def push(self, parameters: Mapping[str, str], *, dpop_key: bytes = b"") -> str:
        """Pushed authorization request (RFC 9126 §2): the ``request_uri``."""
        metadata = await self.metadata()
        endpoint = self._endpoint(metadata, "pushed_authorization_request_endpoint")
        answer = await self._calls.post(endpoint, parameters, dpop_key=dpop_key)
        return parse_pushed_response(answer.status, answer.body)

    async def signed_request(self, parameters: Mapping[str, str]) -> str:
        """The parameters as a request object (RFC 9101)."""
        key, algorithm = self._calls.signing()
        return request_object(
            parameters,
            key,
            algorithm=algorithm,
            client_id=self.provider.client_id,
            audience=self.provider.expected_issuer,
            now=int(self._clock()),
            jti=self._calls.unique(),
        )

    # grants

    async def grant(
        self, form: Mapping[str, str], *, dpop_key: bytes = b"", expects_id_token: bool = False
    ) -> TokenSet:
        """A token request (RFC 6749 §3.2) and its answer, checked."""
        metadata = await self.metadata()
        rest = {name: value for name, value in form.items() if name != "grant_type"}
        body = prepare_token_request(form["grant_type"], "", **rest)
        answer = await self._calls.post(self._endpoint(metadata, "token_endpoint"), body, dpop_key=dpop_key)
        return parse_token_response(
            answer.status,
            answer.media_type,
            answer.body,
            now=self._clock(),
            expects_id_token=expects_id_token,
            expected_token_type="DPoP" if dpop_key else "Bearer",
        )

    async def userinfo(self, tokens: TokenSet, *, expected_subject: str, dpop_key: bytes = b"") -> dict[str, Any]:
        """The claims of the userinfo endpoint (OpenID Connect Core §5.3), which must be about ``expected_subject``."""
        metadata = await self.metadata()
        endpoint = self._endpoint(metadata, "userinfo_endpoint")
        answer = await self._calls.get(endpoint, tokens.access_token, dpop_key=dpop_key)
        return await self.verified(
            lambda keys: read_userinfo(
                answer.status,
                answer.media_type,
                answer.body,
                self.combined(keys),
                self.client_keys,
                expected_subject=expected_subject,
                expected_issuer=self.provider.expected_issuer,
                expected_audience=self.provider.client_id,
                algorithms=self.provider.algorithms,
                requires_signature=self.provider.userinfo_signed,
            )
        )

    async def revoke(self, token: str, *, hint: str) -> None:
        """Revoke a token (RFC 7009 §2.1); a provider without the endpoint cannot."""
        metadata = await self.metadata()
        if metadata.revocation_endpoint:
            endpoint = self._endpoint(metadata, "revocation_endpoint")
            answer = await self._calls.post(endpoint, {"token": token, "token_type_hint": hint})
            if answer.status != 200:
                raise ProviderError("provider_answer_invalid", f"revocation: expected 200, found {answer.status}")

    async def call(self, endpoint: str, form: Mapping[str, str]) -> dict[str, Any]:
        """A JSON answer of an authenticated endpoint: introspection (RFC 7662), device authorization (RFC 8628)."""
        metadata = await self.metadata()
        answer = await self._calls.post(self._endpoint(metadata, endpoint), form)
        value = _json_object(answer, endpoint)
        if answer.status != 200:
            raise ProviderError(
                "token_refused",
                f"{endpoint}: expected 200, found {answer.status}",
                details={"error": error_code(value.get("error"))},
            )
        return value

    async def source_claims(self, source: claims_sources.Source) -> dict[str, Any]:
        """The claims of an aggregated or distributed source (OpenID Connect Core §5.6) of a believed issuer.

        Raises ``ProviderError`` where the issuer is not among ``claims_providers`` or what it says does not verify.
        """
        if isinstance(source, claims_sources.Distributed):
            # Who answers there is known only then; nobody shall make us call any address they like.
            if origin_of(source.endpoint) not in map(origin_of, self._sources):
                raise ProviderError("claims_source_refused", "claims source: expected an address of claims_providers")
            answer = await self._calls.get(source.endpoint, source.access_token)
            if answer.status != 200:
                raise ProviderError("provider_answer_invalid", f"claims source: expected 200, found {answer.status}")
            token = answer.body.decode("ascii", "replace").strip()
        else:
            token = source.jwt
        issuer = claimed_issuer(token)
        if issuer not in self._sources:
            raise ProviderError("claims_source_refused", "claims source: expected an issuer of claims_providers")
        keys = await self._sources[issuer].value()
        return claims_sources.verify_source(
            token, keys, expected_issuer=issuer, algorithms=self.provider.algorithms, now=self._clock()
        )

    def combined(self, keys: KeySet) -> KeySet:
        """The provider's keys and, where the operator allows HS256 and its like, our shared secret."""
        return keys if self._secret_keys is None else keys.joined(self._secret_keys)

    def _endpoint(self, metadata: ProviderMetadata, name: str) -> str:
        """An endpoint's address; that for mutual TLS where we use it (RFC 8705 §5)."""
        url: str = getattr(metadata, name)
        if self.provider.tls_certificate is not None:
            url = metadata.mtls_endpoint_aliases.get(name, url)
        if not url:
            raise ProviderError("metadata_invalid", f"metadata: expected {name}")
        return url

    async def _fetch_metadata(self) -> ProviderMetadata:
        provider = self.provider
        if provider.metadata is not None:
            metadata = check_metadata(provider.metadata, expected_issuer=provider.expected_issuer)
        else:
            url = discovery_url(provider.issuer)
            answer = await self.http.get(url)
            if answer.status != 200:
                raise ProviderError("provider_answer_invalid", f"discovery: expected 200, found {answer.status}")
            metadata = parse_metadata(answer.body, expected_issuer=provider.expected_issuer)
        return rewrite(metadata, internal=origin_of(provider.issuer), public=origin_of(provider.expected_issuer))

    async def _fetch_keys(self) -> KeySet:
        if self.provider.jwks is not None:
            return KeySet.parse(json.dumps(self.provider.jwks).encode())
        return await self._fetch_jwks((await self.metadata()).jwks_uri)

    async def _fetch_jwks(self, url: str) -> KeySet:
        answer = await self.http.get(url)
        if answer.status != 200:
            raise ProviderError("provider_answer_invalid", f"jwks_uri: expected 200, found {answer.status}")
        return KeySet.parse(answer.body)

    async def _fetch_source_keys(self, issuer: str) -> KeySet:
        answer = await self.http.get(discovery_url(issuer))
        return await self._fetch_jwks(parse_metadata(answer.body, expected_issuer=issuer).jwks_uri)


def _read_keys(provider: OIDCProvider) -> ClientKeys | None:
    if provider.private_keys is None:
        return None
    try:
        return ClientKeys.parse(provider.private_keys.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"private_keys: expected a readable file, found {type(error).__name__}") from None


def _secret_keys(provider: OIDCProvider) -> KeySet | None:
    if provider.client_secret is None or not any(name.startswith("HS") for name in provider.algorithms):
        return None
    return KeySet.of_secret(provider.client_secret.get_secret_value())


def _json_object(answer: Answer, name: str) -> dict[str, Any]:
    try:
        value = json.loads(answer.body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ProviderError("provider_answer_invalid", f"{name}: expected a JSON object")
    return value
