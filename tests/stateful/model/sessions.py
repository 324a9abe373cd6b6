"""Who is logged in: sessions, by the cookie that opens each. What all other parts of the model stand on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.stateful.things import NOT_FOUND, NOT_LOGGED_IN, TOUCH, Device, Session, Told, Wire


@dataclass
class Sessions:
    """Everything that there is, at one level of assurance. A browser is what it holds."""

    level: str
    now: float
    #: By the cookie that opens each.
    sessions: dict[str, Session] = field(default_factory=dict)
    #: The browsers that hold the cookie which what they wait for is tied to.
    cookies: set[str] = field(default_factory=set)

    def living(self, held: str) -> Session | None:
        """The session behind a cookie, if it lives; looking is a use of it."""
        session = self.sessions.get(held)
        if session is None or not session.lives(self.now):
            return None
        if self.now - session.seen >= TOUCH:
            session.seen = self.now
        return session

    def who(self, held: str) -> str:
        """The account of a cookie's living session."""
        session = self.living(held)
        return "" if session is None else session.account

    def log_in(
        self,
        wire: Wire,
        account: str,
        *,
        way: str = "host",
        level: int = 0,
        device: Device | None = None,
        sid: str = "",
    ) -> None:
        """A new session in the place of the one that was held."""
        self.end(wire.held)
        self.sessions[wire.given] = Session(account, self.now, self.now, device, way, level, sid)

    def log_out(self, wire: Wire) -> Told:
        """The session that was held ends; who was logged in by the provider is sent there."""
        session = self.living(wire.held)
        self.end(wire.held)
        return Told(200 if session is not None and session.way == "provider" else 204)

    def end(self, held: str) -> None:
        """The session behind a cookie ends."""
        session = self.living(held)
        if session is not None:
            session.has_ended = True

    def of(self, account: str) -> list[Session]:
        """The living sessions of an account."""
        return [each for each in self.sessions.values() if each.account == account and each.lives(self.now)]

    def end_one(self, held: str, session: Session | None) -> Told:
        """A user ends one of their sessions."""
        account = self.who(held)
        if not account:
            return NOT_LOGGED_IN
        if session is None or session.account != account or not session.lives(self.now):
            return NOT_FOUND
        session.has_ended = True
        return Told(204)

    def end_others(self, held: str) -> Told:
        """A user ends all of their sessions but this one."""
        current = self.living(held)
        if current is None:
            return NOT_LOGGED_IN
        for session in self.of(current.account):
            session.has_ended = session is not current
        return Told(204)

    def end_of(self, device: Device) -> None:
        """What was opened by a phone or a passkey ends with it."""
        for session in self.sessions.values():
            if session.device is device:
                session.has_ended = True

    def saved(self) -> Callable[[], None]:
        """What there is now; call it to come back to it."""
        things: list[Any] = [self]
        for value in vars(self).values():
            if isinstance(value, dict):
                things += value.values()
            elif isinstance(value, list):
                things += value
        before = [(thing, _copied(vars(thing))) for thing in things]

        def restore() -> None:
            for thing, was in before:
                vars(thing).update(_copied(was))

        return restore


def _copied(was: dict[str, Any]) -> dict[str, Any]:
    """What something is made of; containers are others, what is in them is the same."""
    return {name: type(value)(value) if isinstance(value, (dict, list, set)) else value for name, value in was.items()}
