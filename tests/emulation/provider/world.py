"""A provider in the process with a browser, a clock that a test moves, and a relying party that checks nothing."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from itertools import cycle
from typing import Any
from urllib.parse import urlencode

import httpx2
from joserfc import jws
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey

from useid_middleware.emulation.provider import jose
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.emulation.provider.clients import Client
from useid_middleware.emulation.provider.driver import Arrival, approve
from useid_middleware.emulation.provider.keys import Keys
from useid_middleware.emulation.provider.policy import Policy

ISSUER = "https://op.example"
CALLBACK = "https://rp.example/callback"
SECRET = "a secret of the test's client, long enough"
NOW = 1_800_000_000.0
VERIFIER = "the-verifier-of-the-test-is-43-characters-long"
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@cache
def rsa_keys() -> tuple[RSAKey, ...]:
    """A few RSA keys for the whole run: making them is slow, and no test needs new ones."""
    return tuple(RSAKey.generate_key(2048) for _ in range(5))


@cache
def client_key() -> ECKey:
    """The client's own key."""
    return ECKey.generate_key("P-256", {"kid": "client-1"})


def a_client(**changes: Any) -> Client:
    """The registered client, with other metadata."""
    members: dict[str, Any] = {
        "client_id": "rp",
        "client_secret": SECRET,
        "client_name": "Relying Party",
        "redirect_uris": (CALLBACK,),
        "post_logout_redirect_uris": ("https://rp.example/bye",),
        "backchannel_logout_uri": "https://rp.example/backchannel",
        "jwks": {"keys": [client_key().as_dict(private=False)]},
    }
    return Client(**members | changes)


def assertion(claims: dict[str, Any], *, key: Key | bytes | None = None, alg: str = "ES256", **header: Any) -> str:
    """A JWT by the client."""
    payload = json.dumps(claims).encode()
    return jose.sign({"alg": alg, **header}, payload, client_key() if key is None else key)


@dataclass
class World:
    """One provider and all it talks to."""

    clients: list[Client] = field(default_factory=lambda: [a_client()])
    policy: Policy = field(default_factory=lambda: Policy(consent="skip", refresh_tokens="always"))
    issuer: str = ISSUER
    now: float = NOW
    pauses: int = 0
    posted: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    documents: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        keys = cycle(rsa_keys())
        self.provider = Provider(
            self.issuer,
            clients=self.clients,
            policy=self.policy,
            keys=Keys(make_rsa_key=lambda: next(keys)),
            clock=lambda: self.now,
            post=self._post,
            fetch=self._fetch,
            pause=self._pause,
        )
        self.browser = self.new_browser()
        self.machine = self.new_browser()

    async def _post(self, url: str, form: Any) -> int:
        self.posted.append((url, dict(form)))
        return 200

    async def _fetch(self, url: str) -> bytes:
        return self.documents[url]

    async def _pause(self, _: float) -> None:
        self.pauses += 1
        if self.pauses > 3:
            raise ConnectionResetError

    def new_browser(self, **options: Any) -> httpx2.AsyncClient:
        """Somebody with cookies of their own."""
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(self.provider), base_url=self.issuer, **options)

    def authorization_url(self, **params: str) -> str:
        """The address of an authorization request; an empty parameter is left away."""
        defaults = {
            "client_id": "rp",
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid profile email",
            "state": "state-1",
            "nonce": "nonce-1",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return f"{self.issuer}/authorize?{urlencode({k: v for k, v in (defaults | params).items() if v})}"

    async def log_in(self, person: str = "ada", **params: str) -> Arrival:
        """A whole login in the browser."""
        return await approve(self.browser, self.authorization_url(**params), person=person)

    async def redirected(self, **params: str) -> Arrival:
        """An authorization request that needs no person."""
        response = await self.browser.get(self.authorization_url(**params))
        assert response.status_code == 303, response.text
        return Arrival(response.headers["location"])

    async def token(
        self, form: dict[str, str], *, auth: tuple[str, str] | None = ("rp", SECRET), proof: str = ""
    ) -> httpx2.Response:
        """One request to the token endpoint; ``auth`` is for Basic."""
        headers = {"DPoP": proof} if proof else {}
        if auth is None:
            return await self.machine.post("/token", data=form, headers=headers)
        return await self.machine.post("/token", data=form, headers=headers, auth=auth)

    async def exchange(self, arrival: Arrival, *, proof: str = "", **form: str) -> httpx2.Response:
        """The code for tokens."""
        good = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return await self.token(good | {"code": arrival.params.get("code", "")} | form, proof=proof)

    async def refresh(self, refresh_token: str, *, proof: str = "", **form: str) -> httpx2.Response:
        """A refresh token for tokens."""
        return await self.token({"grant_type": "refresh_token", "refresh_token": refresh_token} | form, proof=proof)

    async def tokens(self, person: str = "ada", **params: str) -> dict[str, Any]:
        """Login and exchange."""
        response = await self.exchange(await self.log_in(person, **params))
        assert response.status_code == 200, response.text
        document: dict[str, Any] = response.json()
        return document

    async def userinfo(self, access_token: str, **headers: str) -> httpx2.Response:
        """One request to userinfo."""
        return await self.machine.get("/userinfo", headers={"authorization": f"Bearer {access_token}", **headers})

    async def keys(self) -> KeySet:
        """The signature keys that the provider publishes now."""
        response = await self.machine.get("/jwks")
        return KeySet.import_key_set({"keys": [key for key in response.json()["keys"] if key["use"] == "sig"]})

    async def decode(self, token: str, *algorithms: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Header and claims of a token that joserfc verifies with the published keys."""
        found = jws.deserialize_compact(token, await self.keys(), algorithms=list(algorithms or ("RS256",)))
        return found.headers(), json.loads(found.payload or b"")


def unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, whoever signed them."""
    header, claims, _ = (urlsafe_b64decode(part + "==") for part in token.split("."))
    return json.loads(header), json.loads(claims)


@dataclass
class Prover:
    """A client's DPoP key."""

    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    count: int = 0

    @property
    def jkt(self) -> str:
        """Its thumbprint."""
        return self.key.thumbprint()

    def proof(self, method: str, url: str, *, access_token: str = "", now: float = NOW, **changes: Any) -> str:
        """A proof; ``changes`` replace claims, ``typ`` and ``jwk`` the header's members."""
        self.count += 1
        header = {
            "typ": changes.pop("typ", "dpop+jwt"),
            "alg": "ES256",
            "jwk": changes.pop("jwk", self.key.as_dict(private=False)),
        }
        claims: dict[str, Any] = {"htm": method, "htu": url, "iat": int(now), "jti": f"proof-{self.count}"}
        if access_token:
            digest = sha256(access_token.encode()).digest()
            claims["ath"] = urlsafe_b64encode(digest).rstrip(b"=").decode()
        return jose.sign(header, json.dumps(claims | changes).encode(), self.key)


def ed25519_key() -> OKPKey:
    """A key of another type."""
    return OKPKey.generate_key("Ed25519")


def refused(response: httpx2.Response, error: str, status: int = 400) -> bool:
    """Whether this is that error of OAuth."""
    return (response.status_code, response.json().get("error")) == (status, error)
