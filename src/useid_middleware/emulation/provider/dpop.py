"""Proofs of possession (RFC 9449): a token is good only together with a signature by the key it was made for."""

from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import import_key

from ..._codec import b64url
from ...http.requests import Request
from . import jose
from .realm import Realm
from .refusals import OAuthError

#: Seconds that a proof's ``iat`` may be off.
PROOF_LIFETIME: Final = 120


def read_proof(
    realm: Realm, request: Request, *, needs_nonce: bool, access_token: str = "", is_resource: bool = False
) -> str:
    """The thumbprint (RFC 7638) of the key that the request proves; empty where it carries no proof.

    ``access_token``: the proof must name it (``ath``). ``is_resource``: refusals are 401 with a challenge (§7.1).
    """
    proofs = [value for name, value in request.raw_headers if name == b"dpop"]
    if not proofs:
        return ""
    if len(proofs) > 1:
        raise _refused("invalid_dpop_proof", "DPoP: expected one proof", is_resource)
    try:
        claims, key = _verified(proofs[0].decode("latin-1"))
    except (jose.TokenRefused, JoseError, ValueError, KeyError, TypeError):
        raise _refused(
            "invalid_dpop_proof", "DPoP: expected a JWT signed by the public key it shows", is_resource
        ) from None
    now = realm.now()
    iat, jti = claims.get("iat"), claims.get("jti")
    # §4.3: htu is compared without query and fragment.
    target = urlsplit(str(claims.get("htu", "")))._replace(query="", fragment="").geturl()
    expected_target = realm.issuer + request.scope["useid.path"]
    if claims.get("htm") != request.method or target != expected_target:
        raise _refused("invalid_dpop_proof", "DPoP: htm and htu: expected this request", is_resource)
    if isinstance(iat, bool) or not isinstance(iat, (int, float)) or abs(now - iat) > PROOF_LIFETIME:
        raise _refused("invalid_dpop_proof", "DPoP: iat: expected now", is_resource)
    if access_token and claims.get("ath") != b64url(sha256(access_token.encode()).digest()):
        raise _refused("invalid_dpop_proof", "DPoP: ath: expected the hash of the access token", is_resource)
    if needs_nonce and claims.get("nonce") != realm.dpop_nonce:
        nonce = (b"dpop-nonce", realm.dpop_nonce.encode())
        raise _refused("use_dpop_nonce", "DPoP: nonce: expected the one of this answer", is_resource, nonce)
    used = f"proof {key} {jti}"
    if not jti or not realm.records.use_once(used, expires_at=iat + 2 * PROOF_LIFETIME, now=now):
        raise _refused("invalid_dpop_proof", "DPoP: jti: expected one that was not used before", is_resource)
    return key


def _verified(proof: str) -> tuple[dict[str, Any], str]:
    """The claims of a proof, and the thumbprint of the key that it shows and that signed it."""
    header, _ = jose.peek(proof)
    jwk = header["jwk"]
    if header.get("typ") != "dpop+jwt" or "d" in jwk or jwk.get("kty") == "oct":
        raise jose.TokenRefused("typ or jwk")
    bare = {name: value for name, value in jwk.items() if name not in ("kid", "use", "alg", "key_ops")}
    _, claims = jose.verify(proof, keys=[bare], expected_algorithms=jose.ASYMMETRIC)
    return claims, import_key(bare).thumbprint()


def _refused(code: str, message: str, is_resource: bool, *headers: tuple[bytes, bytes]) -> OAuthError:
    if not is_resource:
        return OAuthError(code, message, headers=list(headers))
    algorithms = " ".join(jose.ASYMMETRIC)
    challenge = (b"www-authenticate", f'DPoP error="{code}", algs="{algorithms}"'.encode())
    return OAuthError(code, message, status_hint=401, headers=[challenge, *headers])
