"""The steps that bind a login to its browser by WebAuthn."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.actors import Answer
from tests.stateful.base import DESKTOP, PERSON, PICK
from tests.stateful.by_qr import ByQR
from tests.stateful.calls import Call, nth
from tests.stateful.people import HONEST, MALLORY
from tests.stateful.things import Login, Told
from tests.webauthn.bound import ORIGIN
from tests.webauthn.world import Authenticator, Credential
from useid_middleware._codec import un_b64url_any
from useid_middleware.webauthn.core.sealing import open_refresh_url, seal_refresh_url


class Bound(ByQR):
    """Temporary accounts, credentials, assertions, and the refresh address."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: dict[str, dict[str, Any]] = {}
        self.asked: dict[str, dict[str, Any]] = {}
        #: Assertions that were sent, and which account each would hold for.
        self.proofs: list[tuple[dict[str, Any], str]] = []

    @precondition(lambda self: self.public)
    @rule(pick=PICK, leads=st.one_of(st.none(), PICK))
    def open_account(self, pick: int, leads: int | None) -> None:
        """A phone that is done seals the login's refresh address; the attacker any address that he knows."""
        login = self._login(pick)
        url = self.public[login.id if leads is None else self._login(leads).id].refresh_url or f"{ORIGIN}/auth/x"
        key = self.world.desktops[login.browser].public_key
        sealed = seal_refresh_url(url, public_key=key, session_id=login.id)
        answer = self.world.run(
            self.world.send("/webauthn/accounts", {"widgetSessionId": login.id, "sealedRefreshUrl": sealed})
        )
        self._expect(answer, self.model.open_account(login.id))
        if answer.status == 201:
            user_id = answer.json()["userId"]
            self.model.account_opened(user_id, login.id)
            self.opened[user_id] = answer.json()["options"] | {"sealed": sealed, "url": url}

    @precondition(lambda self: self.opened)
    @rule(pick=PICK, name=PERSON, options_of=st.one_of(st.none(), st.none(), PICK))
    def register(self, pick: int, name: str, options_of: int | None) -> None:
        """Somebody's authenticator makes the credential; by another account's options, perhaps."""
        user_id = nth(list(self.opened), pick)
        source = user_id if options_of is None else nth(list(self.opened), options_of)
        credential = self.world.people[name].authenticator.create(self.opened[source])
        self._do(self._registering(user_id, name, credential, holds=source == user_id))

    def _registering(self, user_id: str, name: str, credential: dict[str, Any], *, holds: bool) -> Call:
        return Call(
            None,
            lambda: self.world.send(f"/webauthn/accounts/{user_id}", {"credential": credential}, method="PUT"),
            lambda _: self.model.register(user_id, prover=name, holds=holds),
        )

    @rule(
        pick=PICK,
        desktop=DESKTOP,
        by=st.sampled_from(["near", "near", "near", "leaked", "phished", "stranger", "replayed"]),
        other=PICK,
    )
    def prove(self, pick: int, desktop: str, by: str, other: int) -> None:
        """A browser is asked for the phone's credential: a phone that is near gives it, an attacker tries others.

        What was made for the right browser may have leaked to another; a phone is near its owner's desktops alone.
        """
        if not self.opened:
            return
        user_id = nth(list(self.opened), pick)
        account = self.model.temporary[user_id]
        owner = account.login.browser
        if owner in self.model.cookies and account.prover:
            shown = self.world.get(owner, f"/session/{account.login.id}")
            if shown.status == 200 and shown.json().get("userId") == user_id:
                self.asked[user_id] = shown.json()["options"]
        if user_id not in self.asked:
            return
        options, near = self.asked[user_id], self.world.people[account.prover].authenticator
        is_near = (owner in HONEST) == (account.prover != MALLORY)
        holds = by in ("near", "leaked")
        if holds and not is_near:
            return
        if by == "near":
            desktop = owner
        if by == "replayed" and self.proofs:
            # It may be one that was only sent by the wrong browser so far.
            credential, made_for = nth(self.proofs, other)
            holds = made_for == user_id
        elif by in ("stranger", "replayed"):
            credential = stranger(options)
        else:
            browser = near if holds else Authenticator("http://phish.localhost", near.flags, False, near.credentials)
            credential = browser.get(options)
        answer = self.world.post(desktop, f"/webauthn/accounts/{user_id}/assertions", {"credential": credential})
        self._expect(answer, self.model.prove(user_id, desktop, holds=holds))
        self.proofs.append((credential, user_id if holds else ""))
        if answer.status == 200:
            opened, desk = self.opened[user_id], self.world.desktops[desktop]
            assert answer.json()["sealedRefreshUrl"] == opened["sealed"]
            key = desk.key.private_bytes_raw()
            assert open_refresh_url(opened["sealed"], private_key=key, session_id=account.login.id) == opened["url"]

    @precondition(lambda self: self.public)
    @rule(pick=PICK, desktop=DESKTOP, made_up=st.sampled_from([False, False, False, True]))
    def follow(self, pick: int, desktop: str, made_up: bool) -> None:
        """A browser opens the refresh address of a login. Let it have leaked: the attacker knows them all."""
        self._do(self._following(self._login(pick), desktop, made_up=made_up))

    def _following(self, login: Login, desktop: str, *, made_up: bool = False) -> Call:
        url = self.public[login.id].refresh_url
        token = login.id + "A" * 22 if made_up or not url else url.rpartition("/")[2]
        is_refresh_address = bool(url) and not made_up
        browser = self.world.browser(desktop)

        def then(answer: Answer) -> None:
            if answer.status == 303:
                self._logged_in(login, desktop)

        return Call(
            browser,
            lambda: browser.get(f"/session/refresh/{token}", {"accept": "text/html"}),
            lambda wire: Told(self.model.follow(login.id, desktop, wire, is_refresh_address=is_refresh_address).status),
            then,
            lambda wire: self.model.finish_late(login.id, wire),
        )


def stranger(options: dict[str, Any]) -> dict[str, Any]:
    """An assertion by another key for the credential that is asked for."""
    other = Authenticator(ORIGIN)
    other.create({"challenge": options["challenge"], "rp": {"id": options["rpId"]}, "user": {"id": "AAAA"}})
    allowed = un_b64url_any(options["allowCredentials"][0]["id"])
    made = other.credentials[0]
    return other.get(options, credential=Credential(allowed, made.key, made.user_handle, 0))
