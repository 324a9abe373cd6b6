"""What the script of the emulated phone's page does, without a browser."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.emulation.client.scripted import LINK, ScriptedClient
from useid_middleware.emulation.client.app import EIDPhone

ORIGIN = "http://127.0.0.1:24727"
PIN, WRONG, CAN = "123456", "111111", "500540"


@dataclass
class Page:
    """Somebody who speaks the phone's interface."""

    phone: EIDPhone
    http: httpx2.AsyncClient

    async def begin(self, **body: str) -> str:
        response = await self.http.post("/dialogues", json={"link": LINK, "card": "erika"} | body)
        assert response.status_code == 201, response.text
        dialogue_id: str = response.json()["id"]
        return dialogue_id

    async def reaches(self, dialogue_id: str, stage: str) -> dict[str, Any]:
        """Follow the dialogue until it is there; it must not end on the way."""
        version = 0
        while True:
            view: dict[str, Any] = (await self.http.get(f"/dialogues/{dialogue_id}?after={version}")).json()
            if view["stage"] == stage:
                return view
            assert "outcome" not in view, view
            version = view["version"]

    async def say(self, dialogue_id: str, **body: Any) -> httpx2.Response:
        return await self.http.post(f"/dialogues/{dialogue_id}", json=body)

    async def agree(self, dialogue_id: str, *granted: str) -> dict[str, Any]:
        """Consent, and the first question for a password."""
        await self.reaches(dialogue_id, "confirm")
        assert (await self.say(dialogue_id, granted=granted)).status_code == 200
        question: dict[str, Any] = (await self.reaches(dialogue_id, "password"))["question"]
        return question

    async def enter(self, dialogue_id: str, password: str, *, then: str) -> dict[str, Any]:
        """A password, and what follows the reading of the card."""
        before = (await self.http.get(f"/dialogues/{dialogue_id}")).json()["version"]
        assert (await self.say(dialogue_id, password=password)).status_code == 200
        while True:
            view: dict[str, Any] = (await self.http.get(f"/dialogues/{dialogue_id}?after={before}")).json()
            if view["stage"] == then:
                return view
            assert view["stage"] == "reading", view
            before = view["version"]

    async def reaches_end(self, dialogue_id: str) -> dict[str, Any]:
        """Follow the dialogue until it is over."""
        version = 0
        while True:
            view: dict[str, Any] = (await self.http.get(f"/dialogues/{dialogue_id}?after={version}")).json()
            if "outcome" in view:
                return view
            version = view["version"]

    async def status(self, card: str = "erika") -> str:
        cards = (await self.http.get("/cards")).json()["cards"]
        return str(next(each["status"] for each in cards if each["name"] == card))


async def page_of(app: EIDPhone) -> AsyncIterator[Page]:
    """The page of this phone, whose dialogues are ended afterwards."""
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        yield Page(app, http)
    await app.close()


def client_of(page: Page) -> ScriptedClient:
    """The scripted client behind the page."""
    client = page.phone.dialogues._client
    assert isinstance(client, ScriptedClient)
    return client
