"""Logging in at a provider: begin, come back, become an identity."""

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from .._codec import b64url, encode_json, is_b64url, replace
from .._sealing import NONCE_SIZE, SealBroken, seal, unseal
from ..errors import AuthenticationError, ProviderError, RequestError, StateError, UnavailableError, UseIDError
from ..events import Answered, Events, PreLogin
from ..http.asgi import Scope
from ..identity import Identity
from ..settings import OIDCProvider, OIDCSettings
from ..stores.base import Clock, Store
from ..stores.limits import Limits
from .client import ProviderClient
from .core import claims_sources, dpop
from .core.authorization import Attempt, authorization_request, authorization_url, new_attempt, pushed_url
from .core.callback import CheckedCallback, check_callback, read_parameters, token_request
from .core.jarm import read_jarm
from .core.tokens import ExpectedIdToken, IdToken, TokenSet, verify_id_token
from .core.webfinger import issuer_of, normalise, webfinger_url
from .handles import Handles, PostedResponses
from .records import SessionSecret, attempts, session_secrets

logger = logging.getLogger("useid_middleware")

_RANDOM_SIZE: Final = 96
#: Claims of an ID token that are about the login, not about the person.
_OF_LOGIN: Final = ("iss", "sub", "aud", "azp", "exp", "iat", "nonce", "auth_time", "acr", "amr", "sid")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a login asks of the provider beyond the settings."""

    prompt: str = ""
    login_hint: str = ""
    id_token_hint: str = ""
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody came back from a provider and is who they say: the identity, and the login that it ends."""

    attempt: Attempt
    identity: Identity
    secret: SessionSecret


class OIDCService:
    """Logins at all configured providers."""

    def __init__(
        self,
        *,
        clients: Mapping[str, ProviderClient],
        store: Store,
        events: Events,
        limits: Limits,
        settings: OIDCSettings,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.clients = clients
        self._store = store
        self._events = events
        self._limits = limits
        self._settings = settings
        self._clock = clock
        self._random_bytes = random_bytes
        self._requests = Handles("oidc-request", store=store, random_bytes=random_bytes)
        self.responses = PostedResponses(store=store, places=limits.responses, clock=clock, random_bytes=random_bytes)

    def client(self, name: str) -> ProviderClient:
        """The client of the provider with this name; its callers have checked that there is one."""
        return self.clients[name]

    def find_issuer(self, issuer: str) -> ProviderClient | None:
        """The client of the provider that calls itself so."""
        return next((each for each in self.clients.values() if each.provider.expected_issuer == issuer), None)

    async def discover(self, identifier: str) -> str:
        """The name of the provider of a person, by their address (OpenID Connect Discovery 1.0 §2).

        Only domains of ``webfinger_domains`` are asked, so that nobody makes us call any address they like; and only
        an issuer that is configured is an answer. Raises ``issuer_unknown`` otherwise.
        """
        resource, host = normalise(identifier)
        if host in self._settings.webfinger_domains:
            http = next(iter(self.clients.values())).http
            answer = await http.get(webfinger_url(resource, host))
            if answer.status == 200:
                client = self.find_issuer(issuer_of(answer.body, expected_resource=resource))
                if client is not None:
                    return client.name
        raise RequestError("issuer_unknown", "identifier: expected an address of a domain and issuer configured here")

    # there

    async def begin(
        self,
        name: str,
        *,
        scope: Scope,
        browser: str,
        redirect_uri: str,
        return_to: str,
        wishes: Wishes,
        server: str,
        now: float,
    ) -> str:
        """The address at the provider to send the browser to.

        ``browser`` is the secret of its cookie, ``server`` what our own addresses begin with.

        Raises :class:`~..events.Answered` or ``login_refused`` when a listener of ``PreLogin`` says so.
        """
        client = self.client(name)
        provider = client.provider
        question = PreLogin(now, name, scope, provider.scopes, dict(provider.parameters))
        if not wishes.silent:
            await self._events.emit(question)
            if question.response is not None:
                raise Answered(question.response)
        metadata = await client.metadata()
        attempt = new_attempt(
            provider=name,
            random=self._random_bytes(_RANDOM_SIZE),
            redirect_uri=redirect_uri,
            return_to=return_to,
            scopes=question.scopes,
            response_type=provider.response_type,
            response_mode=provider.response_mode,
            max_age=provider.max_age,
            acr_values=provider.acr_values,
            prompt=wishes.prompt or provider.prompt,
            silent=wishes.silent,
            now=now,
            dpop_key=dpop.new_dpop_key(self._random_bytes(dpop.RANDOM_SIZE)) if provider.dpop else b"",
        )
        parameters = authorization_request(
            attempt,
            client_id=provider.client_id,
            login_hint=wishes.login_hint,
            id_token_hint=wishes.id_token_hint,
            ui_locales=provider.ui_locales,
            extra=question.parameters,
            dpop_jkt=dpop.thumbprint_of(attempt.dpop_key) if attempt.dpop_key else "",
        )
        await self._keep(attempt, browser)
        if provider.request_object != "never":
            request = await client.signed_request(parameters)
            parameters = {name: parameters[name] for name in ("response_type", "client_id", "scope")}
            if provider.request_object == "reference":
                handle = await self._requests.keep(request.encode(), ttl=self._settings.attempt_lifetime)
                parameters["request_uri"] = f"{server}/request-object/{handle}"
            else:
                parameters["request"] = request
        pushes = provider.pushed_authorization == "always" or (
            provider.pushed_authorization == "auto" and metadata.require_pushed_authorization_requests
        )
        if not pushes:
            return authorization_url(metadata.authorization_endpoint, parameters)
        request_uri = await client.push(parameters, dpop_key=attempt.dpop_key)
        return pushed_url(metadata.authorization_endpoint, client_id=provider.client_id, request_uri=request_uri)

    async def offered_request(self, handle: str) -> str | None:
        """The request object behind an address that we gave to a provider (RFC 9101 §5.2)."""
        found = await self._requests.look(handle)
        return found.decode() if found is not None else None

    # and back

    async def read_response(self, name: str, pairs: Sequence[tuple[str, str]]) -> Mapping[str, str]:
        """The parameters of an authorization response, taken out of its signed token where we asked for one (JARM)."""
        parameters = read_parameters(pairs)
        client = self.client(name)
        if not client.provider.uses_jarm:
            return parameters
        if "response" not in parameters:
            raise ProviderError(
                "token_malformed", "callback: expected a signed response, found none", details={"token": "jarm"}
            )
        token = client.open(parameters["response"], name="jarm")
        return read_parameters(
            await client.verified(
                lambda keys: read_jarm(
                    token,
                    client.combined(keys),
                    expected_issuer=client.provider.expected_issuer,
                    expected_audience=client.provider.client_id,
                    algorithms=client.provider.algorithms,
                    now=self._clock(),
                    skew=self._settings.skew,
                )
            )
        )

    async def take_attempt(self, name: str, state: str, browser: str) -> Attempt:
        """The login that this browser began with this ``state``, once.

        Raises ``state_mismatch`` for a state that is unknown, used, expired, another provider's or another browser's;
        a stranger's attempt is left to its owner.
        """
        attempt = await self._look_up(state, browser)
        if attempt is None or attempt.provider != name or not await self._forget(attempt):
            raise StateError(
                "state_mismatch", "state: expected that of a login which this browser began", status_hint=400
            )
        return attempt

    async def arrive(self, attempt: Attempt, parameters: Mapping[str, str]) -> Arrival:
        """From the callback's parameters to a proven identity: exchange, validate, ask for more."""
        client = self.client(attempt.provider)
        provider = client.provider
        now = self._clock()
        checked = check_callback(
            parameters,
            attempt,
            metadata=await client.metadata(),
            requires_issuer=provider.requires_issuer,
            now=now,
            lifetime=self._settings.attempt_lifetime,
        )
        front = await self._front_id_token(client, checked)
        tokens = await client.grant(token_request(checked), dpop_key=attempt.dpop_key, expects_id_token=True)
        expected = self._expected(provider, attempt)
        # Kept without the encryption, which is for us: as a hint, the provider has to read it (RP-Initiated Logout §2).
        tokens = replace(tokens, id_token=client.open(tokens.id_token, name="id_token"))
        id_token = await client.verified(
            lambda keys: verify_id_token(
                tokens.id_token,
                client.combined(keys),
                expected=expected,
                now=now,
                access_token=tokens.access_token,
                code=checked.code,
            )
        )
        if front is not None and (front.issuer, front.subject) != (id_token.issuer, id_token.subject):
            raise ProviderError(
                "token_claim_invalid",
                "ID token: expected issuer and subject of the one in the authorization response",
                details={"token": "id_token", "claim": "sub"},
            )
        claims = await self._claims(client, id_token, tokens, attempt.dpop_key)
        secret = SessionSecret(
            provider=attempt.provider,
            issuer=id_token.issuer,
            subject=id_token.subject,
            tokens=tokens,
            received_at=now,
            auth_time=id_token.auth_time,
            nonce=attempt.nonce,
            session_state=checked.session_state,
            dpop_key=attempt.dpop_key,
            claims_json=encode_json(claims),
        )
        return Arrival(attempt, _identity(provider, id_token, claims, secret), secret)

    async def _front_id_token(self, client: ProviderClient, checked: CheckedCallback) -> IdToken | None:
        """The ID token of a hybrid response (OpenID Connect Core §3.3.2.11): it vouches for the code."""
        if not checked.id_token:
            return None
        encoded = client.open(checked.id_token, name="id_token")
        expected = self._expected(client.provider, checked.attempt)
        return await client.verified(
            lambda keys: verify_id_token(
                encoded,
                client.combined(keys),
                expected=expected,
                now=self._clock(),
                code=checked.code,
                requires_c_hash=True,
            )
        )

    def _expected(self, provider: OIDCProvider, attempt: Attempt) -> ExpectedIdToken:
        return ExpectedIdToken(
            issuer=provider.expected_issuer,
            client_id=provider.client_id,
            nonce=attempt.nonce,
            algorithms=provider.algorithms,
            trusted_audiences=provider.trusted_audiences,
            max_age=attempt.max_age,
            authorized_at=attempt.created_at,
            acr_values=provider.acr_values if provider.acr_required else (),
            skew=self._settings.skew,
        )

    async def _claims(
        self, client: ProviderClient, id_token: IdToken, tokens: TokenSet, dpop_key: bytes
    ) -> dict[str, Any]:
        """The ID token's claims and, on top, those of userinfo and of the claims providers that are believed."""
        claims = dict(id_token.claims)
        provider = client.provider
        has_endpoint = bool((await client.metadata()).userinfo_endpoint)
        if provider.userinfo == "always" or (provider.userinfo == "auto" and has_endpoint):
            userinfo = await client.userinfo(tokens, expected_subject=id_token.subject, dpop_key=dpop_key)
            # How the login was made is what the signed token says, whatever stands beside the person's data.
            claims = {**claims, **userinfo, **{name: claims[name] for name in _OF_LOGIN if name in claims}}
        for source in claims_sources.claims_sources(claims):
            try:
                claims = claims_sources.merge_claims(claims, source, await client.source_claims(source))
            except UseIDError as error:
                # Its claims are not known then; whether that matters is for the app to say.
                logger.warning("claims source of %s left out: %s", client.name, error.code)
        if provider.verified_email_only and claims.get("email_verified") is not True:
            raise AuthenticationError("email_not_verified", "email_verified: expected true; verified_email_only is set")
        return claims

    # attempts

    async def _keep(self, attempt: Attempt, browser: str) -> None:
        """Keep an attempt, sealed for its browser; of too many, the oldest goes."""
        index = f"oidc-browser:{b64url(sha256(browser.encode()).digest())}"
        keys = await self._store.find(index)
        if len(keys) >= self._settings.attempt_slots:
            states = [key.removeprefix("oidc-attempt:") for key in keys]
            living = [each for each in [await self._look_up(state, browser) for state in states] if each is not None]
            for old in sorted(living, key=lambda each: each.created_at)[
                : len(living) - self._settings.attempt_slots + 1
            ]:
                await self._forget(old)
        key = _attempt_key(attempt.state)
        nonce = self._random_bytes(NONCE_SIZE)
        sealed = seal(attempts.encode(attempt), secret=browser.encode(), purpose=key.encode(), nonce=nonce)
        await self._store.put(key, sealed, ttl=self._settings.attempt_lifetime, indexes=[index])

    async def _forget(self, attempt: Attempt) -> bool:
        """The attempt is over; ``True`` for the one caller who ended it."""
        is_ours = await self._store.take(_attempt_key(attempt.state)) is not None
        if is_ours:
            await self._limits.attempts.give_back(attempt.created_at)
        return is_ours

    async def _look_up(self, state: str, browser: str) -> Attempt | None:
        if not is_b64url(state, 32):
            return None
        key = _attempt_key(state)
        found = await self._store.get(key)
        if found is None:
            return None
        try:
            return attempts.decode(unseal(found.value, secret=browser.encode(), purpose=key.encode()))
        except (SealBroken, UnavailableError):
            # Changed, or of another version: the login begins anew, and is not in the way of others.
            return None


def _attempt_key(state: str) -> str:
    return f"oidc-attempt:{state}"


def _identity(provider: OIDCProvider, id_token: IdToken, claims: Mapping[str, Any], secret: SessionSecret) -> Identity:
    """What all features share, made of what the provider said."""
    names = (claims.get(name) for name in (provider.username_claim, "preferred_username", "email", "name"))
    return Identity(
        provider=id_token.issuer,
        subject=id_token.subject,
        username=next((name for name in names if isinstance(name, str) and name), ""),
        level=provider.level(id_token.acr),
        amr=id_token.amr,
        auth_time=id_token.auth_time,
        claims=claims,
        sid=id_token.sid,
        roles=_roles(claims, provider.roles_claim) if provider.roles_claim else None,
        tokens=secret.tokens,
        secret=session_secrets.encode(secret),
    )


def _roles(claims: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """The texts at a dotted path; whatever else is there is nobody's role."""
    value: Any = claims
    for member in path.split("."):
        value = value.get(member) if isinstance(value, Mapping) else None
    found = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(role for role in found if isinstance(role, str) and role and role.isprintable())
