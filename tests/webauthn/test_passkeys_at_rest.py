"""What passkeys leave behind: nothing that opens anything, in stores, files, logs, events and errors."""

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.webauthn.world import CALLS, Authenticator, Begun, World, open_world, opened
from useid_middleware._codec import b64url

PURPOSES = tuple(CALLS)
UNKNOWN = b64url(bytes(16))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as world:
        yield world


async def test_the_options_of_a_login_are_the_same_for_everybody(world: World) -> None:
    with_passkey, _ = await world.member("alice")
    without = await world.log_in("bob")
    told = []
    for browser in (world.browser(), with_passkey, without):
        for body in (None, {}, {"username": ""}, {"name": "alice"}):
            answer = await browser.post("/passkeys/login/options", body)
            assert answer.status == 200
            options = answer.json()["options"]
            assert len(options.pop("challenge")) == 43
            told.append((*sorted(answer.json()), json.dumps(options)))
    assert len(set(told)) == 1


async def everything_once(world: World) -> list[str]:
    """A registration, a login, a step-up, and one of each that stays open; returns all secrets that were about."""
    browser = await world.log_in("alice-liddell")
    authenticator = Authenticator()
    secrets = [browser.cookies["useid-session"]]
    await world.register(browser, authenticator, label="Looking-glass")
    await world.use("step-up", browser, authenticator)
    visitor = world.browser()
    await world.use("login", visitor, authenticator)
    for purpose in PURPOSES:
        await world.begin(browser, purpose)
    await world.finish(browser, "login", Begun(UNKNOWN, {}), {"id": "x"})
    await world.use("login", world.browser(), authenticator, rp_id="evil.example")
    secrets += [each.cookies[name] for each in (browser, visitor) for name in ("useid-session", "useid-browser")]
    return secrets


async def test_the_store_learns_of_ceremonies_what_checks_them_and_no_more(world: World) -> None:
    secrets = await everything_once(world)
    written = [value for value in world.watched.written if value]
    ceremonies = [value for value in written if b"challenge" in value]
    assert len(ceremonies) == 7
    for ceremony in ceremonies:
        # Names and addresses, labels and keys are no part of it.
        assert not any(text in ceremony for text in (b"alice", b"Looking-glass", b"192.0.2.1", b"public_key"))
    everything = b"\n".join(written)
    assert not any(secret.encode() in everything for secret in secrets)


async def test_nothing_of_a_ceremony_stays_when_it_is_over(world: World) -> None:
    await everything_once(world)
    assert len([key for key in await world.watched.living() if key.startswith("webauthn:")]) == 3
    world.clock.advance(300)
    assert [key for key in await world.watched.living() if key.startswith("webauthn:")] == []


async def test_whoever_copies_the_files_can_use_nothing_of_it(tmp_path: Path) -> None:
    store, accounts = tmp_path / "store", tmp_path / "accounts"
    store.mkdir()
    accounts.mkdir()
    world = await open_world(store=f"sqlite:///{store}/useid.db", accounts=f"sqlite:///{accounts}/useid.db")
    secrets = await everything_once(world)
    copied = b"".join(path.read_bytes() for folder in (store, accounts) for path in folder.iterdir())
    assert b"Looking-glass" in copied
    assert not any(secret.encode() in copied for secret in secrets)
    await world.useid.stop()


async def test_neither_logs_nor_events_nor_errors_show_a_secret(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = await everything_once(world)
    shown = caplog.text + "\n".join(repr(event) for event in world.heard)
    assert [secret for secret in secrets if secret in shown] == []


async def test_errors_quote_nothing_that_came_from_outside(world: World) -> None:
    mark = "Hotline-0900"
    browser, _ = await world.member()
    for purpose in PURPOSES:
        begun = await world.begin(browser, purpose)
        await world.begin(browser, "login")
        for body in (
            {"ceremonyId": mark, "credential": {"id": mark, "rawId": mark, "type": mark}},
            {"ceremonyId": begun.id, "credential": {mark: mark}, "returnUrl": mark},
            {"ceremonyId": begun.id, "credential": mark},
            {mark: mark},
        ):
            answer = await browser.post(CALLS[purpose][1], body)
            assert 400 <= answer.status < 500
            assert mark not in answer.body.decode()


async def test_a_store_that_is_away_is_said_to_be(world: World) -> None:
    browser = world.browser()
    await world.begin(browser, "login")
    world.watched.is_away = True
    answer = await browser.post("/passkeys/login/options")
    assert (answer.status, answer.code) == (503, "store_unavailable")
    assert answer.header("retry-after")
