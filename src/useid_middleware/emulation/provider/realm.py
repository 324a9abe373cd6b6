"""What all parts of the provider share: who is known, what is remembered, what is wrong on purpose, what time it is."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

from ..._codec import b64url
from . import jose
from .clients import Client
from .faults import FAULTS
from .injection import NOW, Faults, Setting, Stage
from .keys import Keys, Unsigned
from .people import Person
from .policy import Policy
from .records import Records
from .refusals import OAuthError

T = TypeVar("T")

#: Sends a form to a URL and returns the status of the answer.
Post: TypeAlias = Callable[[str, Mapping[str, str]], Awaitable[int]]
#: Fetches a document (a request object, a client's keys).
Fetch: TypeAlias = Callable[[str], Awaitable[bytes]]


class Realm:
    """One provider's world. ``clock`` is in Unix seconds, ``random_bytes`` draws so many."""

    def __init__(
        self,
        issuer: str,
        *,
        clients: Sequence[Client],
        people: Sequence[Person],
        keys: Keys,
        clock: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        post: Post,
        fetch: Fetch,
        policy: Policy,
    ) -> None:
        self.issuer = issuer.rstrip("/")
        parts = urlsplit(self.issuer)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.prefix = parts.path
        self.is_secure = parts.scheme == "https"
        self.clients = {client.client_id: client for client in clients}
        self.people = {person.subject: person for person in people}
        self.keys = keys
        self.policy = policy
        self.records = Records()
        self.faults = Faults(FAULTS)
        self.post = post
        self.fetch = fetch
        self._clock = clock
        self._random_bytes = random_bytes
        self._dpop_nonce = self.new_id()

    def now(self) -> float:
        """Unix seconds by the provider's clock, which a fault may put wrong."""
        return self.apply(NOW, self._clock(), now=0)

    def new_id(self, size: int = 24) -> str:
        """A random identifier of ``size`` bytes in base64url."""
        return b64url(self._random_bytes(size))

    def random_bytes(self, size: int) -> bytes:
        """Random bytes."""
        return self._random_bytes(size)

    @property
    def dpop_nonce(self) -> str:
        """The nonce that proofs must carry where one is demanded (RFC 9449 §8)."""
        return self._dpop_nonce

    def renew_dpop_nonce(self) -> None:
        """From now on another nonce is demanded."""
        self._dpop_nonce = self.new_id()

    def apply(self, stage: Stage[T], value: T, *, client_id: str = "", path: str = "", now: int | None = None) -> T:
        """``value`` as the faults in force at this stage leave it."""
        changes = self.faults.numbers(stage)
        if not changes:
            return value
        setting = Setting(
            issuer=self.issuer,
            client_id=client_id,
            now=int(self.now()) if now is None else now,
            keys=self.keys,
            signing_algorithm=self.policy.signing_algorithm,
            new_id=self.new_id,
            path=path,
        )
        for alter, number in changes:
            value = alter(value, replace(setting, number=number))
        return value

    def sign(self, token: Unsigned, *stages: Stage[Unsigned], client: Client) -> str:
        """The compact token, after the faults at each of ``stages``."""
        for stage in stages:
            token = self.apply(stage, token, client_id=client.client_id)
        return self.keys.sign(token, client_secret=client.client_secret, random_kid=self.new_id())

    async def seal(self, payload: str, *, client: Client, alg: str, enc: str, content_type: str = "JWT") -> str:
        """``payload`` encrypted for the client where it registered for that (``alg``), else as it is."""
        if not alg:
            return payload
        try:
            return jose.encrypt(
                payload,
                keys=await self.client_keys(client),
                alg=alg,
                enc=enc or "A128CBC-HS256",
                content_type=content_type,
            )
        except jose.TokenRefused as error:
            raise OAuthError("server_error", f"encryption: {error}", status_hint=500) from None

    async def client_keys(self, client: Client) -> list[dict[str, Any]]:
        """The client's public keys, fetched where it registered an address for them."""
        if not client.jwks_uri:
            return client.keys
        document = jose.read_object(await self.fetch(client.jwks_uri), "jwks_uri")
        return [key for key in document.get("keys", ()) if isinstance(key, dict)]

    def find_person(self, username: str) -> Person | None:
        """The person of that user name or subject."""
        for person in self.people.values():
            if username in (person.username, person.subject, person.email) and username:
                return person
        return None
