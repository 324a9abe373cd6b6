"""What the provider gives for a grant: codes, access and refresh tokens, ID tokens."""

from collections.abc import Sequence
from typing import Final

from .injection import ID_TOKEN, REFRESHED_ID_TOKEN, Document, Pairs
from .keys import Unsigned
from .people import Person, claims_for
from .realm import Realm
from .records import AuthorizationRequest, Code, Grant, Token
from .tokens import id_token_claims

#: Seconds that a used code or refresh token is remembered beyond its life, so that its reuse is noticed.
MEMORY: Final = 3600


def issue_code(realm: Realm, grant: Grant) -> str:
    """An authorization code."""
    now, code = realm.now(), realm.new_id()
    realm.records.codes.put(code, Code(grant), expires_at=now + realm.policy.code_lifetime, now=now)
    return code


def issue_access_token(realm: Realm, grant: Grant, *, scopes: Sequence[str] | None = None) -> str:
    """An opaque access token. The Bearer or DPoP scheme is the grant's."""
    now, token = realm.now(), realm.new_id(32)
    end = now + realm.policy.access_token_lifetime
    record = Token(grant, grant.scopes if scopes is None else tuple(scopes), int(now), end)
    realm.records.access_tokens.put(token, record, expires_at=end, now=now)
    return token


def issue_refresh_token(realm: Realm, grant: Grant) -> str:
    """A refresh token."""
    now, token = realm.now(), realm.new_id(32)
    end = now + realm.policy.refresh_token_lifetime
    realm.records.refresh_tokens.put(token, Token(grant, grant.scopes, int(now), end), expires_at=end + MEMORY, now=now)
    return token


async def issue_id_token(
    realm: Realm,
    grant: Grant,
    *,
    person: Person,
    access_token: str = "",
    code: str = "",
    state: str = "",
    is_refresh: bool = False,
    has_all_claims: bool = False,
) -> str:
    """A signed and perhaps encrypted ID token. ``has_all_claims``: no access token goes along that could fetch them."""
    client = realm.clients[grant.client_id]
    alg = client.id_token_signed_response_alg or realm.policy.signing_algorithm
    scopes = grant.scopes if has_all_claims or realm.policy.claims_in_id_token else ()
    claims = id_token_claims(
        grant,
        issuer=realm.issuer,
        now=int(realm.now()),
        lifetime=realm.policy.id_token_lifetime,
        alg=alg,
        person_claims=claims_for(person, scopes=scopes, requested=grant.claims.id_token),
        access_token=access_token,
        code=code,
        state=state,
        is_refresh=is_refresh,
    )
    stages = (ID_TOKEN, REFRESHED_ID_TOKEN) if is_refresh else (ID_TOKEN,)
    token = realm.sign(Unsigned(claims, alg), *stages, client=client)
    return await realm.seal(
        token, client=client, alg=client.id_token_encrypted_response_alg, enc=client.id_token_encrypted_response_enc
    )


async def issue_front_channel(
    realm: Realm, asked: AuthorizationRequest, grant: Grant, *, person: Person, code: str
) -> Pairs:
    """The tokens that go through the browser (OpenID Connect Core 1.0 §3.2.2.5, §3.3.2.5): hashes are mandatory."""
    params: Pairs = []
    access_token = issue_access_token(realm, grant) if asked.returns("token") else ""
    if access_token:
        lifetime = str(realm.policy.access_token_lifetime)
        params += [("access_token", access_token), ("token_type", "Bearer"), ("expires_in", lifetime)]
    if asked.returns("id_token"):
        id_token = await issue_id_token(
            realm,
            grant,
            person=person,
            access_token=access_token,
            code=code,
            state=asked.state if code else "",
            has_all_claims=asked.response_type == "id_token",
        )
        params.append(("id_token", id_token))
    return params


async def token_response(
    realm: Realm,
    grant: Grant,
    *,
    scopes: Sequence[str] | None = None,
    refresh_token: str = "",
    is_refresh: bool = False,
) -> Document:
    """The JSON of a successful token request (RFC 6749 §5.1, OpenID Connect Core 1.0 §3.1.3.3)."""
    scopes = grant.scopes if scopes is None else scopes
    access_token = issue_access_token(realm, grant, scopes=scopes)
    document: Document = {
        "access_token": access_token,
        "token_type": "DPoP" if grant.jkt else "Bearer",
        "expires_in": realm.policy.access_token_lifetime,
        "scope": " ".join(scopes),
    }
    if refresh_token:
        document["refresh_token"] = refresh_token
    person = realm.people.get(grant.subject)
    if person is not None and "openid" in grant.scopes:
        document["id_token"] = await issue_id_token(
            realm,
            grant,
            person=person,
            access_token=access_token if realm.policy.always_include_at_hash else "",
            is_refresh=is_refresh,
        )
    return document
