"""Logins of every kind, by people who do as the documents say when a server does not answer.

What may be repeated is repeated. What is given out once (a confirmation code, a session) may die with the worker that
was about to say it: then the person begins anew, and :class:`BeginAnewError` says why.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from nacl.signing import SigningKey

from tests.actors import Answer
from tests.hosts.people import Caller, Surfer, path_of
from tests.servers import PATIENCE
from tests.webauthn.world import Authenticator
from tests.workers.page import Page
from tests.workers.people import EIDClient, Site, Widget
from useid_middleware.emulation.provider.driver import approve
from useid_middleware.qr.core.signing import Decision

_PAUSE: Final = 0.05
_HTML: Final = {"accept": "text/html"}


class BeginAnewError(Exception):
    """What is given out once is gone."""


class LostError(Exception):
    """A login ended as none may."""


@dataclass
class Member:
    """Somebody with an account, an enrolled phone, a passkey, and a browser that is known (its cookie)."""

    name: str
    key: SigningKey
    key_id: bytes
    authenticator: Authenticator
    known: str = ""


class Attempt:
    """One attempt of a member to log in; ``path`` is that of the login, once there is one that can be looked at."""

    def __init__(self, site: Site, member: Member) -> None:
        self.site = site
        self.member = member
        self.desktop = site.browser()
        self.path = ""
        self.page: Page | None = None

    async def by_qr(self, *, known: bool = False) -> None:
        """Scan, approve, type the code if one is asked for. A ``known`` browser need not."""
        if known:
            self.desktop.http.cookies.set("useid-browser", self.member.known, domain="localhost.local")
        link, page = await self.begin_qr()
        async with page:
            await page.wait_for("waiting")
            await self.finish_qr(link, page)

    async def begin_qr(self) -> tuple[str, Page]:
        """The link of a new QR code, and the page that shows it."""
        created = await self._create("/session/create")
        return created["qrData"], self._watching(f"/session/{created['sessionId']}")

    async def finish_qr(self, link: str, page: Page) -> None:
        """The phone's part, and the claim."""
        approved = await self._approve(link)
        # Approved it is in either case; the code, if there was one, may have died with its worker.
        status = await page.wait_for("approved")
        if status["codeRequired"] and approved is None:
            raise BeginAnewError("code")
        body = {"code": approved.get("code", "") if approved is not None else ""}
        answer, was_lost = await repeat(lambda: self.desktop.post(f"{self.path}/claim", body))
        if was_lost and answer.status == 409:
            raise BeginAnewError("session")
        await self._is_in(answer, 200)
        again, _ = await repeat(lambda: self.desktop.post(f"{self.path}/claim", body))
        if again.status != 409:
            raise LostError(f"a second claim: {again.body!r}")
        await page.wait_for("claimed")

    async def by_bound_qr(self) -> None:
        """Scan, approve, make a passkey for the login; the browser asks for it and goes to what was sealed."""
        widget, client = Widget(self.site, self.desktop), EIDClient(self.site)
        link, page = await self.begin_qr()
        async with page:
            await page.wait_for("waiting")
            approved = await self._approve(link)
            await page.wait_for("confirmed")
            if approved is None:
                raise BeginAnewError("refresh address")
            await self._bind(page, client, widget, approved["refreshUrl"])
            await self._prove(page, client, widget)

    async def by_card(self, mode: str) -> None:
        """The ID card: on this device, or on a phone whose client seals the end, or binds it."""
        client, widget = EIDClient(self.site), Widget(self.site, self.desktop)
        started = await self._create("/eid/start", mode=mode)
        if mode == "same-device":
            self.path = f"/eid/session/{started['sessionId']}"
            outcome = await client.open(started["tcTokenUrl"])
            if not outcome.is_ok:
                raise BeginAnewError("card")
            return await self._arrive(path_of(outcome.address))
        async with self._watching(f"/eid/session/{started['sessionId']}") as page:
            await page.wait_for("waiting")
            outcome = await client.open(widget.link(started))
            # The client may have given up, and yet what it did last may have arrived: then the page goes on.
            if not outcome.is_ok and (await self.status()).get("status") not in ("authenticating", "approved"):
                raise BeginAnewError("card")
            if mode == "bound":
                return await self._prove(page, client, widget)
            status = await page.wait_for("approved")
            await self._arrive(widget.unseal(started["sessionId"], status["sealedRefreshUrl"], bound=False))

    async def by_provider(self) -> None:
        """Leave for the OpenID provider, log in there, come back."""
        query = urlencode({"provider": "op", "return": "/who"})
        left, _ = await repeat(lambda: self.desktop.get(f"/login?{query}"))
        if left.status != 303:
            raise LostError(f"login: {left.body!r}")
        async with self.site.at_provider() as there:
            arrival = await approve(there, left.header("location"))
        await self._arrive(path_of(arrival.url))

    async def by_passkey(self) -> None:
        """The options, and the signature."""
        begun, _ = await repeat(lambda: self.desktop.post("/passkeys/login/options"))
        if begun.status != 200:
            raise LostError(f"options: {begun.body!r}")
        credential = self.member.authenticator.get(begun.json()["options"])
        body = {"ceremonyId": begun.json()["ceremonyId"], "credential": credential}
        answer, was_lost = await repeat(lambda: self.desktop.post("/passkeys/login", body))
        if was_lost and answer.status == 404:
            raise BeginAnewError("session")
        await self._is_in(answer, 200)

    async def status(self) -> dict[str, Any]:
        """What the page is told when it asks; empty when there is nothing to tell any more."""
        answer, _ = await repeat(lambda: self.desktop.get(self.path))
        told: dict[str, Any] = answer.json() if answer.status == 200 else {}
        return told

    def _watching(self, path: str) -> Page:
        self.path = path
        self.page = Page(self.desktop, path)
        return self.page

    async def _create(self, path: str, **body: str) -> dict[str, Any]:
        # One that nobody was told of runs out by itself.
        answer, _ = await repeat(lambda: self.desktop.post(path, body))
        if answer.status != 201:
            raise LostError(f"{path}: {answer.body!r}")
        created: dict[str, Any] = answer.json()
        return created

    async def _approve(self, link: str) -> dict[str, Any] | None:
        """Scan and approve; what the phone is told, or nothing where that was lost, and only the approval is there."""
        phone = Caller(self.site)
        phone.key, phone.key_id = self.member.key, self.member.key_id
        phone.server = f"{self.site.url}/auth"
        # The same phone may scan again.
        scanned, _ = await repeat(lambda: phone.scan(link))
        while scanned.status == 409 and scanned.code == "frame_stale":
            frame = parse_qs(urlsplit(link).query)["frame"][0]
            link = link.replace(frame, (await self.status())["frame"])
            scanned, _ = await repeat(lambda link=link: phone.scan(link))  # type: ignore[misc]
        if scanned.status != 200:
            raise LostError(f"scan: {scanned.body!r}")
        body = phone.answer_body(link, scanned.json()["context"], Decision.APPROVE)
        answer, was_lost = await repeat(lambda: phone.post("/approve", body))
        if answer.status == 200:
            told: dict[str, Any] = answer.json()
            return told
        if was_lost and answer.code == "wrong_state":
            return None
        raise LostError(f"approve: {answer.body!r}")

    async def _bind(self, page: Page, client: EIDClient, widget: Widget, refresh_url: str) -> None:
        """The phone's part after the approval, again with a new account while the page is not told of one."""
        while page.told[-1]["status"] == "confirmed":
            try:
                answer = await client.bind(self.path.rpartition("/")[2], refresh_url, widget.public_key)
            except httpx2.TransportError:
                answer = None
            if answer is not None and answer.status == 204:
                break
            await asyncio.sleep(_PAUSE)
            if (await self.status()).get("status") == "authenticating":
                break
        await page.wait_for("authenticating")

    async def _prove(self, page: Page, client: EIDClient, widget: Widget) -> None:
        """The browser asks for the phone's passkey, and goes where the sealed address leads."""
        told = await page.wait_for("authenticating")
        body = widget.assertion(told, client.passkeys)
        proved, was_lost = await repeat(
            lambda: self.desktop.post(f"/webauthn/accounts/{told['userId']}/assertions", body)
        )
        if proved.status != 200 and not was_lost:
            raise LostError(f"proof: {proved.body!r}")
        if proved.status != 200 and (await self.status()).get("status") != "approved":
            raise BeginAnewError("proof")
        status = await page.wait_for("approved")
        await self._arrive(widget.unseal(self.path.rpartition("/")[2], status["sealedRefreshUrl"], bound=True))

    async def _arrive(self, path: str) -> None:
        """The last address of a login, to which the browser goes."""
        back, was_lost = await repeat(lambda: self.desktop.send("GET", path, headers=_HTML))
        # A provider's address that is used up leads to the provider once more: that is to begin anew as well.
        if was_lost and not (await who_is(self.desktop))["isAuthenticated"]:
            raise BeginAnewError("session")
        await self._is_in(back, 303)
        # Who is in may be sent on, but is not logged in once more.
        session = self.desktop.cookies["useid-session"]
        await repeat(lambda: self.desktop.send("GET", path, headers=_HTML))
        if self.desktop.cookies["useid-session"] != session:
            raise LostError("the last address led in twice")

    async def _is_in(self, answer: Answer, expected: int) -> None:
        if answer.status != expected:
            raise LostError(f"claim: {answer.status} {answer.body[:200]!r}")
        who = await who_is(self.desktop)
        if not who["isAuthenticated"]:
            raise LostError("claimed, and yet not logged in")


async def who_is(browser: Surfer) -> Mapping[str, Any]:
    """Whom the site sees."""
    answer, _ = await repeat(lambda: browser.send("GET", "/who"))
    told: Mapping[str, Any] = json.loads(answer.body)
    return told


async def repeat(call: Callable[[], Awaitable[Answer]]) -> tuple[Answer, bool]:
    """The answer, however often it takes, and whether one was lost before: then nobody knows what has happened."""
    give_up_at, was_lost = time.monotonic() + 2 * PATIENCE, False
    while True:
        try:
            answer = await call()
        except httpx2.TransportError as error:
            if time.monotonic() > give_up_at:
                raise LostError(f"no answer at all: {type(error).__name__}") from error
        else:
            if answer.status not in (502, 503) or time.monotonic() > give_up_at:
                return answer, was_lost
        was_lost = True
        await asyncio.sleep(_PAUSE)


#: Every kind of login. :func:`assurance_of` says what the fleet must be set to.
LOGINS: Final[dict[str, Callable[[Attempt], Awaitable[None]]]] = {
    "qr": Attempt.by_qr,
    "qr-known": lambda attempt: attempt.by_qr(known=True),
    "oidc": Attempt.by_provider,
    "passkey": Attempt.by_passkey,
    "eid-same-device": lambda attempt: attempt.by_card("same-device"),
    "eid-integrated": lambda attempt: attempt.by_card("integrated"),
    "eid-bound": lambda attempt: attempt.by_card("bound"),
    "bound-qr": Attempt.by_bound_qr,
}


def assurance_of(login: str) -> str:
    """The assurance of logins by QR at which this kind is possible."""
    return "L2" if login == "bound-qr" else "L1"


async def enrol(site: Site, name: str) -> Member:
    """A member with an enrolled phone and a passkey."""
    owner, phone = site.browser(), Caller(site)
    await owner.send("GET", f"/as/{name}")
    await phone.enrol(owner)
    authenticator = Authenticator(origin=site.url)
    begun = (await owner.post("/passkeys/options")).json()
    credential = authenticator.create(begun["options"])
    added = await owner.post("/passkeys", {"ceremonyId": begun["ceremonyId"], "credential": credential})
    assert added.status == 201, added.body
    return Member(name, phone.key, phone.key_id, authenticator)
