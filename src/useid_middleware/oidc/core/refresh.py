"""Refreshing tokens (RFC 6749 §6, OpenID Connect Core §12): when, with what, and what may come of it."""

from ..._codec import replace
from .claims import claim_invalid
from .tokens import IdToken, TokenSet


def is_due(tokens: TokenSet, *, now: float, ahead: float) -> bool:
    """Whether the access token has ended or will within ``ahead`` seconds; never, where its end is unknown."""
    return tokens.expires_at is not None and now >= tokens.expires_at - ahead


def refresh_request(tokens: TokenSet) -> dict[str, str]:
    """The form of a refresh request (§12.1). The scope stays what it was.

    ``ValueError`` without a refresh token: the caller has to look first.
    """
    if not tokens.refresh_token:
        raise ValueError("there is no refresh token")
    return {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}


def refreshed(
    previous: TokenSet,
    response: TokenSet,
    *,
    expected_issuer: str,
    expected_subject: str,
    expected_auth_time: float | None,
    id_token: IdToken | None,
) -> TokenSet:
    """The tokens to keep in the place of ``previous``: the new ones, and old ones where the answer has none.

    ``id_token`` is the response's, verified. It must be about the same person at the same provider, and its login must
    not be older than ``expected_auth_time`` nor younger than the token itself (§12.2 asks for the original login;
    providers report a later one when the person logged in again in between). Raises ``token_claim_invalid``.
    """
    if response.id_token and (id_token is None or id_token.encoded != response.id_token):
        raise ValueError("id_token must be the response's, verified")
    if id_token is not None:
        if id_token.issuer != expected_issuer:
            raise claim_invalid("id_token", "iss", "that of the first ID token")
        if id_token.subject != expected_subject:
            raise claim_invalid("id_token", "sub", "that of the first ID token")
        auth_time = id_token.auth_time
        if auth_time is not None and expected_auth_time is not None and auth_time < expected_auth_time:
            raise claim_invalid("id_token", "auth_time", "that of the first ID token, or a later one")
        if auth_time is not None and auth_time > id_token.issued_at:
            raise claim_invalid("id_token", "auth_time", "a time before iat")
    return replace(
        response,
        refresh_token=response.refresh_token or previous.refresh_token,
        id_token=response.id_token or previous.id_token,
        scope=response.scope or previous.scope,
    )
