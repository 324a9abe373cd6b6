"""What the provider says about itself: discovery, keys, WebFinger (OpenID Connect Discovery 1.0 §2, §4)."""

from typing import Final

from ...http.asgi import ASGIApp
from ...http.requests import Request
from ...http.responses import Response, json_response
from ...http.routing import Handler
from . import jose
from .authorization import PROMPTS, RESPONSE_MODES, RESPONSE_TYPES, single
from .clients import AUTHENTICATION_METHODS
from .forms import query_pairs
from .injection import DISCOVERY, JWKS, Document
from .people import SCOPE_CLAIMS, SUPPORTED_CLAIMS
from .realm import Realm
from .refusals import invalid_request
from .token_endpoint import EXCHANGES

ISSUER_RELATION: Final = "http://openid.net/specs/connect/1.0/issuer"


class MetadataRoutes:
    """Documents that need no authentication."""

    def __init__(self, realm: Realm) -> None:
        self._realm = realm

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {
            "GET /.well-known/openid-configuration": self.discovery,
            "GET /jwks": self.jwks,
            "GET /.well-known/webfinger": self.webfinger,
        }

    async def discovery(self, request: Request) -> ASGIApp:
        """The metadata."""
        return json_response(self._realm.apply(DISCOVERY, self._metadata()))

    async def jwks(self, request: Request) -> ASGIApp:
        """The public keys."""
        document = self._realm.apply(JWKS, {"keys": self._realm.keys.published()})
        return json_response(document)

    async def webfinger(self, request: Request) -> ASGIApp:
        """Which issuer is responsible for a person or host (RFC 7033): this one, for everybody who asks here."""
        params = single(query_pairs(request))
        if not params.get("resource"):
            raise invalid_request("resource: expected acct:… or an https address")
        links = [{"rel": ISSUER_RELATION, "href": self._realm.issuer}]
        wanted = params.get("rel", ISSUER_RELATION)
        document = {"subject": params["resource"], "links": [link for link in links if link["rel"] == wanted]}
        response = json_response(document)
        return Response(response.status, response.body, b"application/jrd+json")

    def _metadata(self) -> Document:
        realm = self._realm
        algorithms = [*jose.ASYMMETRIC, *jose.SYMMETRIC]
        endpoints = {
            "authorization_endpoint": "authorize",
            "token_endpoint": "token",
            "userinfo_endpoint": "userinfo",
            "jwks_uri": "jwks",
            "registration_endpoint": "register",
            "introspection_endpoint": "introspect",
            "revocation_endpoint": "revoke",
            "end_session_endpoint": "end-session",
            "check_session_iframe": "check-session",
            "device_authorization_endpoint": "device-authorization",
            "pushed_authorization_request_endpoint": "par",
        }
        document: Document = {"issuer": realm.issuer}
        document |= {name: f"{realm.issuer}/{path}" for name, path in endpoints.items()}
        for kind in ("id_token", "userinfo", "authorization"):
            document |= {
                f"{kind}_signing_alg_values_supported": algorithms,
                f"{kind}_encryption_alg_values_supported": list(jose.ENCRYPTION_ALGORITHMS),
                f"{kind}_encryption_enc_values_supported": list(jose.CONTENT_ALGORITHMS),
            }
        for endpoint in ("token", "introspection", "revocation"):
            document |= {
                f"{endpoint}_endpoint_auth_methods_supported": list(AUTHENTICATION_METHODS),
                f"{endpoint}_endpoint_auth_signing_alg_values_supported": algorithms,
            }
        return document | {
            "scopes_supported": ["openid", *SCOPE_CLAIMS, "offline_access"],
            "claims_supported": list(SUPPORTED_CLAIMS),
            "claim_types_supported": ["normal", "aggregated", "distributed"],
            "claims_parameter_supported": True,
            "response_types_supported": list(RESPONSE_TYPES),
            "response_modes_supported": list(RESPONSE_MODES),
            "grant_types_supported": [*EXCHANGES, "implicit"],
            "subject_types_supported": ["public"],
            "code_challenge_methods_supported": ["S256"],
            "prompt_values_supported": list(PROMPTS),
            "acr_values_supported": [realm.policy.acr],
            "ui_locales_supported": ["en", "de"],
            "display_values_supported": ["page"],
            "authorization_response_iss_parameter_supported": True,
            "request_parameter_supported": True,
            "request_uri_parameter_supported": True,
            "require_request_uri_registration": False,
            "request_object_signing_alg_values_supported": algorithms,
            "request_object_encryption_alg_values_supported": ["ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"],
            "request_object_encryption_enc_values_supported": list(jose.CONTENT_ALGORITHMS),
            "require_pushed_authorization_requests": realm.policy.require_pushed_authorization_requests,
            "dpop_signing_alg_values_supported": list(jose.ASYMMETRIC),
            "tls_client_certificate_bound_access_tokens": True,
            "backchannel_logout_supported": True,
            "backchannel_logout_session_supported": True,
            "frontchannel_logout_supported": True,
            "frontchannel_logout_session_supported": True,
        }
