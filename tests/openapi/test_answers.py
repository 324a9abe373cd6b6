"""Whole logins of every kind, each answer of which is held against the description."""

from pathlib import Path
from typing import Any

import pytest

from tests.actors import Browser
from tests.openapi.checking import Checked, Description, Undescribed
from tests.openapi.walks import BOUND, WALKS
from tests.openapi.world import opened
from tests.qr.conftest import host_app, make_settings
from useid_middleware import UseID, UseIDMiddleware
from useid_middleware.http.asgi import Receive, Scope, Send


async def test_every_success_that_is_described_is_what_somebody_is_told(country: Path, tmp_path: Path) -> None:
    async with opened(country, tmp_path / "l1") as everybody:
        for walk in WALKS:
            await walk(everybody)
        described, seen = successes(everybody.description), everybody.description.seen
    async with opened(country, tmp_path / "l2", assurance="L2") as everybody:
        await BOUND(everybody)
        seen = seen | everybody.description.seen
    # Of the second provider, which answers nobody, the callbacks are those of the first.
    assert {(route, status) for route, status in described - seen if "/callback/other" not in route} == set()


def successes(description: Description) -> set[tuple[str, int]]:
    return {
        (f"{method.upper()} {path}", int(status))
        for path, methods in description.document["paths"].items()
        for method, described in methods.items()
        for status in described["responses"]
        if int(status) < 400
    }


# ── the check itself ──────────────────────────────────────────────────────────────────────────────────────────────────

JSON = (b"content-type", b"application/json")
STREAM = (b"content-type", b"text/event-stream")


def answers(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": body})

    return app


@pytest.mark.parametrize(
    ("path", "app"),
    [
        ("/sessions", answers(418, b"{}", JSON)),
        ("/sessions", answers(200, b'{"sessions": [{}]}', JSON)),
        ("/sessions", answers(200, b"<p>", (b"content-type", b"text/html"))),
        ("/sessions", answers(401, b'{"code": "code_wrong", "message": ""}', JSON)),
        ("/sessions", answers(401, b'{"code": "login_required"}', JSON)),
        ("/sessions", answers(429, b'{"code": "rate_limited", "message": ""}', JSON)),
        ("/logout", answers(303, b"")),
        ("/logout", answers(303, b"{}", JSON, (b"location", b"/"))),
        ("/sessions/current/events", answers(200, b"event: news\ndata: {}\n\n", STREAM)),
        ("/sessions/current/events", answers(200, b"event: ended\ndata: {}\n\n", STREAM)),
    ],
)
async def test_an_answer_that_is_not_described_is_noticed(path: str, app: Any) -> None:
    description = Description.of(UseID(make_settings()))
    with pytest.raises(Undescribed):
        await Browser(Checked(app, description)).get(path)


async def test_what_the_app_behind_answers_is_its_own_affair() -> None:
    useid = UseID(make_settings())
    app = Checked(UseIDMiddleware(host_app, useid=useid), Description.of(useid))
    assert (await Browser(app).send("GET", "/anything")).status == 200
    assert (await Browser(app).get("/no/such/call")).status == 200
    await useid.stop()
