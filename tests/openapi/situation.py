"""Somebody who has begun whatever there is to begin, so that drawn requests meet something that is there."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from schemathesis import Case

from tests.actors import Browser, Phone
from tests.openapi.world import HOST, ORIGIN, TOKEN
from useid_middleware import UseIDMiddleware
from useid_middleware._codec import b64url

#: Routes with ids, by what the id is of.
_IDS = {
    "/session/{id}": "sessionId",
    "/plain/{id}": "sessionId",
    "/devices/enrol/{id}": "enrolmentId",
    "/eid/session/{id}": "eid",
    "/eid/phone/{token}": "start",
    "/eid/tctoken/{token}": "token",
    "/sessions/{id}": "session",
    "/devices/{id}": "device",
}


@dataclass
class Situation:
    """A person with a phone at a browser. What a request ends is begun anew for the next one."""

    app: UseIDMiddleware
    phone: Phone
    known: dict[str, str] = field(default_factory=dict)

    @classmethod
    async def begin(cls, app: UseIDMiddleware) -> "Situation":
        """The person, whose phone is enrolled."""
        owner, phone = Browser(app, host=HOST), Phone(app, server=f"{ORIGIN}/auth")
        await owner.send("GET", "/as/alice")
        await phone.enrol(owner)
        return cls(app, phone)

    async def put_into(self, case: "Case[Any]", route: str) -> None:
        """Give the request this person's cookies, and the ids of what they have begun where it names some."""
        browser = Browser(self.app, host=HOST)
        await browser.send("GET", "/as/alice")
        known = await self._begun(browser)
        case.cookies.update(browser.cookies)
        path = route.partition(" ")[2]
        for known_path, name in _IDS.items():
            if path == known_path or path.startswith(f"{known_path}/"):
                (variable,) = case.path_parameters
                case.path_parameters[variable] = known[name]
        if path == "/metrics":
            case.headers["authorization"] = f"Bearer {TOKEN}"
        if isinstance(case.body, dict):
            body: dict[str, Any] = case.body
            case.body = body | {name: known[name] for name in body.keys() & known.keys()}

    async def _begun(self, browser: Browser) -> dict[str, str]:
        created = (await browser.post("/session/create")).json()
        frame = parse_qs(urlsplit(created["qrData"]).query)["frame"][0]
        standard = (await browser.post("/eid/start", {"mode": "standard"})).json()
        same_device = (await browser.post("/eid/start", {"mode": "same-device"})).json()
        sessions = (await browser.get("/sessions")).json()["sessions"]
        return {
            "sessionId": created["sessionId"],
            "frame": frame,
            "keyId": b64url(self.phone.key_id),
            "publicKey": b64url(self.phone.public_key),
            "enrolmentId": (await browser.post("/devices/enrol")).json()["enrolmentId"],
            "eid": standard["sessionId"],
            "start": standard["startUrl"].rpartition("/")[2],
            "token": same_device["tcTokenUrl"].rpartition("/")[2],
            "session": next(each["id"] for each in sessions if each["current"]),
            "device": "A" * 22,
            "ceremonyId": (await browser.post("/passkeys/login/options")).json()["ceremonyId"],
        }
