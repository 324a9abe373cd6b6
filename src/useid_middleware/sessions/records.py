"""What a login session is, and what a login hands back."""

from dataclasses import dataclass

from .._codec import Record, timestamp
from ..http.asgi import Headers
from ..identity import Level, acr_of


class Session(Record, frozen=True):
    """A login session as the server keeps it. Times are Unix seconds.

    ``id`` is public (the hash of the cookie's secret, which is not kept); ``expires_at`` is the absolute end.
    """

    id: str
    account_id: str
    username: str
    provider: str
    subject: str
    level: Level
    amr: tuple[str, ...]
    auth_time: float
    created_at: float
    last_seen_at: float
    expires_at: float
    ip: str = ""
    browser: str = ""
    device_id: str = ""
    #: The provider's own session (``sid``): ``None`` where no OpenID provider logged this one in.
    sid: str | None = None
    roles: tuple[str, ...] = ()
    #: This login made the account.
    is_new_account: bool = False
    has_secret: bool = False
    #: When what the session keeps secret is forgotten; ``None``: with the session.
    secret_expires_at: float | None = None
    #: Made by an emulation, for development and test.
    emulated: bool = False

    @property
    def acr(self) -> str:
        """The assurance as an authentication context class."""
        return acr_of(self.level, emulated=self.emulated)


@dataclass(frozen=True, slots=True)
class Login:
    """A completed login: the session, its secret, the headers that set the cookie, and where the browser should go.

    ``target`` is empty where nobody said.
    """

    session: Session
    token: str
    headers: Headers
    target: str = ""

    def answer(self, *, bearer: bool) -> dict[str, object]:
        """What a page's script is told of it; with ``bearer``, the token too."""
        session = self.session
        told: dict[str, object] = {
            "redirectTo": self.target,
            "userId": session.account_id,
            "username": session.username,
            "acr": session.acr,
            "amr": session.amr,
        }
        return told | {"sessionToken": self.token, "expiresAt": timestamp(session.expires_at)} if bearer else told
