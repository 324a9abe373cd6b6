"""Each fault of a signed token does what its name says, and nothing else does."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tests.emulation.provider.world import ISSUER, NOW, SECRET, World, a_client, unverified
from useid_middleware.emulation.provider import jose
from useid_middleware.emulation.provider.injection import Fault
from useid_middleware.emulation.provider.policy import Policy
from useid_middleware.emulation.provider.token_faults import (
    ID_TOKEN_FAULTS,
    JARM_FAULTS,
    LOGOUT_FAULTS,
    REFRESH_FAULTS,
    USERINFO_TOKEN_FAULTS,
)
from useid_middleware.emulation.provider.tokens import LOGOUT_EVENT, half_hash
from useid_middleware.errors import ConfigurationError

Claims = Mapping[str, Any]
Check = Callable[[Claims], bool]


def lacks(name: str) -> Check:
    return lambda claims: name not in claims


def has(**members: Any) -> Check:
    return lambda claims: all(claims[name] == value for name, value in members.items())


OTHER_ISSUER: Final = has(iss="https://issuer.invalid")
OTHER_AUDIENCE: Final = has(aud="somebody-else")

#: What each fault of the ID token's claims looks like.
ID_TOKEN_CLAIMS: Final[Mapping[str, Check]] = {
    "invalid-iss": OTHER_ISSUER,
    "invalid-missing-iss": lacks("iss"),
    "missing-iss": lacks("iss"),
    "missing-sub": lacks("sub"),
    "invalid-aud": OTHER_AUDIENCE,
    "missing-aud": lacks("aud"),
    "invalid-missing-aud": lacks("aud"),
    "invalid-secondary-aud": has(aud=["rp", "somebody-else"]),
    "valid-aud-as-array": has(aud=["rp"]),
    "invalid-azp": has(azp="somebody-else", aud="rp"),
    "missing-iat": lacks("iat"),
    "invalid-missing-exp": lacks("exp"),
    "invalid-expired-exp": lambda claims: claims["iat"] < claims["exp"] < NOW - 300,
    "future-iat": lambda claims: claims["iat"] > NOW + 300,
    "future-nbf": lambda claims: claims["nbf"] > NOW + 300,
    "stale-iat": lambda claims: claims["iat"] == NOW - 86400 and claims["exp"] > NOW,
    "exp-as-text": has(exp=str(int(NOW) + 300)),
    "nonce-invalid": has(nonce="nonce-1x"),
    "invalid-nonce": has(nonce="nonce-1x"),
    "invalid-missing-nonce": lacks("nonce"),
    "missing-nonce": lacks("nonce"),
    "invalid-athash": has(at_hash=half_hash("something else", alg="RS256")),
    "missing-athash": lacks("at_hash"),
    "invalid-chash": has(c_hash=half_hash("something else", alg="RS256")),
    "missing-chash": lacks("c_hash"),
    "stale-auth-time": has(auth_time=NOW - 86400),
    "missing-auth-time": lacks("auth_time"),
    "lower-acr": has(acr="0"),
    "large-id-token": lambda claims: len(claims["padding"]) == 10 * 1024,
}
#: … and of its header or signature: the algorithm, and whether a careful verifier takes it.
ID_TOKEN_SIGNATURES: Final[Mapping[str, tuple[str, bool]]] = {
    "idtoken-sig-none": ("none", False),
    "invalid-null-alg": ("none", False),
    "invalid-alternate-alg": ("HS256", False),
    "invalid-sig-rs256": ("RS256", False),
    "invalid-sig-hs256": ("HS256", False),
    "invalid-sig-es256": ("ES256", False),
    "invalid-sig": ("RS256", False),
    "foreign-signing-key": ("RS256", False),
    "algorithm-confusion": ("HS256", False),
    "random-kid": ("RS256", False),
    "typ-at-jwt": ("RS256", True),
    "typ-logout-jwt": ("RS256", True),
    "signing-key-rotation": ("RS256", False),
    "signing-key-rotation-just-before-signing": ("RS256", True),
}


async def is_verified(world: World, token: str) -> bool:
    try:
        await world.decode(token, "RS256", "ES256", "PS256")
    except (JoseError, ValueError):
        return False
    return True


def test_every_fault_of_the_id_token_is_tried() -> None:
    assert {*ID_TOKEN_CLAIMS, *ID_TOKEN_SIGNATURES} == set(ID_TOKEN_FAULTS)


@pytest.mark.parametrize("name", ID_TOKEN_CLAIMS)
async def test_a_fault_of_the_claims_is_well_signed(name: str) -> None:
    world = World()
    check = ID_TOKEN_CLAIMS[name]
    good = (await world.log_in(response_type="code id_token token")).params["id_token"]
    world.provider.inject(name)
    bad = (await world.log_in(response_type="code id_token token")).params["id_token"]
    _, claims = await world.decode(bad)
    assert check(claims)
    world.provider.clear()
    assert not _holds(check, (await world.decode(good))[1])


def _holds(check: Check, claims: Claims) -> bool:
    try:
        return check(claims)
    except KeyError:
        return False


@pytest.mark.parametrize("name", ID_TOKEN_SIGNATURES)
async def test_a_fault_of_the_signature_leaves_the_claims_alone(name: str) -> None:
    world = World()
    good = (await world.tokens())["id_token"]
    assert await is_verified(world, good)
    world.provider.inject(name)
    bad = (await world.tokens())["id_token"]
    alg, verifies = ID_TOKEN_SIGNATURES[name]
    header, claims = unverified(bad)
    assert header["alg"] == alg
    assert await is_verified(world, bad) is verifies
    differing = {"at_hash", "jti"}
    assert {k: v for k, v in claims.items() if k not in differing} == {
        k: v for k, v in unverified(good)[1].items() if k not in differing
    }
    world.provider.clear()
    assert await is_verified(world, (await world.tokens())["id_token"])


async def test_alg_none_has_no_signature_and_a_wrong_one_has_its_length() -> None:
    world = World()
    world.provider.inject("idtoken-sig-none")
    assert (await world.tokens())["id_token"].endswith(".")
    world.provider.clear()
    world.provider.inject("invalid-sig-rs256")
    assert len((await world.tokens())["id_token"].rpartition(".")[2]) == 342


async def test_a_foreign_key_signs_under_the_published_kid() -> None:
    world = World()
    world.provider.inject("foreign-signing-key")
    header, _ = unverified((await world.tokens())["id_token"])
    assert header["kid"] in {key.kid for key in await world.keys()}


async def test_a_random_kid_is_another_one_each_time_and_the_key_is_right() -> None:
    world = World()
    world.provider.inject("random-kid")
    kids = set()
    for _ in range(3):
        token = (await world.tokens())["id_token"]
        kids.add(unverified(token)[0]["kid"])
        keys = [key for key in await world.keys() if key.key_type == "RSA"]
        assert jws.deserialize_compact(token, keys[0], algorithms=["RS256"]).payload
    assert len(kids) == 3


async def test_confusion_uses_the_published_key_as_the_secret() -> None:
    world = World()
    world.provider.inject("algorithm-confusion")
    token = (await world.tokens())["id_token"]
    (key,) = [key for key in await world.keys() if key.key_type == "RSA"]
    pem = key.as_pem(private=False).decode()  # type: ignore[union-attr]
    assert jose.verify(token, keys=[], secret=pem, expected_algorithms=["HS256"])


@pytest.mark.parametrize(("registered", "used"), [("PS256", "RS256"), ("ES256", "RS256"), ("RS256", "HS256")])
async def test_an_alternate_algorithm_is_validly_signed_with_the_wrong_one(registered: str, used: str) -> None:
    world = World([a_client(id_token_signed_response_alg=registered)])
    world.provider.inject("invalid-alternate-alg")
    token = (await world.tokens())["id_token"]
    assert unverified(token)[0]["alg"] == used
    keys = (await world.machine.get("/jwks")).json()["keys"]
    assert jose.verify(token, keys=keys, secret=SECRET, expected_algorithms=[used])


async def test_rotation_comes_before_or_after_the_signature() -> None:
    world = World()
    before = {key.kid for key in await world.keys()}
    world.provider.inject("signing-key-rotation")
    token = (await world.tokens())["id_token"]
    assert unverified(token)[0]["kid"] in before
    assert before.isdisjoint({key.kid for key in await world.keys()})
    world.provider.clear()
    now = {key.kid for key in await world.keys()}
    world.provider.inject("signing-key-rotation-just-before-signing")
    token = (await world.tokens())["id_token"]
    assert unverified(token)[0]["kid"] not in now
    assert await is_verified(world, token)


async def test_an_absent_kid_comes_with_one_key_or_with_several() -> None:
    world = World()
    world.provider.inject("kid-absent-single-jwks")
    token = (await world.tokens())["id_token"]
    assert "kid" not in unverified(token)[0]
    keys = (await world.machine.get("/jwks")).json()["keys"]
    assert len(keys) == 1
    assert jws.deserialize_compact(token, KeySet.import_key_set({"keys": keys}), algorithms=["RS256"]).payload
    world.provider.clear()
    world.provider.inject("kid-absent-multiple-jwks")
    token = (await world.tokens())["id_token"]
    assert "kid" not in unverified(token)[0]
    keys = [key for key in (await world.machine.get("/jwks")).json()["keys"] if key["kty"] == "RSA"]
    assert len(keys) == 3
    assert jose.verify(token, keys=keys, expected_algorithms=["RS256"])
    with pytest.raises(jose.TokenRefused):
        jose.verify(token, keys=keys[:2], expected_algorithms=["RS256"])


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("refresh-token-invalid-issuer", OTHER_ISSUER),
        ("refresh-token-invalid-sub", has(sub="ada-1815-other")),
        ("refresh-token-invalid-aud", OTHER_AUDIENCE),
    ],
)
async def test_a_fault_of_the_refresh_spares_the_first_token(name: str, check: Check) -> None:
    assert len(REFRESH_FAULTS) == 3
    world = World()
    world.provider.inject(name)
    first = await world.tokens()
    assert not check((await world.decode(first["id_token"]))[1])
    refreshed = (await world.refresh(first["refresh_token"])).json()
    assert check((await world.decode(refreshed["id_token"]))[1])


@pytest.mark.parametrize(
    ("name", "verifies", "check"),
    [
        ("userinfo-invalid-sig", False, has(aud="rp")),
        ("userinfo-sig-none", False, has(aud="rp")),
        ("userinfo-invalid-iss", True, OTHER_ISSUER),
        ("userinfo-invalid-aud", True, OTHER_AUDIENCE),
    ],
)
async def test_a_fault_of_signed_userinfo(name: str, verifies: bool, check: Check) -> None:
    assert len(USERINFO_TOKEN_FAULTS) == 4
    world = World([a_client(userinfo_signed_response_alg="RS256")])
    world.provider.inject(name)
    token = (await world.userinfo((await world.tokens())["access_token"])).text
    assert await is_verified(world, token) is verifies
    assert check(unverified(token)[1])


@pytest.mark.parametrize(
    ("name", "verifies", "check"),
    [
        ("ensure-jarm-without-iss-fails", True, lacks("iss")),
        ("ensure-jarm-with-invalid-iss-fails", True, OTHER_ISSUER),
        ("ensure-jarm-without-aud-fails", True, lacks("aud")),
        ("ensure-jarm-with-invalid-aud-fails", True, OTHER_AUDIENCE),
        ("ensure-jarm-without-exp-fails", True, lacks("exp")),
        ("ensure-jarm-with-expired-exp-fails", True, lambda claims: claims["exp"] < NOW),
        ("ensure-jarm-with-invalid-sig-fails", False, has(aud="rp", iss=ISSUER)),
        ("ensure-jarm-signature-is-not-none", False, has(aud="rp", iss=ISSUER)),
    ],
)
async def test_a_fault_of_a_signed_response(name: str, verifies: bool, check: Check) -> None:
    assert len(JARM_FAULTS) == 8
    world = World()
    world.provider.inject(name)
    token = (await world.log_in(response_mode="jwt")).params["response"]
    assert await is_verified(world, token) is verifies
    assert check(unverified(token)[1])
    assert unverified(token)[1]["state"] == "state-1"


#: The algorithm, the typ (``None`` for absent), whether it verifies, and the claims of each faulty logout token.
LOGOUT_TOKENS: Final[Mapping[str, tuple[str, str | None, bool, Check]]] = {
    "alg-none": ("none", "logout+jwt", False, has(aud="rp")),
    "no-event": ("RS256", "logout+jwt", True, lacks("events")),
    "with-nonce": ("RS256", "logout+jwt", True, has(nonce="n")),
    "wrong-alg": ("HS256", "logout+jwt", False, has(aud="rp")),
    "wrong-aud": ("RS256", "logout+jwt", True, OTHER_AUDIENCE),
    "wrong-event": ("RS256", "logout+jwt", True, lambda claims: LOGOUT_EVENT not in claims["events"]),
    "wrong-iss": ("RS256", "logout+jwt", True, OTHER_ISSUER),
    "logout-invalid-sig": ("RS256", "logout+jwt", False, has(aud="rp")),
    "logout-foreign-key": ("RS256", "logout+jwt", False, has(aud="rp")),
    "logout-typ-at-jwt": ("RS256", "at+jwt", True, has(aud="rp")),
    "logout-typ-jwt": ("RS256", "JWT", True, has(aud="rp")),
    "logout-typ-absent": ("RS256", None, True, has(aud="rp")),
    "logout-id-token": ("RS256", "JWT", True, lambda claims: "events" not in claims and "nonce" in claims),
    "logout-stale-iat": ("RS256", "logout+jwt", True, has(iat=NOW - 86400)),
    "logout-future-iat": ("RS256", "logout+jwt", True, has(iat=NOW + 600)),
    "logout-missing-iat": ("RS256", "logout+jwt", True, lacks("iat")),
    "logout-expired": ("RS256", "logout+jwt", True, lambda claims: claims["exp"] < NOW),
    "logout-no-exp": ("RS256", "logout+jwt", True, lacks("exp")),
    "logout-missing-jti": ("RS256", "logout+jwt", True, lacks("jti")),
    "logout-fixed-jti": ("RS256", "logout+jwt", True, has(jti="once")),
    "logout-only-sub": ("RS256", "logout+jwt", True, lambda claims: "sub" in claims and "sid" not in claims),
    "logout-only-sid": ("RS256", "logout+jwt", True, lambda claims: "sid" in claims and "sub" not in claims),
    "logout-no-sub-no-sid": ("RS256", "logout+jwt", True, lambda claims: "sid" not in claims and "sub" not in claims),
    "logout-unknown-sid": (
        "RS256",
        "logout+jwt",
        True,
        lambda claims: "sub" not in claims and len(claims["sid"]) == 32,
    ),
    "logout-aud-array": ("RS256", "logout+jwt", True, has(aud=["rp"])),
}


def test_every_fault_of_the_logout_token_is_tried() -> None:
    assert set(LOGOUT_TOKENS) == set(LOGOUT_FAULTS)


@pytest.mark.parametrize("name", LOGOUT_TOKENS)
async def test_a_fault_of_the_logout_token_spares_the_id_token(name: str) -> None:
    world = World()
    world.provider.inject(name)
    assert await is_verified(world, (await world.tokens())["id_token"])
    (delivery,) = await world.provider.logout(subject="ada-1815")
    alg, typ, verifies, check = LOGOUT_TOKENS[name]
    header, claims = unverified(delivery.logout_token)
    assert (header["alg"], header.get("typ")) == (alg, typ)
    assert await is_verified(world, delivery.logout_token) is verifies
    assert check(claims)


async def test_faults_add_up_and_end() -> None:
    world = World(policy=Policy(consent="skip"))
    world.provider.inject("missing-iat", "invalid-aud")
    world.provider.inject("nonce-invalid")
    assert world.provider.faults == ("missing-iat", "invalid-aud", "nonce-invalid")
    _, claims = await world.decode((await world.tokens())["id_token"])
    assert ("iat" not in claims, claims["aud"], claims["nonce"]) == (True, "somebody-else", "nonce-1x")
    world.provider.clear()
    assert not world.provider.faults


def test_an_unknown_fault_is_a_mistake_that_is_said() -> None:
    with pytest.raises(ConfigurationError, match="no fault is called 'invalid-is'"):
        World().provider.inject("invalid-is")


@pytest.mark.parametrize("table", [ID_TOKEN_FAULTS, REFRESH_FAULTS, USERINFO_TOKEN_FAULTS, JARM_FAULTS, LOGOUT_FAULTS])
def test_every_fault_says_what_it_is(table: Mapping[str, Fault]) -> None:
    assert all(fault.about and fault.changes for fault in table.values())
