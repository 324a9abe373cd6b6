"""Faults in how the provider answers: documents, HTTP answers, parameters that pass through the browser, its clock."""

import gzip
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from ..._codec import encode_json
from .injection import (
    ANSWERS,
    CALLBACK,
    DISCOVERY,
    FRONTCHANNEL,
    ID_TOKEN,
    JWKS,
    NOW,
    POST_LOGOUT,
    TOKEN_RESPONSE,
    USERINFO,
    USERINFO_NONCE,
    Answer,
    Change,
    Document,
    Fault,
    Pace,
    Pairs,
    Setting,
    Stage,
)
from .keys import Kid, Unsigned, public_jwk

#: Bytes of a huge answer.
HUGE: Final = 8 * 1024 * 1024
MARKUP: Final = "<script>alert(1)</script><img src=x onerror=alert(2)> \"'&\N{RIGHT-TO-LEFT OVERRIDE}"
_ELSEWHERE: Final = "https://issuer.invalid"
_ALIASED: Final = (
    "token_endpoint",
    "userinfo_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
    "pushed_authorization_request_endpoint",
    "device_authorization_endpoint",
)


def _without(*names: str) -> Callable[[Document, Setting], Document]:
    return lambda document, _: {name: value for name, value in document.items() if name not in names}


def _having(**members: Any) -> Callable[[Document, Setting], Document]:
    return lambda document, _: {**document, **members}


def _document(stage: Stage[Document], about: str, alter: Callable[[Document, Setting], Document]) -> Fault:
    return Fault(about, (Change(stage, alter),))


def _unnamed_key(token: Unsigned, _: Setting) -> Unsigned:
    return replace(token, kid=Kid.ABSENT)


def _sole_key(document: Document, setting: Setting) -> Document:
    return {**document, "keys": [public_jwk(setting.keys.signing_key(setting.signing_algorithm))]}


def _more_keys(document: Document, setting: Setting) -> Document:
    """Two foreign keys of the signing key's own type stand before it."""
    foreign = [public_jwk(setting.keys.foreign_key(setting.signing_algorithm, number)) for number in (0, 1)]
    return {**document, "keys": [*foreign, *document["keys"]]}


def _odd_keys(document: Document, _: Setting) -> Document:
    odd: list[Any] = [{"kty": "AKP", "kid": "later"}, {"kid": "no type"}, {"kty": "RSA", "n": "!", "e": 3}, 7, None]
    return {**document, "keys": [*odd, *document["keys"]]}


def _aggregated(document: Document, setting: Setting) -> Document:
    """§5.6.2: a claim that somebody else asserts, in a token that comes along."""
    token = setting.keys.sign(
        Unsigned({"iss": setting.issuer, "sub": document["sub"], "credit_score": 650}, setting.signing_algorithm),
        client_secret="",
        random_kid="",
    )
    return {**document, "_claim_names": {"credit_score": "one"}, "_claim_sources": {"one": {"JWT": token}}}


def _distributed(document: Document, setting: Setting) -> Document:
    """§5.6.2: a claim to be fetched at another address, with an access token that belongs there."""
    source = {"endpoint": f"{setting.issuer}/claims", "access_token": "distributed-claims-token"}
    return {**document, "_claim_names": {"credit_score": "one"}, "_claim_sources": {"one": source}}


DOCUMENT_FAULTS: Final[Mapping[str, Fault]] = {
    "discovery-issuer-mismatch": _document(DISCOVERY, "metadata of another issuer", _having(issuer=_ELSEWHERE)),
    "discovery-missing-issuer": _document(DISCOVERY, "metadata without issuer", _without("issuer")),
    "discovery-missing-endpoints": _document(
        DISCOVERY, "metadata without endpoints", _without("authorization_endpoint", "token_endpoint", "jwks_uri")
    ),
    "discovery-lists-alg-none": _document(
        DISCOVERY,
        "metadata that lists alg none",
        _having(id_token_signing_alg_values_supported=["none"], userinfo_signing_alg_values_supported=["none"]),
    ),
    "discovery-foreign-endpoints": _document(
        DISCOVERY, "metadata whose token endpoint is plain http elsewhere", _having(token_endpoint="http://192.0.2.1/t")
    ),
    "mtls-endpoint-aliases": _document(
        DISCOVERY,
        "metadata with aliases for mutual TLS (RFC 8705 §5), which are good",
        lambda document, setting: {
            **document,
            "mtls_endpoint_aliases": {
                name: value.replace(setting.issuer, f"{setting.issuer}/mtls", 1)
                for name, value in document.items()
                if name in _ALIASED
            },
        },
    ),
    "kid-absent-single-jwks": Fault(
        "no kid in the ID token, a sole key in the JWK Set", (Change(ID_TOKEN, _unnamed_key), Change(JWKS, _sole_key))
    ),
    "kid-absent-multiple-jwks": Fault(
        "no kid in the ID token, several keys of its type", (Change(ID_TOKEN, _unnamed_key), Change(JWKS, _more_keys))
    ),
    "jwks-odd-keys": _document(JWKS, "keys of unknown and broken form beside the good ones", _odd_keys),
    "jwks-no-keys": _document(JWKS, "an empty JWK Set", _having(keys=[])),
    "userinfo-invalid-sub": _document(
        USERINFO, "userinfo of another person", lambda document, _: {**document, "sub": f"{document['sub']}-other"}
    ),
    "userinfo-missing-sub": _document(USERINFO, "userinfo of nobody", _without("sub")),
    "aggregated-claims": _document(USERINFO, "a claim in a token of its own", _aggregated),
    "distributed-claims": _document(USERINFO, "a claim to be fetched elsewhere", _distributed),
    "token-endpoint-response-without-expires_in": _document(TOKEN_RESPONSE, "no expires_in", _without("expires_in")),
    "token-response-without-id-token": _document(TOKEN_RESPONSE, "no ID token", _without("id_token")),
    "token-response-without-access-token": _document(TOKEN_RESPONSE, "no access token", _without("access_token")),
    "token-response-without-refresh-token": _document(TOKEN_RESPONSE, "no refresh token", _without("refresh_token")),
    "token-response-expires-soon": _document(TOKEN_RESPONSE, "an access token for 5 s", _having(expires_in=5)),
    "token-response-odd-expires_in": _document(TOKEN_RESPONSE, "expires_in is a text", _having(expires_in="soon")),
    "token-type-case-insensitivity": _document(
        TOKEN_RESPONSE,
        "the token type with its case swapped, which is right",
        lambda document, _: {**document, "token_type": document["token_type"].swapcase()},
    ),
    "token-type-unknown": _document(TOKEN_RESPONSE, "a token type nobody knows", _having(token_type="mac")),
}


def _error(error: str, description: str) -> Callable[[Pairs, Setting], Pairs]:
    """An error in the place of what was granted; ``state`` and ``iss`` stay."""

    def alter(pairs: Pairs, _: Setting) -> Pairs:
        kept = [(name, value) for name, value in pairs if name in ("state", "iss")]
        return [("error", error), ("error_description", description), *kept]

    return alter


def _set(name: str, make: Callable[[str, Setting], str]) -> Callable[[Pairs, Setting], Pairs]:
    """Another value for a parameter that is there, or a new parameter."""

    def alter(pairs: Pairs, setting: Setting) -> Pairs:
        old = dict(pairs).get(name, "")
        return [*((key, value) for key, value in pairs if key != name), (name, make(old, setting))]

    return alter


def _drop(name: str) -> Callable[[Pairs, Setting], Pairs]:
    return lambda pairs, _: [(key, value) for key, value in pairs if key != name]


def _twice(*names: str) -> Callable[[Pairs, Setting], Pairs]:
    return lambda pairs, _: [*pairs, *((name, f"{value}x") for name, value in pairs if name in names)]


def _pairs(stage: Stage[Pairs], about: str, alter: Callable[[Pairs, Setting], Pairs]) -> Fault:
    return Fault(about, (Change(stage, alter),))


def _other(value: str, _: Setting) -> str:
    return f"{value}x"


BROWSER_FAULTS: Final[Mapping[str, Fault]] = {
    "form-post-error": _pairs(CALLBACK, "an error in the place of the code", _error("server_error", "the test failed")),
    "authorization-error": _pairs(CALLBACK, "an error with markup in its description", _error("access_denied", MARKUP)),
    "authorization-error-unknown": _pairs(CALLBACK, "an error nobody knows", _error("<b>odd</b>", "")),
    "invalid-authorization-response-iss": _pairs(CALLBACK, "iss of another issuer", _set("iss", lambda *_: _ELSEWHERE)),
    "remove-authorization-response-iss": _pairs(CALLBACK, "no iss", _drop("iss")),
    "ensure-authorization-response-with-invalid-state-fails": _pairs(CALLBACK, "another state", _set("state", _other)),
    "ensure-authorization-response-with-invalid-missing-state-fails": _pairs(CALLBACK, "no state", _drop("state")),
    "missing-code": _pairs(CALLBACK, "no code", _drop("code")),
    "invalid-code": _pairs(CALLBACK, "a code that was never given", _set("code", _other)),
    "duplicated-parameters": _pairs(CALLBACK, "code and state twice", _twice("code", "state")),
    "foreign-parameters": _pairs(CALLBACK, "a parameter nobody asked for", _set("unexpected", lambda *_: MARKUP)),
    "huge-state": _pairs(CALLBACK, "a state of 100 KB", _set("state", lambda value, _: value + "x" * 100_000)),
    "rp-init-logout-other-state": _pairs(POST_LOGOUT, "another state after the logout", _set("state", _other)),
    "rp-init-logout-no-state": _pairs(POST_LOGOUT, "no state after the logout", _drop("state")),
    "frontchannel-wrong-iss": _pairs(FRONTCHANNEL, "another iss", _set("iss", lambda *_: _ELSEWHERE)),
    "frontchannel-wrong-sid": _pairs(FRONTCHANNEL, "another sid", _set("sid", _other)),
    "frontchannel-no-sid": _pairs(FRONTCHANNEL, "no sid", _drop("sid")),
    "clock-skew": Fault(
        "the provider's clock is off by so many seconds",
        (Change(NOW, lambda now, setting: now + setting.number),),
        takes_number=True,
    ),
    "rs-dpop-auth-scheme-case-insensitivity": Fault(
        "userinfo demands a nonce of the scheme dPoP, which is right",
        (
            Change(USERINFO_NONCE, lambda *_: True),
            Change(
                ANSWERS["userinfo"],
                lambda answer, _: replace(
                    answer, headers=[(name, value.replace(b"DPoP ", b"dPoP ", 1)) for name, value in answer.headers]
                ),
            ),
        ),
    ),
}


def _headers(answer: Answer, **headers: str) -> list[tuple[bytes, bytes]]:
    changed = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return [*((name, value) for name, value in answer.headers if name not in changed), *changed.items()]


def _body(answer: Answer, body: bytes, **headers: str) -> Answer:
    return replace(answer, body=body, headers=_headers(answer, **{"content_length": str(len(body)), **headers}))


def _compressed(answer: Answer, _: Setting) -> Answer:
    return _body(answer, gzip.compress(b'{"padding":"' + b"A" * (4 * HUGE) + b'"}', 9), content_encoding="gzip")


def _failed(status: int) -> Callable[[Answer, Setting], Answer]:
    body = encode_json({"error": "temporarily_unavailable"})
    return lambda answer, _: replace(_body(answer, body, content_type="application/json"), status=status)


#: What can be wrong with any answer, by the first word of the fault's name.
_ANSWER_FAULTS: Final[Mapping[str, tuple[str, Callable[[Answer, Setting], Answer]]]] = {
    "huge": ("8 MB of JSON", lambda answer, _: _body(answer, b'{"padding":"' + b"A" * HUGE + b'"}')),
    "compressed": ("a few KB that unpack to 32 MB", _compressed),
    "garbage": ("bytes that are no JSON", lambda answer, _: _body(answer, b'\xff\xfe\x00{"iss": ')),
    "empty": ("no body", lambda answer, _: _body(answer, b"")),
    "array": ("a JSON array", lambda answer, _: _body(answer, b"[]")),
    "deep": ("JSON of 100,000 levels", lambda answer, _: _body(answer, b'{"a":' + b"[" * 100_000)),
    "slow": ("one byte a second, without end", lambda answer, _: replace(answer, pace=Pace.DRIPPING)),
    "hanging": ("no answer", lambda answer, _: replace(answer, pace=Pace.NEVER)),
    "redirecting": (
        "a redirect to a good copy",
        lambda answer, setting: replace(
            _body(answer, b""), status=307, headers=_headers(answer, location=f"{setting.issuer}/moved{setting.path}")
        ),
    ),
    "wrong-content-type": (
        "JSON called text/html",
        lambda answer, _: _body(answer, answer.body, content_type="text/html"),
    ),
    "failing": ("status 500", _failed(500)),
    "down": ("status 503", _failed(503)),
    "missing": ("status 404", _failed(404)),
}
ANSWER_FAULTS: Final[Mapping[str, Fault]] = {
    f"{kind}-{endpoint}": Fault(f"{endpoint}: {about}", (Change(stage, alter),))
    for endpoint, stage in ANSWERS.items()
    for kind, (about, alter) in _ANSWER_FAULTS.items()
}
