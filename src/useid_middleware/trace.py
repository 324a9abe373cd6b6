"""For development: each login as the sequence diagram of its flow, drawn from the events, as Mermaid text.

::

    trace = Trace(events)
    ...
    print(trace.diagram(session_id))

The id is that of the waiting login, or of the session that came of it. Events do not say which waiting login an ID
card's session came of, nor which journey to a provider: there it is the newest that fits, which is right where one
developer logs in after the other. No secret and nothing about the person is drawn.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from .events import (
    EIDApproved,
    EIDExpired,
    EIDLoginStarted,
    EIDRejected,
    EIDScanned,
    Events,
    LoginBound,
    LoginCompleted,
    LoginFailed,
    LoginSucceeded,
    PreLogin,
    QRApproved,
    QRExpired,
    QRLoginStarted,
    QRRejected,
    QRScanned,
    SessionChanged,
    SessionEnded,
    TokenRefreshed,
)

BROWSER: Final = "Browser"
APP: Final = "App"
PHONE: Final = "Phone"
CLIENT: Final = "eID client"
PROVIDER: Final = "Provider"
_ORDER: Final = (BROWSER, APP, PHONE, CLIENT, PROVIDER)
#: Mermaid gives a meaning to some characters, and a new line begins another statement.
_UNSAFE: Final = re.compile(r"[^\w .,:/()+=-]")


class Arrow(NamedTuple):
    """From whom to whom, and what. An answer is dashed; from somebody to themselves it is a note."""

    source: str
    target: str
    text: str
    is_answer: bool = False


def _ask(source: str, target: str, text: str) -> Arrow:
    return Arrow(source, target, text)


def _tell(source: str, target: str, text: str) -> Arrow:
    return Arrow(source, target, text, is_answer=True)


def _note(who: str, text: str) -> Arrow:
    return Arrow(who, who, text)


@dataclass(slots=True)
class _Login:
    """What was seen of one login. ``device`` is the phone that approved it."""

    kind: str
    ids: list[str]
    began_at: float
    arrows: list[tuple[float, Arrow]] = field(default_factory=list)
    mode: str = ""
    device: str = ""
    is_scanned: bool = False
    is_over: bool = False

    def draw(self, at: float, *arrows: Arrow) -> None:
        self.arrows += [(at - self.began_at, arrow) for arrow in arrows]


class Trace:
    """The last ``keep`` logins. One process sees its own alone."""

    def __init__(self, events: Events, *, keep: int = 100) -> None:
        self._keep = keep
        self._numbers = count(1)
        self._logins: list[_Login] = []
        #: Between proof and session a login stays in its task.
        self._proven: WeakKeyDictionary[asyncio.Task[object], _Login] = WeakKeyDictionary()
        for subscribe in (self._hear_qr, self._hear_eid, self._hear_provider, self._hear_sessions):
            subscribe(events)

    def ids(self) -> list[str]:
        """The first id of each login, oldest first."""
        return [login.ids[0] for login in self._logins]

    def diagram(self, session_id: str) -> str:
        """The diagram of a login; ``LookupError`` where none of the last ones has this id."""
        return "\n".join(_lines(self._of(session_id))) + "\n"

    def _hear_qr(self, events: Events) -> None:
        @events.on(QRLoginStarted)
        def started(event: QRLoginStarted) -> None:
            login = self._begin("QR code", event.session_id, event.at)
            login.draw(event.at, _ask(BROWSER, APP, "POST /session/create"), _tell(APP, BROWSER, "QR code"))

        @events.on(QRScanned)
        def scanned(event: QRScanned) -> None:
            login = self._seen(event.session_id, "QR code", event.at)
            login.draw(event.at, _ask(PHONE, APP, "scan"), _tell(APP, PHONE, "who asks"))
            login.draw(event.at, _tell(APP, BROWSER, "scanned"))

        @events.on(QRApproved)
        def approved(event: QRApproved) -> None:
            login = self._seen(event.session_id, "QR code", event.at)
            login.device = event.device_id
            login.draw(event.at, _ask(PHONE, APP, "POST /approve, signed"), _tell(APP, BROWSER, "approved"))

        @events.on(QRRejected)
        def rejected(event: QRRejected) -> None:
            login = self._seen(event.session_id, "QR code", event.at)
            wrong = _ask(BROWSER, APP, "claim with a wrong code once too often")
            login.draw(event.at, wrong if event.reason == "code" else _ask(PHONE, APP, "POST /reject, signed"))
            login.draw(event.at, _tell(APP, BROWSER, f"rejected: {event.reason}"))
            login.is_over = True

        @events.on(QRExpired)
        def expired(event: QRExpired) -> None:
            self._expire(event.session_id, "QR code", event.at)

    def _hear_eid(self, events: Events) -> None:
        @events.on(EIDLoginStarted)
        def started(event: EIDLoginStarted) -> None:
            login = self._begin("ID card", event.session_id, event.at)
            login.mode = event.mode
            login.draw(event.at, _ask(BROWSER, APP, f"POST /eid/start ({event.mode})"))
            login.draw(event.at, _tell(APP, BROWSER, "link to the eID client" if _is_here(login) else "QR code"))

        @events.on(EIDScanned)
        def scanned(event: EIDScanned) -> None:
            login = self._seen(event.session_id, "ID card", event.at)
            login.is_scanned = True
            opened = _ask(PHONE, APP, "the code is opened, its user goes on")
            login.draw(event.at, opened if login.mode == "standard" else _ask(CLIENT, APP, "tcToken"))
            if not _is_here(login):
                login.draw(event.at, _tell(APP, BROWSER, "scanned"))

        @events.on(EIDApproved)
        def approved(event: EIDApproved) -> None:
            login = self._seen(event.session_id, "ID card", event.at)
            back = _ask(PHONE, APP, "back from the eID client")
            login.draw(event.at, back if login.mode == "standard" else _ask(CLIENT, APP, "sealed refresh address"))
            login.draw(event.at, _tell(APP, BROWSER, "approved"))

        @events.on(EIDRejected)
        def rejected(event: EIDRejected) -> None:
            login = self._seen(event.session_id, "ID card", event.at)
            minor = event.minor.rpartition("/")[2]
            login.draw(event.at, _tell(APP, BROWSER, f"rejected: {event.reason} {minor}"))
            login.is_over = True

        @events.on(EIDExpired)
        def expired(event: EIDExpired) -> None:
            self._expire(event.session_id, "ID card", event.at)

    def _hear_provider(self, events: Events) -> None:
        @events.on(PreLogin)
        def sent(event: PreLogin) -> None:
            login = self._begin("provider", f"{event.provider}-{next(self._numbers)}", event.at)
            login.draw(event.at, _ask(BROWSER, APP, f"GET /login ({event.provider})"))
            login.draw(
                event.at, _tell(APP, BROWSER, "to the provider"), _ask(BROWSER, PROVIDER, "authorization request")
            )

        @events.on(LoginFailed)
        def failed(event: LoginFailed) -> None:
            login = self._in_this_task() or self._newest(lambda login: login.kind == "provider")
            if login is None:
                login = self._begin("provider", f"failed-{next(self._numbers)}", event.at)
            login.draw(event.at, _tell(APP, BROWSER, f"no login: {event.code}"))
            login.is_over = True

        @events.on(TokenRefreshed)
        def refreshed(event: TokenRefreshed) -> None:
            login = self._known(event.session_id)
            if login is not None:
                login.draw(event.at, _ask(APP, PROVIDER, "refresh token"), _tell(PROVIDER, APP, "new tokens"))

    def _hear_sessions(self, events: Events) -> None:
        @events.on(LoginSucceeded)
        def succeeded(event: LoginSucceeded) -> None:
            login = self._proven_by(event)
            login.draw(event.at, *_proof(login, event.identity.provider))
            task = asyncio.current_task()
            if task is not None:
                self._proven[task] = login

        @events.on(LoginBound)
        def bound(event: LoginBound) -> None:
            login = self._known(event.session_id)
            if login is not None:
                login.draw(event.at, _ask(BROWSER, APP, "assertion by the passkey of the phone"))

        @events.on(LoginCompleted)
        def completed(event: LoginCompleted) -> None:
            login = self._in_this_task()
            if login is not None:
                login.ids.append(event.session_id)
                login.is_over = True
                login.draw(
                    event.at, _tell(APP, BROWSER, f"session of account {event.account_id} at {event.level.name}")
                )

        @events.on(SessionEnded)
        def ended(event: SessionEnded) -> None:
            self._about(event.session_id, event.at, f"the session ended: {event.reason}")

        @events.on(SessionChanged)
        def changed(event: SessionChanged) -> None:
            self._about(event.session_id, event.at, f"another session at the provider: {event.reason}")

    # finding the login that an event is about

    def _begin(self, kind: str, login_id: str, at: float) -> _Login:
        login = _Login(kind, [login_id], at)
        self._logins = [*self._logins, login][-self._keep :]
        return login

    def _seen(self, login_id: str, kind: str, at: float) -> _Login:
        """The login of this id, from now on where another process saw its beginning."""
        return self._known(login_id) or self._begin(kind, login_id, at)

    def _known(self, session_id: str) -> _Login | None:
        return self._newest(lambda login: session_id in login.ids, over=True)

    def _of(self, session_id: str) -> _Login:
        login = self._known(session_id)
        if login is None:
            raise LookupError("no login of the last ones has this id")
        return login

    def _newest(self, fits: Callable[[_Login], bool], *, over: bool = False) -> _Login | None:
        return next((each for each in reversed(self._logins) if (over or not each.is_over) and fits(each)), None)

    def _in_this_task(self) -> _Login | None:
        task = asyncio.current_task()
        return self._proven.pop(task, None) if task is not None else None

    def _proven_by(self, event: LoginSucceeded) -> _Login:
        identity, found = event.identity, None
        if identity.provider == "qr":
            found = self._newest(lambda login: bool(login.device) and login.device == identity.device_id)
        elif identity.provider == "eid":
            found = self._newest(lambda login: login.kind == "ID card" and login.is_scanned)
        elif "://" in identity.provider:
            found = self._newest(lambda login: login.kind == "provider")
        return found or self._begin(identity.provider, f"{identity.provider}-{next(self._numbers)}", event.at)

    def _expire(self, login_id: str, kind: str, at: float) -> None:
        login = self._seen(login_id, kind, at)
        login.draw(at, _note(APP, "time is up"), _tell(APP, BROWSER, "expired"))
        login.is_over = True

    def _about(self, session_id: str, at: float, text: str) -> None:
        login = self._known(session_id)
        if login is not None:
            login.draw(at, _note(APP, text))


def _is_here(login: _Login) -> bool:
    return login.mode == "same-device"


def _proof(login: _Login, provider: str) -> list[Arrow]:
    """How the proof of who somebody is came to the app."""
    if login.kind == "provider":
        return [
            _tell(PROVIDER, BROWSER, "back with a code"),
            _ask(BROWSER, APP, "GET /callback"),
            _ask(APP, PROVIDER, "code"),
            _tell(PROVIDER, APP, "tokens"),
        ]
    if login.kind in ("QR code", "ID card"):
        return [_ask(BROWSER, APP, "claim")]
    return [_ask(BROWSER, APP, "passkey" if provider == "passkey" else f"login of the app ({provider})")]


def _lines(login: _Login) -> Iterator[str]:
    yield "sequenceDiagram"
    met = {name for _, arrow in login.arrows for name in arrow[:2]}
    short = {name: name.replace(" ", "") for name in _ORDER}
    yield from (f"    participant {short[name]} as {name}" for name in _ORDER if name in met)
    for after, arrow in login.arrows:
        text = f"{_UNSAFE.sub(' ', arrow.text).strip()} (+{after:.1f} s)"
        if arrow.source == arrow.target:
            yield f"    Note over {short[arrow.source]}: {text}"
        else:
            yield f"    {short[arrow.source]}{'-->>' if arrow.is_answer else '->>'}{short[arrow.target]}: {text}"
