"""The calls of logins at OpenID providers, and of their logouts."""

from collections.abc import Mapping
from typing import Final, TypedDict

from .operations import PAGE, By, Group, Media, Operation
from .sessions import BEGIN


class LogoutRefused(TypedDict):
    """A logout token that must not be believed (Back-Channel Logout 1.0 §2.8)."""

    error: str
    error_description: str


#: What a token of a provider can be refused with.
_TOKEN: Final = (
    "token_malformed@502 token_algorithm_refused token_claim_invalid token_encryption_refused token_key_unknown"
    " token_signature_invalid token_too_large"
)
#: What asking a provider for its metadata or keys can fail with.
_METADATA: Final = "provider_unreachable provider_answer_invalid metadata_invalid issuer_mismatch jwks_invalid"
_ARRIVAL: Final = (
    "cookie_missing malformed_request callback_invalid state_mismatch login_expired callback_issuer_mismatch"
    " authorization_refused email_not_verified claims_source_invalid token_refused token_response_invalid"
    f" userinfo_invalid {_TOKEN} {BEGIN}"
)
_INITIATE: Final = f"malformed_request issuer_unknown identifier_invalid webfinger_invalid {BEGIN}"
_POSTED: Final = "malformed_request body_too_large unsupported_media_type"
_WISHES: Final = {
    "iss": "The provider.",
    "login_hint": "For the provider: who wants to log in.",
    "target_link_uri": "Where the login leads; an address that it may not lead to is dropped.",
    "identifier": "In the place of iss: an address of one of the domains of the settings (WebFinger).",
}

OPERATIONS: Final[Mapping[str, Operation]] = {
    "GET /callback": Operation(
        summary="The browser is back from the provider: on to where the login leads, or a page.",
        query=dict.fromkeys(
            ("code", "state", "iss", "session_state", "response", "error", "error_description"), "As the provider says."
        )
        | {"posted": "In the place of all others: where a form's response is kept."},
        answers={200: PAGE, 303: None},
        pages=_ARRIVAL,
        never="malformed_request",
    ),
    "POST /callback": Operation(
        summary="A response by form: the browser comes back for it with its cookie.",
        form=dict.fromkeys(("code", "state", "iss", "id_token", "response", "error"), "As the provider says."),
        answers={303: None},
        pages=f"{_POSTED} rate_limited store_unavailable",
        never=_POSTED,
    ),
    "GET /logout/done": Operation(
        summary="The browser is back from the provider's logout.",
        query={"state": "As it was sent there."},
        answers={303: None},
    ),
    "POST /backchannel-logout": Operation(
        summary="The provider ends a session.",
        form={"logout_token": "Signed by the provider."},
        answers={200: None, 400: LogoutRefused},
        errors=f"{_METADATA} {_TOKEN}",
        never=_POSTED,
    ),
    "GET /frontchannel-logout": Operation(
        summary="The same by an iframe of the provider's.",
        query={"iss": "The provider.", "sid": "Its session."},
        answers={200: PAGE},
        errors=f"logout_refused {_METADATA}",
    ),
    "GET /session-monitor": Operation(
        summary="The page that watches the session at the provider.",
        by=By.SESSION,
        answers={200: PAGE},
        errors=_METADATA,
    ),
    "GET /session-monitor/renew": Operation(
        summary="Ask the provider without the person.", by=By.SESSION, answers={200: PAGE, 303: None}
    ),
    "GET /initiate": Operation(
        summary="A login that a third party begins (OpenID Connect Core §4), or a person with their address.",
        query=_WISHES,
        answers={303: None},
        pages=_INITIATE,
        never="malformed_request",
    ),
    "POST /initiate": Operation(
        summary="The same by a form.",
        form=_WISHES,
        answers={303: None},
        pages=f"{_INITIATE} {_POSTED}",
        never=_POSTED,
    ),
    "GET /error": Operation(summary="The page for a code.", query={"code": "Of an error."}, answers={200: PAGE}),
    "GET /profile": Operation(summary="Who is logged in.", by=By.SESSION, answers={200: PAGE}, errors="not_found"),
    "GET /request-object/{handle}": Operation(
        summary="A request object, for the provider (RFC 9101).",
        answers={200: Media("application/oauth-authz-req+jwt")},
        errors="not_found",
    ),
}

GROUP: Final = Group("OpenID Connect", "Login at providers, and their logouts.", OPERATIONS)
