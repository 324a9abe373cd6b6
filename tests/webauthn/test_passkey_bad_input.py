"""Input for passkeys that nobody sends by accident: each is refused with an error of ours, and none is a 500."""

import json
from collections.abc import AsyncIterator, Iterator
from copy import deepcopy
from typing import Any

import pytest

from tests.actors import Browser
from tests.webauthn.world import CALLS, ORIGIN, Authenticator, World, done, opened, respond
from useid_middleware._codec import b64url

PURPOSES = tuple(CALLS)
UNKNOWN = b64url(bytes(16))
JSON = {"content-type": "application/json", "origin": ORIGIN}
#: Stands for a member that is left out.
LEFT_OUT = object()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as world:
        yield world


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("chunks", [1, 7])
async def test_a_huge_body_is_refused_whole_or_in_parts(world: World, purpose: str, chunks: int) -> None:
    browser, _ = await world.member()
    await world.begin(browser, "login")
    path = f"/auth{CALLS[purpose][1]}"
    body = json.dumps({"ceremonyId": UNKNOWN, "credential": {}, "more": "A" * 256 * 1024}).encode()
    answer = await browser.send("POST", path, body, JSON, chunks=chunks)
    assert (answer.status, answer.code) == (413, "body_too_large")
    fits = json.dumps({"ceremonyId": UNKNOWN, "credential": {}, "more": ""}).encode()
    fits = fits.replace(b'""', b'"' + b"A" * (256 * 1024 - len(fits)) + b'"')
    assert len(fits) == 256 * 1024
    answer = await browser.send("POST", path, fits, JSON, chunks=chunks)
    assert (answer.status, answer.code) == (400, "webauthn_response_malformed")


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"{'ceremonyId': 'x'}",
        b"[" * 5000 + b"]" * 5000,
        b'{"credential":' * 2500 + b"1" + b"}" * 2500,
        b'{"ceremonyId": "x", "credential": {"a":' + b"[" * 3000 + b"]" * 3000 + b"}}",
        b"\x00",
        "{}".encode("utf-16"),
        b'{"ceremonyId": "\xff"}',
        b'{"ceremonyId": "\\ud800", "credential": {}}',
        b'{"ceremonyId": "x"}',
        b'{"credential": {}}',
    ],
)
async def test_a_body_of_another_form_is_refused(world: World, purpose: str, body: bytes) -> None:
    browser, _ = await world.member()
    await world.begin(browser, "login")
    answer = await browser.send("POST", f"/auth{CALLS[purpose][1]}", body, JSON)
    assert (answer.status, answer.code) == (400, "malformed_request")


@pytest.mark.parametrize("username", [7, True, ["alice"], {"a": "alice"}, None, "nul\0inside", "x" * 1001, "é" * 501])
async def test_a_name_that_no_account_could_have_is_refused_before_anybody_looks_for_it(
    world: World, username: object
) -> None:
    browser = world.browser()
    answer = await browser.post("/passkeys/login/options", {"username": username})
    assert (answer.status, answer.code) == (400, "malformed_request")
    assert "useid-browser" not in browser.cookies


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"null", b'"alice"', b'{"username": "\\ud800"}', b'{"username": "\xff"}']
)
async def test_a_beginning_of_another_form_is_refused(world: World, body: bytes) -> None:
    answer = await world.browser().send("POST", "/auth/passkeys/login/options", body, JSON)
    assert (answer.status, answer.code) == (400, "malformed_request")
    huge = await world.browser().send("POST", "/auth/passkeys/login/options", b" " * 20_000, JSON)
    assert (huge.status, huge.code) == (413, "body_too_large")


JUNK: dict[str, Any] = {
    "left out": LEFT_OUT,
    "null": None,
    "a number": 7,
    "a boolean": True,
    "empty text": "",
    "other text": "é ✓ \ud83d\ude00",
    "short text": "AA",
    "padded text": "AAAA==",
    "long text": "A" * 100_000,
    "a list": ["AAAA"],
    "a map": {"a": {"b": 1}},
}
#: What a browser may well send so, or leave out.
FINE: dict[tuple[str, ...], set[str]] = {
    ("register", "credential", "authenticatorAttachment"): {"left out", "null", *(n for n in JUNK if "text" in n)},
    ("register", "credential", "clientExtensionResults"): {"left out", "a map"},
    ("register", "credential", "response", "transports"): {"left out", "null"},
    ("register", "label"): {"left out", *(name for name in JUNK if "text" in name and name != "long text")},
    ("login", "credential", "clientExtensionResults"): {"left out", "a map"},
    ("step-up", "credential", "clientExtensionResults"): {"left out", "a map"},
    ("step-up", "credential", "response", "userHandle"): {"left out", "null"},
    ("login", "returnUrl"): {"left out", "empty text"},
    ("step-up", "returnUrl"): {"left out", "empty text"},
}


def members_of(value: dict[str, Any], *above: str) -> Iterator[tuple[str, ...]]:
    """The way to each member, outer ones first."""
    for name, member in value.items():
        yield (*above, name)
        if isinstance(member, dict):
            yield from members_of(member, *above, name)


async def whole_body(world: World, browser: Browser, authenticator: Authenticator, purpose: str) -> dict[str, Any]:
    """The body of a call that would end well."""
    begun = await world.begin(browser, purpose)
    body: dict[str, Any] = {"ceremonyId": begun.id, "credential": respond(authenticator, purpose, begun)}
    return body | ({"label": "Key"} if purpose == "register" else {"returnUrl": "/"})


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("junk", JUNK)
async def test_junk_in_any_members_place_is_refused_with_an_error_of_ours(
    world: World, purpose: str, junk: str
) -> None:
    browser, authenticator = await world.member()
    template = await whole_body(world, browser, authenticator, purpose)
    seen = 0
    for way in members_of(template):
        if "credProps" in way:
            continue  # Extensions have a matrix of their own.
        body = deepcopy(await whole_body(world, browser, authenticator, purpose))
        inner = body
        for name in way[:-1]:
            inner = inner[name]
        if JUNK[junk] is LEFT_OUT:
            del inner[way[-1]]
        else:
            inner[way[-1]] = JUNK[junk]
        answer = await browser.post(CALLS[purpose][1], body)
        if junk in FINE.get((purpose, *way), ()):
            assert answer.status == done(purpose), (way, answer.body)
            if purpose == "register":
                await browser.delete(f"/passkeys/{answer.json()['id']}")
        else:
            assert 400 <= answer.status < 500, (way, answer.body)
            assert set(answer.json()) >= {"code", "message"}
            assert len(answer.body) < 500
        seen += 1
    assert seen >= 11
