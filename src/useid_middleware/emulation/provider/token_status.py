"""What a token is worth: userinfo (OpenID Connect Core 1.0 §5.3), introspection (RFC 7662), revocation (RFC 7009)."""

from typing import Final

from ..._codec import encode_json
from ...http.asgi import ASGIApp
from ...http.requests import Request
from ...http.responses import Response, json_response
from ...http.routing import Handler
from .authorization import single
from .client_authentication import authenticate, certificate_of, thumbprint
from .dpop import read_proof
from .forms import form_pairs, query_pairs
from .injection import USERINFO, USERINFO_NONCE, USERINFO_TOKEN, Document
from .keys import Unsigned
from .people import claims_for
from .realm import Realm
from .records import Token
from .refusals import OAuthError, invalid_request, invalid_token
from .token_endpoint import require

JWT: Final = b"application/jwt"


class TokenStatusRoutes:
    """Endpoints that take a token and say something about it."""

    def __init__(self, realm: Realm) -> None:
        self._realm = realm

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {
            "GET /userinfo": self.userinfo,
            "POST /userinfo": self.userinfo,
            "GET /claims": self.distributed_claims,
            "POST /introspect": self.introspect,
            "POST /revoke": self.revoke,
        }

    async def userinfo(self, request: Request) -> ASGIApp:
        """The person's claims: JSON, or as the client registered, signed, encrypted, or both."""
        realm = self._realm
        token = await self._access_token(request)
        grant = token.grant
        person = realm.people.get(grant.subject)
        if person is None or "openid" not in token.scopes:
            challenge = (b"www-authenticate", b'Bearer error="insufficient_scope", scope="openid"')
            raise OAuthError("insufficient_scope", "expected the scope openid", status_hint=403, headers=[challenge])
        client = realm.clients[grant.client_id]
        claims: Document = claims_for(person, scopes=token.scopes, requested=grant.claims.userinfo)
        claims = realm.apply(USERINFO, claims, client_id=client.client_id)
        text, content_type = encode_json(claims).decode(), ""
        if client.userinfo_signed_response_alg:
            audience = {"iss": realm.issuer, "aud": client.client_id}
            unsigned = Unsigned({**claims, **audience}, client.userinfo_signed_response_alg)
            text, content_type = realm.sign(unsigned, USERINFO_TOKEN, client=client), "JWT"
        sealed = await realm.seal(
            text,
            client=client,
            alg=client.userinfo_encrypted_response_alg,
            enc=client.userinfo_encrypted_response_enc,
            content_type=content_type,
        )
        if content_type or sealed != text:
            return Response(200, sealed.encode(), JWT)
        return json_response(claims)

    async def distributed_claims(self, request: Request) -> ASGIApp:
        """The claims that the fault ``distributed-claims`` refers to (§5.6.2)."""
        if request.header(b"authorization") != "Bearer distributed-claims-token":
            raise invalid_token("expected the access token of the claim source")
        unsigned = Unsigned({"iss": self._realm.issuer, "credit_score": 650}, self._realm.policy.signing_algorithm)
        return Response(200, self._realm.keys.sign(unsigned, client_secret="", random_kid="").encode(), JWT)

    async def introspect(self, request: Request) -> ASGIApp:
        """Whether a token of this client is good, and what for."""
        realm = self._realm
        params = single(await form_pairs(request))
        client = await authenticate(realm, request, params)
        now, value = realm.now(), require(params, "token")
        token = realm.records.access_tokens.get(value, now=now)
        kind = "access_token"
        if token is None:
            token, kind = realm.records.refresh_tokens.get(value, now=now), "refresh_token"
        if token is None or token.is_used or token.expires_at <= now or token.grant.client_id != client.client_id:
            return json_response({"active": False})
        grant = token.grant
        binding = {name: value for name, value in (("jkt", grant.jkt), ("x5t#S256", grant.x5t)) if value}
        person = realm.people.get(grant.subject)
        return json_response(
            {
                "active": True,
                "iss": realm.issuer,
                "client_id": client.client_id,
                "scope": " ".join(token.scopes),
                "iat": token.issued_at,
                "exp": int(token.expires_at),
                "token_type": "DPoP" if grant.jkt else "Bearer",
                "sub": grant.subject or client.client_id,
                **({"username": person.username} if person else {}),
                **({"cnf": binding} if binding else {}),
                "token_use": kind,
            }
        )

    async def revoke(self, request: Request) -> ASGIApp:
        """End a token; with a refresh token, its whole family. An unknown token is no error (RFC 7009 §2.2)."""
        realm = self._realm
        params = single(await form_pairs(request))
        client = await authenticate(realm, request, params)
        now, value = realm.now(), require(params, "token")
        refresh_token = realm.records.refresh_tokens.get(value, now=now)
        if refresh_token is not None and refresh_token.grant.client_id == client.client_id:
            realm.records.revoke(refresh_token.grant.id, now=now)
        access_token = realm.records.access_tokens.get(value, now=now)
        if access_token is not None and access_token.grant.client_id == client.client_id:
            realm.records.access_tokens.take(value, now=now)
        return Response(200)

    async def _access_token(self, request: Request) -> Token:
        """The good token in the Authorization header or the form (RFC 6750 §2, RFC 9449 §7); never in the query."""
        realm = self._realm
        if any(name == "access_token" for name, _ in query_pairs(request)):
            raise invalid_request("access_token: expected in the Authorization header, not in the query")
        scheme, _, value = request.header(b"authorization").partition(" ")
        scheme = scheme.lower()
        value = value.strip()
        if not scheme and request.method == "POST":
            scheme, value = "bearer", single(await form_pairs(request)).get("access_token", "")
        if scheme not in ("bearer", "dpop") or not value:
            challenges = [(b"www-authenticate", b"Bearer"), (b"www-authenticate", b"DPoP")]
            raise OAuthError("invalid_request", "Authorization: expected a token", status_hint=401, headers=challenges)
        token = realm.records.access_tokens.get(value, now=realm.now())
        if token is None:
            raise invalid_token("the access token is unknown, expired or revoked", scheme=_SCHEMES[scheme])
        if bool(token.grant.jkt) is not (scheme == "dpop"):
            raise invalid_token("expected the scheme that the token was given for", scheme=_SCHEMES[scheme])
        if token.grant.jkt:
            needs_nonce = realm.apply(USERINFO_NONCE, realm.policy.require_dpop_nonce)
            jkt = read_proof(realm, request, needs_nonce=needs_nonce, access_token=value, is_resource=True)
            if jkt != token.grant.jkt:
                raise invalid_token("DPoP: expected a proof by the key of the token", scheme="DPoP")
        if token.grant.x5t:
            certificate = certificate_of(realm, request)
            if certificate is None or thumbprint(certificate) != token.grant.x5t:
                raise invalid_token("expected the client certificate of the token")
        return token


_SCHEMES: Final = {"bearer": "Bearer", "dpop": "DPoP"}
