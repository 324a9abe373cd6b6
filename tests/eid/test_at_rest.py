"""What a login leaves behind: nothing about the person, and no secret, in stores, streams, logs and errors."""

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.eid.world import (
    CURIOUS,
    PERSONAL,
    World,
    code_in,
    open_world,
    opened,
    seal_for,
    token_url_in,
)
from useid_middleware.eid.core.results import Minor

SHOP = {
    "origins": ("https://shop.example", "https://www.shop.example"),
    "token_urls": ("https://shop.example/eid/tctoken", "https://shop.example/eid/more/"),
    "default_target": "https://shop.example/login",
}
BANK = {"origins": ("https://bank.example",), "token_urls": ("https://bank.example/tc?service=",)}
TENANTS = {"tenants": {"shop": SHOP, "bank": BANK}}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened(eid=CURIOUS, embed=TENANTS) as world:
        yield world


async def everything_once(world: World) -> list[str]:
    """One login in each mode, and one that fails; returns all secrets that were about."""
    desktop, phone = world.browser(), world.phone()
    standard = await world.start(desktop, returnUrl="/orders")
    opened_page = await world.begin_on_phone(phone, standard["startUrl"])
    refresh = await world.run_client(token_url_in(opened_page))
    code = code_in(await world.open(phone, refresh))
    assert (await world.claim(desktop, standard, code=code)).status == 200
    same = await world.start(phone, mode="same-device")
    same_refresh = await world.run_client(same["tcTokenUrl"])
    assert (await world.open(phone, same_refresh)).status == 303
    integrated = await world.start(desktop, mode="integrated")
    sealed_refresh = await world.run_client(integrated["tcTokenUrl"])
    assert (await world.seal(integrated, seal_for(integrated, sealed_refresh))).status == 204
    assert (await world.open(desktop, sealed_refresh)).status == 303
    failed = await world.start(desktop, mode="same-device")
    failed_refresh = await world.run_client(failed["tcTokenUrl"], minor=Minor.INVALID_DOCUMENT)
    assert (await world.open(desktop, failed_refresh)).status == 502
    world.server.down = "before"
    unreached = await world.start(desktop, mode="same-device")
    assert (await world.fetch_token(unreached["tcTokenUrl"])).is_error
    world.server.down = ""
    urls = [refresh, same_refresh, sealed_refresh, failed_refresh, same["tcTokenUrl"], standard["startUrl"]]
    urls += [token_url_in(opened_page), integrated["tcTokenUrl"], failed["tcTokenUrl"], unreached["tcTokenUrl"]]
    secrets = [url.partition("?")[0].rpartition("/")[2][22:] for url in urls]
    secrets += [browser.cookies[name] for browser in (desktop, phone) for name in ("useid-browser", "useid-session")]
    return secrets


def findings(haystack: bytes, needles: list[str]) -> list[str]:
    """Which of them can be read, in any encoding that we know of."""
    text = haystack.decode("latin-1")
    return [needle for needle in needles if needle.encode() in haystack or json.dumps(needle)[1:-1] in text]


@pytest.mark.parametrize("keep", [(), ("GivenNames", "FamilyNames", "PlaceOfResidence")])
async def test_nothing_about_the_person_is_ever_written_to_the_store_in_the_clear(keep: tuple[str, ...]) -> None:
    async with opened(eid={**CURIOUS, "keep": keep}) as world:
        secrets = await everything_once(world)
        written = b"\n".join(world.watched.written)
        assert b"eid:" in written
        assert findings(written, [*PERSONAL, *secrets]) == []


async def test_after_the_login_the_store_keeps_nothing_of_the_eid_servers_session(world: World) -> None:
    browser = world.browser()
    await world.log_in(browser)
    living = await world.watched.living()
    assert not any(key.startswith("eid-server:") for key in living)
    assert b"eid-session-1" not in b"".join(living.values())
    world.clock.advance(600)
    assert [key for key in await world.watched.living() if "eid" in key] == []


@pytest.mark.parametrize("keep", [(), ("GivenNames", "FamilyNames", "DateOfBirth")])
async def test_whoever_copies_the_stores_file_reads_nothing_about_the_person(
    tmp_path: Path, keep: tuple[str, ...]
) -> None:
    store, accounts = tmp_path / "store", tmp_path / "accounts"
    store.mkdir()
    accounts.mkdir()
    world = await open_world(
        eid={**CURIOUS, "keep": keep},
        store=f"sqlite:///{store}/useid.db",
        accounts=f"sqlite:///{accounts}/useid.db",
    )
    secrets = await everything_once(world)

    def copied(folder: Path) -> bytes:
        return b"".join(path.read_bytes() for path in folder.iterdir())

    for _ in range(2):
        assert b"eid" in copied(store)
        assert findings(copied(store) + copied(accounts), [*PERSONAL, *secrets]) == []
        # What finds the account is the pseudonym, and nothing else is kept of the card.
        assert b"erika's pseudonym for this site.".hex().encode() in copied(accounts)
        await world.useid.stop()


async def test_neither_the_person_nor_a_secret_is_logged_and_no_event_shows_them(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = await everything_once(world)
    assert "useID failed" in caplog.text
    shown = caplog.text + "\n".join(repr(event) for event in world.heard)
    assert findings(shown.encode(), [*PERSONAL, *secrets]) == []


async def test_what_waits_tells_the_desktop_nothing_about_the_person(world: World) -> None:
    desktop = world.browser()
    started = await world.start(desktop)
    async with desktop.stream(f"/eid/session/{started['sessionId']}/events") as stream:
        code = await world.to_code(world.phone(), started)
        claimed = await world.claim(desktop, started, code=code)
        await stream.end()
        streamed = stream.raw
    assert findings(streamed + claimed.body, list(PERSONAL)) == []
    assert code.replace(" ", "").encode() not in streamed


async def test_errors_about_a_login_quote_nothing_that_came_from_outside(world: World) -> None:
    mark = "Hotline-0900"
    browser = world.browser()
    for body in ({"mode": mark}, {"tenant": mark}, {"returnUrl": mark}, {"tenant": "shop", "tcTokenUrl": mark}):
        answer = await browser.post("/eid/start", body)
        assert 400 <= answer.status < 500
        assert mark not in answer.body.decode()
