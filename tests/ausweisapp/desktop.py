"""Somebody's browser as far as HTTP goes: a cookie jar at the example app, and an eye on its event stream."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Self
from urllib.parse import quote

import httpx2

from tests.ausweisapp.client import AusweisApp, Dialogue, Person, answer
from tests.ausweisapp.serving import TLSServer
from tests.emulation.card.ausweisapp import SDK
from tests.emulation.card.pcsc import PATIENCE


class Desktop:
    """A browser that nobody has used before."""

    def __init__(self, server: TLSServer) -> None:
        self._http = httpx2.Client(
            base_url=server.origin, verify=server.trust, timeout=PATIENCE, headers={"origin": server.origin}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def start(self, mode: str = "same-device") -> dict[str, Any]:
        """Begin a login that leads to the protected page."""
        answer = self._http.post("/auth/eid/start", json={"mode": mode, "returnUrl": "/protected"})
        assert answer.status_code == 201, answer.text
        started: dict[str, Any] = answer.json()
        return started

    def use_client(self, client: AusweisApp, sdk: SDK, tc_token_url: str, person: Person) -> Dialogue:
        """Follow a link to the client on this computer, and answer its questions until it knows where to go next.

        That stays empty where there is no safe place to go to: then the client itself shows what is wrong.
        """
        address = f"http://127.0.0.1:{client.port}/eID-Client?tcTokenURL={quote(tc_token_url, safe='')}"
        with ThreadPoolExecutor(1) as somebody:
            dialogue = somebody.submit(answer, sdk, person)
            page = self._http.get(address)
        return replace(dialogue.result(), url=page.headers.get("location", ""))

    def follow(self, url: str) -> httpx2.Response:
        """Go there and where it leads, as a page's link does."""
        return self._http.get(url, headers={"accept": "text/html"}, follow_redirects=True)

    def press_continue(self, start_url: str) -> httpx2.Response:
        """On the phone: the start page's button."""
        return self._http.post(start_url)

    def told(self) -> dict[str, Any]:
        """What the app knows of who is logged in here."""
        answer: dict[str, Any] = self._http.get("/told").json()
        return answer

    def status(self, session_id: str) -> dict[str, Any]:
        """The login as it is now."""
        answer: dict[str, Any] = self._http.get(f"/auth/eid/session/{session_id}").json()
        return answer

    @contextmanager
    def watching(self, session_id: str) -> Iterator[Iterator[dict[str, Any]]]:
        """The login's event stream: each status as it comes, and the end of the stream."""
        with self._http.stream("GET", f"/auth/eid/session/{session_id}/events") as answer:
            assert answer.status_code == 200
            yield (json.loads(line.removeprefix("data:")) for line in answer.iter_lines() if line.startswith("data:"))
