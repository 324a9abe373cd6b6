"""The session between a browser and the provider: its cookies, and what the check-session iframe compares."""

from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from ...http.asgi import Headers
from ...http.cookies import Cookie
from ...http.requests import Request
from .realm import Realm
from .records import Session

_SALT_SIZE: Final = 12


class BrowserSessions:
    """Finds, begins and ends sessions. Cookies know no ports, so the issuer is part of their names.

    Over https the cookies are SameSite=None: the iframes of check session and of silent logins are third parties.
    """

    def __init__(self, realm: Realm) -> None:
        self._realm = realm
        mark = sha256(realm.issuer.encode()).hexdigest()[:8]
        self._same_site = "None" if realm.is_secure else "Lax"
        self._cookie = Cookie(f"useid_provider_{mark}", self._same_site)
        #: Readable for the iframe's script, and of no use for anything but its comparison.
        self.state_cookie = f"useid_provider_state_{mark}"

    def find(self, request: Request) -> Session | None:
        """The session of the request's browser."""
        realm = self._realm
        key = self._cookie.read(request.raw_headers, secure=realm.is_secure)
        session = realm.records.sessions.get(key, now=realm.now()) if key else None
        return session if session is not None and session.subject in realm.people else None

    def begin(self, session: Session, *, is_remembered: bool) -> Headers:
        """Keep ``session``; the headers set its cookies, beyond the browser's end where ``is_remembered``."""
        realm = self._realm
        lifetime = realm.policy.session_lifetime
        now = realm.now()
        realm.records.sessions.put(session.id, session, expires_at=now + lifetime, now=now)
        max_age = lifetime if is_remembered else None
        return [
            self._cookie.set(session.id, secure=realm.is_secure, max_age=max_age),
            self._state(session.browser_state, max_age),
        ]

    def forget(self) -> Headers:
        """The headers that remove the cookies."""
        return [self._cookie.clear(secure=self._realm.is_secure), self._state("", 0)]

    def session_state(self, session: Session, *, client_id: str, redirect_uri: str) -> str:
        """``session_state`` of a response (Session Management 1.0 §3); empty where there is no origin."""
        parts = urlsplit(redirect_uri)
        if parts.scheme not in ("http", "https"):
            return ""
        salt = self._realm.new_id(_SALT_SIZE)
        return session_state(
            client_id=client_id,
            origin=f"{parts.scheme}://{parts.netloc}",
            browser_state=session.browser_state,
            salt=salt,
        )

    def _state(self, value: str, max_age: int | None) -> tuple[bytes, bytes]:
        text = f"{self.state_cookie}={value}; Path=/; SameSite={self._same_site}"
        if max_age is not None:
            text += f"; Max-Age={max_age}"
        return b"set-cookie", (f"{text}; Secure" if self._realm.is_secure else text).encode()


def session_state(*, client_id: str, origin: str, browser_state: str, salt: str) -> str:
    """The hash that check-session.js computes as well."""
    digest = sha256(f"{client_id} {origin} {browser_state} {salt}".encode()).hexdigest()
    return f"{digest}.{salt}"
