"""What must come of every step with a passkey: registration, login, step-up, and what a user does with their own."""

from dataclasses import dataclass, field
from typing import Final

from tests.stateful.model.bound import Bound
from tests.stateful.things import (
    LIFETIME,
    NO_COOKIE,
    NO_DEVICE,
    NOT_FOUND,
    NOT_LOGGED_IN,
    Ceremony,
    Device,
    Session,
    Told,
    Wire,
)

NO_CEREMONY: Final = Told(404, "ceremony_unknown")
LEVEL_REQUIRED: Final = Told(403, "level_required")
#: What a passkey proves, and what an account that has one has to prove before it gets another.
L2: Final = 2


@dataclass
class Passkeys(Bound):
    """Ceremonies and passkeys."""

    ceremonies: dict[str, Ceremony] = field(default_factory=dict)
    passkeys: list[Device] = field(default_factory=list)

    def passkeys_of(self, account: str) -> list[Device]:
        """An account's passkeys, the oldest first."""
        return [each for each in self.passkeys if each.account == account and not each.is_revoked]

    def begin_ceremony(self, purpose: str, held: str) -> Told:
        """Somebody asks for options."""
        session = self.living(held)
        if purpose == "login":
            return Told(200)
        if session is None:
            return NOT_LOGGED_IN
        if purpose == "step-up":
            return Told(200) if self.passkeys_of(session.account) else Told(409, "passkey_missing")
        return LEVEL_REQUIRED if self._lacks_level(session) else Told(200)

    def ceremony_begun(self, ceremony_id: str, purpose: str, browser: str, held: str) -> None:
        """The ceremony is there: for the browser, or for the session alone that it holds."""
        if purpose == "login":
            self.cookies.add(browser)
        bound = browser if purpose == "login" else held
        account = "" if purpose == "login" else self.who(held)
        self.ceremonies[ceremony_id] = Ceremony(purpose, bound, self.now + LIFETIME, account)

    def add_passkey(self, ceremony_id: str, held: str, *, holds: bool) -> Told:
        """A new passkey comes; ``holds``: made for this ceremony."""
        session = self.living(held)
        if session is None:
            return NOT_LOGGED_IN
        if not self._take(ceremony_id, "register", held):
            return NO_CEREMONY
        if self._lacks_level(session):
            return LEVEL_REQUIRED
        return Told(201 if holds else 400)

    def passkey_added(self, passkey: Device) -> None:
        """It is kept."""
        self.passkeys.append(passkey)

    def log_in_by_passkey(
        self, ceremony_id: str, browser: str, passkey: Device | None, wire: Wire, *, holds: bool
    ) -> Told:
        """A browser shows what an authenticator made; ``holds``: over this challenge, for our origin."""
        if browser not in self.cookies:
            return NO_COOKIE
        if not self._take(ceremony_id, "login", browser):
            return NO_CEREMONY
        if not holds or passkey is None or passkey.is_revoked:
            return Told(401)
        self.log_in(wire, passkey.account, way="passkey", level=L2, device=passkey)
        return Told(200)

    def log_in_late(self, ceremony_id: str, browser: str, passkey: Device | None, wire: Wire) -> Told:
        """The same while the passkey is deleted: the ceremony is spent, and nobody is logged in."""
        if passkey is None or not passkey.is_revoked or not self._take(ceremony_id, "login", browser):
            return NO_CEREMONY
        self.end(wire.held)
        return NO_DEVICE

    def step_up(self, ceremony_id: str, passkey: Device | None, wire: Wire, *, holds: bool) -> Told:
        """A session shows more; it goes on under another cookie."""
        session = self.living(wire.held)
        if session is None:
            return NOT_LOGGED_IN
        if not self._take(ceremony_id, "step-up", wire.held):
            return NO_CEREMONY
        if not holds or passkey is None or passkey.is_revoked or passkey.account != session.account:
            return Told(401)
        self.log_in(
            wire,
            session.account,
            way=session.way,
            level=max(session.level, L2),
            device=session.device,
            sid=session.sid,
        )
        return Told(200)

    def rename_passkey(self, held: str, passkey: Device, label: str) -> Told:
        """A user gives a passkey another name."""
        told = self._own(held, passkey)
        if told.status == 204:
            passkey.label = label
        return told

    def remove_passkey(self, held: str, passkey: Device) -> Told:
        """A user deletes a passkey; its sessions end."""
        told = self._own(held, passkey)
        if told.status == 204:
            passkey.is_revoked = True
            self.end_of(passkey)
        return told

    def _own(self, held: str, passkey: Device) -> Told:
        account = self.who(held)
        if not account:
            return NOT_LOGGED_IN
        return NOT_FOUND if passkey.is_revoked or passkey.account != account else Told(204)

    def _lacks_level(self, session: Session) -> bool:
        return bool(self.passkeys_of(session.account)) and session.level < L2

    def _take(self, ceremony_id: str, purpose: str, bound: str) -> bool:
        """The ceremony, once, and for whom it was begun."""
        ceremony = self.ceremonies[ceremony_id]
        if (ceremony.purpose, ceremony.bound) != (purpose, bound) or ceremony.is_spent or self.now >= ceremony.ends:
            return False
        ceremony.is_spent = True
        return True
