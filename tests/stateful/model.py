"""What must come of every step of the device switch, in plain Python: who may do what, when, and who is logged in.

It knows nothing of the implementation. Each step says what the caller must be told, and changes what there is.
"""

from dataclasses import dataclass, field
from typing import Final

from tests.stateful.things import (
    CLAIM_LIFETIME,
    LIFETIME,
    SKEW,
    TOUCH,
    TRIES,
    Device,
    Enrolment,
    Login,
    Session,
    Signed,
    Temporary,
    Told,
)

UNKNOWN: Final = Told(404, "session_unknown")
NO_ACCOUNT: Final = Told(404, "binding_unknown")
NO_DEVICE: Final = Told(403, "device_unknown")
NO_COOKIE: Final = Told(401, "browser_cookie_missing")
NOT_LOGGED_IN: Final = Told(401, "login_required")
WRONG_STATE: Final = Told(409, "wrong_state")


@dataclass
class Model:
    """Everything that there is, at one level of assurance."""

    level: str
    now: float
    logins: dict[str, Login] = field(default_factory=dict)
    enrolments: dict[str, Enrolment] = field(default_factory=dict)
    temporary: dict[str, Temporary] = field(default_factory=dict)
    devices: list[Device] = field(default_factory=list)
    #: By browser.
    sessions: dict[str, Session] = field(default_factory=dict)
    everybody: list[Session] = field(default_factory=list)
    cookies: set[str] = field(default_factory=set)
    #: Accounts and the browsers that have passed the code.
    known: set[tuple[str, str]] = field(default_factory=set)

    # ── who is logged in ──────────────────────────────────────────────────────────────────────────────────────────────

    def who(self, browser: str) -> str:
        """The account of a browser's living session; asking is a use of it."""
        session = self.living(browser)
        return "" if session is None else session.account

    def living(self, browser: str) -> Session | None:
        """A browser's session, if it lives; looking is a use of it."""
        session = self.sessions.get(browser)
        if session is None or not session.lives(self.now):
            return None
        if self.now - session.seen >= TOUCH:
            session.seen = self.now
        return session

    def log_in(self, browser: str, account: str, device: Device | None = None) -> None:
        """A new session in the place of the old one."""
        self.log_out(browser)
        self.sessions[browser] = Session(account, self.now, self.now, device)
        self.everybody.append(self.sessions[browser])

    def log_out(self, browser: str) -> None:
        """The browser's session ends."""
        session = self.living(browser)
        if session is not None:
            session.has_ended = True

    def sessions_of(self, account: str) -> int:
        """How many sessions of an account live."""
        return sum(each.account == account and each.lives(self.now) for each in self.everybody)

    # ── a login by QR ─────────────────────────────────────────────────────────────────────────────────────────────────

    def find(self, login_id: str) -> Login | None:
        """A login that is not forgotten."""
        login = self.logins.get(login_id)
        return None if login is None or login.is_gone(self.now) else login

    def create(self, browser: str, login_id: str) -> None:
        """A browser begins."""
        self.cookies.add(browser)
        self.logins[login_id] = Login(login_id, self.now + LIFETIME, "waiting", browser=browser, begun=self.now)

    def look(self, login_id: str, browser: str) -> Told:
        """A browser asks how far it is."""
        if browser not in self.cookies:
            return NO_COOKIE
        login = self.find(login_id)
        return UNKNOWN if login is None or login.browser != browser else Told(200)

    def scan(self, login_id: str, device: Device | None, *, frame: str, frames: frozenset[str]) -> Told:
        """A phone scans; ``frames`` are those that hold at this moment."""
        login = self.find(login_id)
        if device is None or device.is_revoked:
            return NO_DEVICE
        if login is None:
            return UNKNOWN
        if login.state_at(self.now) == "scanned":
            return Told(200) if login.device is device else Told(409, "already_scanned")
        refusal = login.refusal("scan", self.now)
        if refusal is not None:
            return refusal
        if self.level != "L0" and frame not in frames:
            return Told(409, "frame_stale")
        login.go("scanned")
        login.device, login.frame = device, frame if self.level != "L0" else ""
        return Told(200)

    def answer(self, login_id: str, device: Device | None, decision: str, signed: Signed) -> Told:
        """An answer that names a phone's key comes to the address of ``decision``."""
        login = self.find(login_id)
        if device is None or device.is_revoked:
            return NO_DEVICE
        if login is None:
            return UNKNOWN
        step = "confirm" if decision == "approve" and self.level == "L2" else decision
        refusal = login.refusal(step, self.now)
        if refusal is not None:
            return refusal
        if login.device is not device or not signed.by_this_key:
            return NO_DEVICE
        if signed[:3] != (login_id, login.frame, decision) or abs(self.now - signed.issued_at) > SKEW:
            return Told(403, "signature_invalid")
        login.go(login.NEXT[login.state, step], deadline=self.now + (CLAIM_LIFETIME if decision == "approve" else 0))
        return Told(200)

    def needs_code(self, login: Login) -> bool:
        """Whether the phone of an approved login shows a code."""
        assert login.device is not None
        return self.level == "L1" and (login.device.account, login.browser) not in self.known

    def claim(self, login_id: str, browser: str, *, code: str) -> Told:
        """A browser fetches its login."""
        told = self.look(login_id, browser)
        if told.status != 200:
            return told
        login = self.logins[login_id]
        refusal = login.refusal("claim", self.now)
        if refusal is not None:
            return refusal
        if self.level == "L2":
            return WRONG_STATE
        if login.code and not code:
            return Told(403, "code_required")
        return self._finish(login, browser, wrong_code=bool(login.code) and code != login.code)

    def follow(self, login_id: str, browser: str, *, is_refresh_address: bool) -> Told:
        """A browser opens the refresh address of a bound login, or what it takes for it."""
        told = self.look(login_id, browser)
        if told.status != 200:
            return told
        login = self.logins[login_id]
        if not is_refresh_address or self.level != "L2":
            return WRONG_STATE
        refusal = login.refusal("claim", self.now)
        if refusal is not None:
            return refusal
        told = self._finish(login, browser, wrong_code=False)
        return Told(303) if told.status == 200 else told

    def _finish(self, login: Login, browser: str, *, wrong_code: bool) -> Told:
        device = login.device
        assert device is not None
        if device.is_revoked:
            return NO_DEVICE
        if wrong_code:
            login.tries += 1
            login.go("rejected" if login.tries == TRIES else login.state)
            if login.state == "rejected":
                login.deadline = self.now
            return Told(403, "code_wrong")
        login.go("claimed", deadline=self.now)
        self.log_in(browser, device.account, device)
        if login.code:
            self.known.add((device.account, browser))
        return Told(200)

    # ── binding (L2) ──────────────────────────────────────────────────────────────────────────────────────────────────

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

    # ── phones ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def offer(self, browser: str) -> Told:
        """A user wants to add a phone."""
        return Told(201) if self.who(browser) else NOT_LOGGED_IN

    def offered(self, browser: str, enrolment_id: str) -> None:
        """The enrolment is there."""
        account = self.who(browser)
        self.enrolments[enrolment_id] = Enrolment(enrolment_id, self.now + LIFETIME, "offered", account=account)

    def enrolment(self, enrolment_id: str) -> Enrolment | None:
        """An enrolment that is not forgotten."""
        enrolment = self.enrolments.get(enrolment_id)
        return None if enrolment is None or enrolment.is_gone(self.now) else enrolment

    def prove_key(self, enrolment_id: str, person: str) -> Told:
        """A person's phone proves its key."""
        enrolment = self.enrolment(enrolment_id)
        if enrolment is None:
            return UNKNOWN
        refusal = enrolment.refusal("prove", self.now)
        if refusal is None:
            enrolment.go("proved")
            enrolment.person = person
        return refusal or Told(200)

    def confirm(self, enrolment_id: str, browser: str, *, code: str) -> Told:
        """A user types a code."""
        account = self.who(browser)
        if not account:
            return NOT_LOGGED_IN
        enrolment = self.enrolment(enrolment_id)
        if enrolment is None or enrolment.account != account:
            return UNKNOWN
        refusal = enrolment.refusal("confirm", self.now)
        if refusal is not None:
            return refusal
        if not code:
            return Told(403, "code_required")
        if code == enrolment.code:
            enrolment.go("confirmed", deadline=self.now)
            return Told(200)
        enrolment.tries += 1
        enrolment.go("rejected" if enrolment.tries == TRIES else enrolment.state)
        if enrolment.state == "rejected":
            enrolment.deadline = self.now
        return Told(403, "code_wrong")

    def revoke(self, browser: str, device: Device) -> Told:
        """A user revokes a phone; its sessions end, and each browser has to show a code again."""
        account = self.who(browser)
        if not account:
            return NOT_LOGGED_IN
        if device.is_revoked or device.account != account:
            return Told(404, "not_found")
        device.is_revoked = True
        for session in self.everybody:
            if session.device is device:
                session.has_ended = True
        self.known = {(owner, each) for owner, each in self.known if owner != account}
        return Told(204)
