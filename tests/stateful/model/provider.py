"""What must come of every step of a login at an OpenID provider, and of its logouts."""

from dataclasses import dataclass, field
from typing import Final

from tests.stateful.model.passkeys import Passkeys
from tests.stateful.things import (
    ATTEMPT,
    LIFETIME,
    RESTART,
    Arrival,
    Attempt,
    Session,
    Told,
    Wire,
)

#: How long a code of the provider's is good (s), and how many logins there one browser may have begun.
CODE_LIFETIME: Final = 60.0
SLOTS: Final = 8
#: Ways to log in that rest on a login made before.
DERIVED: Final = ("qr", "passkey")


@dataclass
class AtProvider(Passkeys):
    """Logins that were begun, and what came back."""

    attempts: dict[str, Attempt] = field(default_factory=dict)
    arrivals: list[Arrival] = field(default_factory=list)

    def begun_there(self, state: str, wire: Wire, *, silent: bool = False) -> None:
        """A browser left for the provider; of too many logins, the oldest is forgotten."""
        secret = wire.set[ATTEMPT]
        assert wire.carried.get(ATTEMPT, secret) == secret
        living = [each for each in self.attempts.values() if each.secret == secret and self._is_open(each)]
        for old in sorted(living, key=lambda each: each.begun)[: max(0, len(living) - SLOTS + 1)]:
            old.is_spent = True
        self.attempts[state] = Attempt(state, secret, self.now, silent)

    def come_back(self, wire: Wire, state: str, arrival: Arrival | None) -> Told:
        """A browser is back with an attempt's state, and what the provider gave for it; ``None``: a refusal."""
        session, secret = self.living(wire.held), wire.carried.get(ATTEMPT, "")
        if not secret:
            return Told(303 if session is not None else 400)
        attempt = self.attempts.get(state)
        if attempt is None or attempt.secret != secret or not self._is_open(attempt):
            return Told(303 if session is not None or not wire.carried.get(RESTART) else 400)
        attempt.is_spent = True
        if attempt.silent and session is None:
            return Told(200)
        holds = arrival is not None and self._exchange(arrival, attempt)
        if attempt.silent:
            return self._silently(session, arrival, holds=holds)
        if arrival is None:
            return Told(403)
        if not holds:
            return Told(502)
        self.log_in(wire, arrival.account, way="provider", sid=arrival.sid)
        return Told(303)

    def come_back_late(self, wire: Wire) -> Told:
        """A browser that was logged in when it came back, and whose attempt another call has used meanwhile."""
        return Told(303 if wire.held in self.sessions else 400)

    def _silently(self, session: Session | None, arrival: Arrival | None, *, holds: bool) -> Told:
        """Whether the provider's session is still there: a refusal and another person end ours."""
        assert session is not None
        is_other = arrival is not None and (session.way, session.account) != ("provider", arrival.account)
        session.has_ended |= arrival is None or (holds and is_other)
        return Told(200)

    def _exchange(self, arrival: Arrival, attempt: Attempt) -> bool:
        """A code is good once, not for long, and for its own attempt."""
        holds = not arrival.is_spent and self.now < arrival.at + CODE_LIFETIME and arrival.state == attempt.state
        arrival.is_spent = True
        return holds

    def _is_open(self, attempt: Attempt) -> bool:
        return not attempt.is_spent and self.now < attempt.begun + LIFETIME

    def logged_out_there(self, sids: set[str], account: str) -> None:
        """The provider says that sessions of it are over: with them goes what rests on them."""
        found = [each for each in self.sessions.values() if each.sid in sids and each.lives(self.now)]
        for session in found:
            session.has_ended = True
        if found or account:
            for session in self.of(account or found[0].account):
                session.has_ended |= session.way in DERIVED
