"""The codes of errors and their statuses, as the tables use them; a test holds them against what the source raises."""

from collections.abc import Iterator, Mapping
from typing import Final

#: The status of every code that has one alone. Others are written with theirs: ``token_malformed@400``.
STATUSES: Final[Mapping[str, int]] = {
    # the request
    "malformed_request": 400,
    "app_name_refused": 400,
    "return_url_refused": 400,
    "key_refused": 400,
    "sealed_invalid": 400,
    "cross_site_request": 403,
    "method_not_allowed": 405,
    "not_found": 404,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "unknown_host": 421,
    "rate_limited": 429,
    "store_unavailable": 503,
    "record_unreadable": 503,
    # who asks
    "browser_cookie_missing": 401,
    "login_required": 401,
    "level_required": 403,
    "login_refused": 403,
    # a login that waits
    "session_unknown": 404,
    "already_scanned": 409,
    "frame_stale": 409,
    "wrong_state": 409,
    "session_expired": 410,
    "device_unknown": 403,
    "signature_invalid": 403,
    "code_required": 403,
    "code_wrong": 403,
    # with an ID card
    "mode_refused": 403,
    "tenant_unknown": 403,
    "token_url_refused": 403,
    "requirements_not_met": 403,
    "result_pending": 409,
    "eid_server_refused": 502,
    "eid_server_unavailable": 503,
    # with WebAuthn
    "ceremony_unknown": 404,
    "binding_unknown": 404,
    "passkey_limit": 409,
    "passkey_missing": 409,
    "webauthn_challenge_expired": 410,
    "eservice_refused": 502,
    "eservice_unavailable": 503,
    "webauthn_metadata_outdated": 503,
    # at a provider
    "callback_invalid": 400,
    "cookie_missing": 400,
    "identifier_invalid": 400,
    "issuer_unknown": 400,
    "logout_refused": 400,
    "logout_replayed": 400,
    "state_mismatch": 400,
    "authorization_refused": 403,
    "email_not_verified": 403,
    "login_expired": 410,
    "callback_issuer_mismatch": 502,
    "claims_source_invalid": 502,
    "issuer_mismatch": 502,
    "jwks_invalid": 502,
    "metadata_invalid": 502,
    "par_invalid": 502,
    "par_refused": 502,
    "provider_answer_invalid": 502,
    "token_algorithm_refused": 502,
    "token_claim_invalid": 502,
    "token_encryption_refused": 502,
    "token_key_unknown": 502,
    "token_refused": 502,
    "token_response_invalid": 502,
    "token_signature_invalid": 502,
    "token_too_large": 502,
    "userinfo_invalid": 502,
    "webfinger_invalid": 502,
    "provider_unreachable": 503,
}


def by_status(codes: str) -> dict[int, list[str]]:
    """The codes of a text of codes, sorted, by their status."""
    found: dict[int, set[str]] = {}
    for code, status in parse_codes(codes):
        found.setdefault(status, set()).add(code)
    return {status: sorted(found[status]) for status in sorted(found)}


def parse_codes(codes: str) -> Iterator[tuple[str, int]]:
    """Each code with its status; ``KeyError`` for a code that has none."""
    for word in codes.split():
        code, _, status = word.partition("@")
        yield code, int(status) if status else STATUSES[code]
