"""The groups of settings that are not of one protocol: device switch, sessions, limits, streams, addresses."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ..identity import Level
from .values import Group, Path, Seconds, check_scheme, check_universal_link


class QRSettings(Group):
    """The device switch."""

    enabled: bool = True
    scheme: Annotated[str, AfterValidator(check_scheme)] = "tana"
    universal_link: Annotated[str, AfterValidator(check_universal_link)] | None = None
    #: A waiting or scanned login ends after this.
    lifetime: Seconds = 300
    #: An approved login must be claimed (and its code typed) within this.
    claim_lifetime: Seconds = 120
    #: L0: plain QR. L1: the QR's frame rotates and a browser not yet known types a confirmation code. L2: the QR's
    #: frame rotates, and the browser proves by WebAuthn that the phone is at hand.
    assurance: Literal["L0", "L1", "L2"] = "L1"
    #: Demand the code even from browsers that passed it before for the same account.
    code_for_known_browsers: bool = False
    known_browser_lifetime: Seconds = 180 * 86400
    frame_period: Annotated[float, Field(ge=5, le=300)] = 30
    enrolment_lifetime: Seconds = 300
    #: At most this many logins are waiting at once, over all processes that share the store.
    waiting_limit: Annotated[int, Field(ge=1)] = 100_000

    @property
    def level(self) -> Level:
        """The assurance a login reaches."""
        return Level[self.assurance]


class SessionSettings(Group):
    """Login sessions."""

    idle_lifetime: Seconds = 12 * 3600
    absolute_lifetime: Seconds = 7 * 86400
    #: So many living sessions an account may have; a further one ends the oldest.
    per_account: Annotated[int, Field(ge=1)] = 100
    #: Also hand the session's token to the desktop's script and accept ``Authorization: Bearer`` (the page's own way).
    bearer: bool = False


class LimitSettings(Group):
    """Requests per minute, each limit lets half a minute's worth through at once; and how much is under way at most."""

    per_ip: Annotated[int, Field(ge=1)] = 120
    per_account: Annotated[int, Field(ge=1)] = 60
    per_key: Annotated[int, Field(ge=1)] = 30
    #: Requests that change nothing, in each process by itself and for each way to log in apart.
    looks_per_ip: Annotated[int, Field(ge=1)] = 1200
    #: At most so many of each kind are under way at once, over all processes that share the store: enrolments, passkey
    #: ceremonies, temporary accounts of bound logins, logins at providers. Of waiting logins see qr and eid.
    under_way: Annotated[int, Field(ge=1)] = 100_000
    #: Open event streams in each process: of one address, and of all.
    streams_per_ip: Annotated[int, Field(ge=1)] = 1000
    streams: Annotated[int, Field(ge=1)] = 50_000


class SSESettings(Group):
    """Server-sent events."""

    heartbeat: Annotated[float, Field(ge=1, le=120)] = 15
    #: Base of the client's reconnection delay, in seconds; up to as much again is added by chance.
    retry: Annotated[float, Field(ge=0.1, le=60)] = 2
    #: Who writes the streams: we, or ``EventSourceResponse`` for hosts that standardised on it.
    responder: Literal["own", "sse-starlette"] = "own"


class PathSettings(Group):
    """Where the pages and calls are, below the prefix. An empty path switches that one off."""

    login: Path = "/login"
    logout: Path = "/logout"
    callback: Path = "/callback"
    backchannel_logout: Path = "/backchannel-logout"
    frontchannel_logout: Path = "/frontchannel-logout"
    session_monitor: Path = "/session-monitor"
    initiate: Path = "/initiate"
    error: Path = "/error"
    profile: Path = "/profile"
    step_up: Path = "/step-up"
    openapi: Path = "/openapi.json"
