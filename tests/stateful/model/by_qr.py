"""What must come of every step of a login by QR: who may do what, when."""

from dataclasses import dataclass, field

from tests.stateful.model.phones import Phones
from tests.stateful.things import (
    CLAIM_LIFETIME,
    LIFETIME,
    NO_COOKIE,
    NO_DEVICE,
    SKEW,
    UNKNOWN,
    WRONG_STATE,
    Device,
    Login,
    Signed,
    Told,
    Wire,
)


@dataclass
class ByQR(Phones):
    """Logins by QR."""

    logins: dict[str, Login] = field(default_factory=dict)

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

    def picture(self, login_id: str, browser: str) -> Told:
        """A browser wants the QR code as a picture."""
        told = self.look(login_id, browser)
        refusal = self.logins[login_id].refusal("scan", self.now) if told.status == 200 else None
        return refusal or told

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

    def claim(self, login_id: str, browser: str, wire: Wire, *, code: str) -> Told:
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
        return self._finish(login, browser, wire, wrong_code=bool(login.code) and code != login.code)

    def follow(self, login_id: str, browser: str, wire: Wire, *, is_refresh_address: bool) -> Told:
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
        told = self._finish(login, browser, wire, wrong_code=False)
        return Told(303) if told.status == 200 else told

    def finish_late(self, login_id: str, wire: Wire) -> Told:
        """A browser has fetched its login while the phone was revoked: it is spent, and nobody is logged in."""
        login = self.logins[login_id]
        if login.device is None or not login.device.is_revoked or login.refusal("claim", self.now):
            return WRONG_STATE
        login.go("claimed", deadline=self.now)
        self.end(wire.held)
        return NO_DEVICE

    def _finish(self, login: Login, browser: str, wire: Wire, *, wrong_code: bool) -> Told:
        device = login.device
        assert device is not None
        if device.is_revoked:
            return NO_DEVICE
        if wrong_code:
            login.miss(self.now)
            return Told(403, "code_wrong")
        login.go("claimed", deadline=self.now)
        self.log_in(wire, device.account, way="qr", level=int(self.level[1]), device=device)
        if login.code:
            self.known.add((device.account, browser))
        return Told(200)
