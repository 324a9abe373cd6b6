"""What must come of every step that binds a login by QR to its browser (L2)."""

from dataclasses import dataclass, field
from typing import Final

from tests.stateful.model.by_qr import ByQR
from tests.stateful.things import CLAIM_LIFETIME, NO_COOKIE, UNKNOWN, WRONG_STATE, Temporary, Told

NO_ACCOUNT: Final = Told(404, "binding_unknown")


@dataclass
class Bound(ByQR):
    """Temporary accounts."""

    temporary: dict[str, Temporary] = field(default_factory=dict)

    def open_account(self, login_id: str) -> Told:
        """Somebody creates a temporary account for a login."""
        login = self.find(login_id)
        if login is None:
            return UNKNOWN
        return login.refusal("ask", self.now) or Told(201)

    def account_opened(self, user_id: str, login_id: str) -> None:
        """The account is there."""
        login = self.logins[login_id]
        self.temporary[user_id] = Temporary(login, login.deadline)

    def register(self, user_id: str, *, prover: str, holds: bool) -> Told:
        """Somebody's authenticator makes the account's credential; ``holds``: for the right options."""
        account = self._account(user_id)
        if account is None:
            return NO_ACCOUNT
        if account.prover:
            return WRONG_STATE
        login = account.login
        if login.is_gone(self.now):
            return UNKNOWN
        refusal = login.refusal("ask", self.now)
        if refusal is not None:
            return refusal
        if not holds:
            account.is_gone = True
            return Told(400)
        account.prover, account.ends = prover, self.now + CLAIM_LIFETIME
        login.go("authenticating", deadline=account.ends)
        return Told(204)

    def prove(self, user_id: str, browser: str, *, holds: bool) -> Told:
        """A browser's assertion; ``holds``: by the account's authenticator, over this challenge, for our origin."""
        if browser not in self.cookies:
            return NO_COOKIE
        account = self._account(user_id)
        if account is None or account.login.is_gone(self.now) or account.login.browser != browser:
            return NO_ACCOUNT
        account.is_gone = True
        if not account.prover:
            return NO_ACCOUNT
        login = account.login
        if not holds:
            if login.state_at(self.now) == "authenticating":
                login.go("rejected", deadline=self.now)
            return Told(401)
        refusal = login.refusal("release", self.now)
        if refusal is None:
            login.go("approved", deadline=self.now + CLAIM_LIFETIME)
        return refusal or Told(200)

    def _account(self, user_id: str) -> Temporary | None:
        account = self.temporary.get(user_id)
        return None if account is None or account.is_gone or self.now >= account.ends else account
