"""Faults in what the provider signs: ID tokens, userinfo, signed authorization responses, logout tokens."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from .injection import (
    ID_TOKEN,
    JARM,
    LOGOUT_TOKEN,
    REFRESHED_ID_TOKEN,
    USERINFO_TOKEN,
    Change,
    Fault,
    Setting,
    Stage,
)
from .keys import Kid, Rotation, Unsigned
from .tokens import LOGOUT_EVENT, half_hash

#: A padding that makes an ID token larger than any cookie.
LARGE: Final = 10 * 1024
_ELSEWHERE: Final = "https://issuer.invalid"


def without(*names: str) -> Callable[[Unsigned, Setting], Unsigned]:
    """Leave claims away."""

    def alter(token: Unsigned, _: Setting) -> Unsigned:
        return replace(token, claims={name: value for name, value in token.claims.items() if name not in names})

    return alter


def having(make: Callable[[Mapping[str, Any], Setting], Mapping[str, Any]]) -> Callable[[Unsigned, Setting], Unsigned]:
    """Add or replace claims, made of those that are there."""

    def alter(token: Unsigned, setting: Setting) -> Unsigned:
        return replace(token, claims={**token.claims, **make(token.claims, setting)})

    return alter


def signed(**changes: Any) -> Callable[[Unsigned, Setting], Unsigned]:
    """Sign differently: the arguments are members of :class:`Unsigned`."""
    return lambda token, _: replace(token, **changes)


def _other_algorithm(token: Unsigned, _: Setting) -> Unsigned:
    """RS256, which FAPI forbids; in its own place, HS256."""
    return replace(token, alg="HS256" if token.alg == "RS256" else "RS256")


def _confused(token: Unsigned, setting: Setting) -> Unsigned:
    """HMAC with the published key for its secret, which a verifier that trusts ``alg`` accepts."""
    return replace(token, alg="HS256", secret=setting.keys.signing_key(token.alg).as_pem(private=False))


def _hash_of_something_else(name: str) -> Callable[[Unsigned, Setting], Unsigned]:
    return lambda token, _: replace(token, claims={**token.claims, name: half_hash("something else", alg=token.alg)})


def _as_id_token(token: Unsigned, _: Setting) -> Unsigned:
    """What an ID token for the same person says, in the place of a logout token."""
    claims = {name: value for name, value in token.claims.items() if name not in ("events", "jti")}
    now = token.claims["iat"]
    return replace(token, typ="JWT", claims={**claims, "exp": now + 300, "auth_time": now, "nonce": "n"})


def _expired(_: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
    return {"iat": setting.now - 900, "exp": setting.now - 330}


def _faults(stage: Stage[Unsigned], table: Mapping[str, tuple[str, Callable[[Unsigned, Setting], Unsigned]]]) -> Any:
    return {name: Fault(about, (Change(stage, alter),)) for name, (about, alter) in table.items()}


_OTHER_ISSUER: Final = having(lambda claims, setting: {"iss": _ELSEWHERE})
_OTHER_AUDIENCE: Final = having(lambda claims, setting: {"aud": "somebody-else"})
_OTHER_SUBJECT: Final = having(lambda claims, setting: {"sub": f"{claims.get('sub', '')}-other"})
_OTHER_NONCE: Final = having(lambda claims, setting: {"nonce": f"{claims.get('nonce', '')}x"})
_STALE: Final = having(lambda claims, setting: {"iat": setting.now - 86400})

ID_TOKEN_FAULTS: Final[Mapping[str, Fault]] = _faults(
    ID_TOKEN,
    {
        "invalid-iss": ("ID token of another issuer", _OTHER_ISSUER),
        "invalid-missing-iss": ("ID token without iss", without("iss")),
        "missing-iss": ("ID token without iss", without("iss")),
        "missing-sub": ("ID token without sub", without("sub")),
        "invalid-aud": ("ID token for another client", _OTHER_AUDIENCE),
        "missing-aud": ("ID token without aud", without("aud")),
        "invalid-missing-aud": ("ID token without aud", without("aud")),
        "invalid-secondary-aud": (
            "ID token for the client and somebody unknown",
            having(lambda claims, setting: {"aud": [setting.client_id, "somebody-else"]}),
        ),
        "valid-aud-as-array": (
            "aud is an array of the client alone, which is right",
            having(lambda claims, setting: {"aud": [setting.client_id]}),
        ),
        "invalid-azp": ("azp names another client", having(lambda claims, setting: {"azp": "somebody-else"})),
        "missing-iat": ("ID token without iat", without("iat")),
        "invalid-missing-exp": ("ID token without exp", without("exp")),
        "invalid-expired-exp": ("ID token that ran out more than five minutes ago", having(_expired)),
        "future-iat": (
            "ID token issued in ten minutes",
            having(lambda claims, setting: {"iat": setting.now + 600, "exp": setting.now + 900}),
        ),
        "future-nbf": (
            "ID token not valid for ten minutes",
            having(lambda claims, setting: {"nbf": setting.now + 600}),
        ),
        "stale-iat": ("ID token issued yesterday, not expired", _STALE),
        "exp-as-text": ("exp is a string", having(lambda claims, setting: {"exp": str(claims["exp"])})),
        "nonce-invalid": ("another nonce", _OTHER_NONCE),
        "invalid-nonce": ("another nonce", _OTHER_NONCE),
        "invalid-missing-nonce": ("no nonce", without("nonce")),
        "missing-nonce": ("no nonce", without("nonce")),
        "invalid-athash": ("at_hash of another access token", _hash_of_something_else("at_hash")),
        "missing-athash": ("no at_hash", without("at_hash")),
        "invalid-chash": ("c_hash of another code", _hash_of_something_else("c_hash")),
        "missing-chash": ("no c_hash", without("c_hash")),
        "stale-auth-time": (
            "auth_time of yesterday, whatever max_age was asked for",
            having(lambda claims, setting: {"auth_time": setting.now - 86400}),
        ),
        "missing-auth-time": ("no auth_time", without("auth_time")),
        "lower-acr": ("an acr that was not asked for", having(lambda claims, setting: {"acr": "0"})),
        "large-id-token": (
            "an ID token of more than 10 KB",
            having(lambda claims, setting: {"padding": "x" * LARGE}),
        ),
        "idtoken-sig-none": ("ID token with alg none", signed(alg="none")),
        "invalid-null-alg": ("ID token with alg none", signed(alg="none")),
        "invalid-alternate-alg": ("RS256 in the place of the algorithm agreed on", _other_algorithm),
        "invalid-sig-rs256": ("RS256 signature that does not verify", signed(alg="RS256", is_corrupt=True)),
        "invalid-sig-hs256": ("HS256 signature that does not verify", signed(alg="HS256", is_corrupt=True)),
        "invalid-sig-es256": ("ES256 signature that does not verify", signed(alg="ES256", is_corrupt=True)),
        "invalid-sig": ("a signature that does not verify", signed(is_corrupt=True)),
        "foreign-signing-key": ("signed by a key that is not published, under a kid that is", signed(is_foreign=True)),
        "algorithm-confusion": ("HS256 with the published key as its secret", _confused),
        "random-kid": ("a kid that is in no JWK Set, another one each time", signed(kid=Kid.RANDOM)),
        "typ-at-jwt": ("ID token with typ at+jwt", signed(typ="at+jwt")),
        "typ-logout-jwt": ("ID token with typ logout+jwt", signed(typ="logout+jwt")),
        "signing-key-rotation": ("the keys change after each ID token", signed(rotation=Rotation.AFTER)),
        "signing-key-rotation-just-before-signing": (
            "the keys change before each ID token",
            signed(rotation=Rotation.BEFORE),
        ),
    },
)

REFRESH_FAULTS: Final[Mapping[str, Fault]] = _faults(
    REFRESHED_ID_TOKEN,
    {
        "refresh-token-invalid-issuer": ("the refreshed ID token has another iss", _OTHER_ISSUER),
        "refresh-token-invalid-sub": ("the refreshed ID token has another sub", _OTHER_SUBJECT),
        "refresh-token-invalid-aud": ("the refreshed ID token has another aud", _OTHER_AUDIENCE),
    },
)

USERINFO_TOKEN_FAULTS: Final[Mapping[str, Fault]] = _faults(
    USERINFO_TOKEN,
    {
        "userinfo-invalid-sig": ("signed userinfo that does not verify", signed(is_corrupt=True)),
        "userinfo-sig-none": ("userinfo with alg none", signed(alg="none")),
        "userinfo-invalid-iss": ("signed userinfo of another issuer", _OTHER_ISSUER),
        "userinfo-invalid-aud": ("signed userinfo for another client", _OTHER_AUDIENCE),
    },
)

JARM_FAULTS: Final[Mapping[str, Fault]] = _faults(
    JARM,
    {
        "ensure-jarm-without-iss-fails": ("signed response without iss", without("iss")),
        "ensure-jarm-with-invalid-iss-fails": ("signed response of another issuer", _OTHER_ISSUER),
        "ensure-jarm-without-aud-fails": ("signed response without aud", without("aud")),
        "ensure-jarm-with-invalid-aud-fails": ("signed response for another client", _OTHER_AUDIENCE),
        "ensure-jarm-without-exp-fails": ("signed response without exp", without("exp")),
        "ensure-jarm-with-expired-exp-fails": ("signed response that ran out", having(_expired)),
        "ensure-jarm-with-invalid-sig-fails": ("signed response that does not verify", signed(is_corrupt=True)),
        "ensure-jarm-signature-is-not-none": ("response with alg none", signed(alg="none")),
    },
)

LOGOUT_FAULTS: Final[Mapping[str, Fault]] = _faults(
    LOGOUT_TOKEN,
    {
        "alg-none": ("logout token with alg none", signed(alg="none")),
        "no-event": ("logout token without events", without("events")),
        "with-nonce": ("logout token with a nonce", having(lambda claims, setting: {"nonce": "n"})),
        "wrong-alg": ("logout token with HS256", signed(alg="HS256")),
        "wrong-aud": ("logout token for another client", _OTHER_AUDIENCE),
        "wrong-event": (
            "logout token of another event",
            having(lambda claims, setting: {"events": {f"{LOGOUT_EVENT}-not": {}}}),
        ),
        "wrong-iss": ("logout token of another issuer", _OTHER_ISSUER),
        "logout-invalid-sig": ("logout token that does not verify", signed(is_corrupt=True)),
        "logout-foreign-key": ("logout token signed by a key that is not published", signed(is_foreign=True)),
        "logout-typ-at-jwt": ("logout token with typ at+jwt", signed(typ="at+jwt")),
        "logout-typ-jwt": ("logout token with typ JWT, as many providers send it", signed(typ="JWT")),
        "logout-typ-absent": ("logout token without typ, which is allowed", signed(typ="")),
        "logout-id-token": ("an ID token posted as a logout token", _as_id_token),
        "logout-stale-iat": ("logout token issued yesterday", _STALE),
        "logout-future-iat": (
            "logout token issued in ten minutes",
            having(lambda claims, setting: {"iat": setting.now + 600, "exp": setting.now + 900}),
        ),
        "logout-missing-iat": ("logout token without iat", without("iat")),
        "logout-expired": ("logout token that ran out", having(_expired)),
        "logout-no-exp": ("logout token without exp, as older providers send it", without("exp")),
        "logout-missing-jti": ("logout token without jti", without("jti")),
        "logout-fixed-jti": ("every logout token has the same jti", having(lambda claims, setting: {"jti": "once"})),
        "logout-only-sub": ("logout token with sub alone", without("sid")),
        "logout-only-sid": ("logout token with sid alone", without("sub")),
        "logout-no-sub-no-sid": ("logout token that names nobody", without("sub", "sid")),
        "logout-unknown-sid": (
            "logout token of a session nobody knows",
            lambda token, setting: without("sub")(
                replace(token, claims={**token.claims, "sid": setting.new_id()}), setting
            ),
        ),
        "logout-aud-array": (
            "logout token whose aud is an array, which is right",
            having(lambda claims, setting: {"aud": [setting.client_id]}),
        ),
    },
)
