"""The emulated phone's interface: what its page may answer, in which order, and how often."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.emulation.card.world import pki
from tests.emulation.client.phone_page import CAN, PIN, WRONG, Page, client_of, page_of
from tests.emulation.client.scripted import LINK, PASSKEY, REFRESH, ScriptedClient, phone
from useid_middleware.emulation.client.app import EIDPhone
from useid_middleware.emulation.client.dialogue import Dialogue
from useid_middleware.emulation.client.dialogues import MAX_KEPT, MAX_RUNNING
from useid_middleware.emulation.client.flow import Outcome


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async for page in page_of(phone()):
        yield page


# ── bad input ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"link": LINK}, "malformed_request"),
        ({"link": LINK, "card": "erika", "cardFile": "title = 1"}, "malformed_request"),
        ({"link": LINK, "card": "max"}, "card_unknown"),
        ({"link": LINK, "card": "erika", "fault": "dog"}, "fault_unknown"),
        ({"link": LINK, "cardFile": "title = ["}, "card_malformed"),
        ({"link": LINK, "cardFile": "title = 'x'"}, "card_malformed"),
        ({"link": "https://example.org/", "card": "erika"}, "link_malformed"),
        ({"link": "", "card": "erika"}, "link_malformed"),
        ({"card": "erika"}, "malformed_request"),
        ([], "malformed_request"),
    ],
)
async def test_a_dialogue_is_not_begun_from_bad_input(page: Page, body: Any, code: str) -> None:
    response = await page.http.post("/dialogues", json=body)
    assert (response.status_code, response.json()["code"]) == (400, code)
    assert client_of(page).links == []


async def test_a_card_file_that_is_too_large_is_refused(page: Page) -> None:
    response = await page.http.post("/dialogues", json={"link": LINK, "cardFile": "#" * 20_000})
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


async def test_a_revoked_card_in_a_file_is_refused_because_no_list_names_it(page: Page) -> None:
    toml = "title='R'\nholder={given_names='A',family_names='B',date_of_birth=1990-01-01}\ndocument={revoked=true}"
    response = await page.http.post("/dialogues", json={"link": LINK, "cardFile": toml})
    assert response.json()["code"] == "card_malformed"


@pytest.mark.parametrize("method", ["get", "post"])
async def test_an_unknown_dialogue_is_not_found(page: Page, method: str) -> None:
    request = {"json": {"cancel": True}} if method == "post" else {}
    response = await page.http.request(method.upper(), "/dialogues/AAAAAAAAAAAAAAAAAAAAAA", **request)  # type: ignore[arg-type]
    assert (response.status_code, response.json()["code"]) == (404, "dialogue_unknown")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"granted": [], "cancel": True},
        {"granted": ["READ_DG4"]},
        {"granted": ["WRITE_DG17"]},
        {"granted": "READ_DG6"},
        {"granted": [1]},
        {"password": 123456},
        {"makePasskey": True, "cancel": True},
        {"makePasskey": 1},
    ],
)
async def test_an_answer_that_is_none_changes_nothing(page: Page, body: dict[str, Any]) -> None:
    dialogue_id = await page.begin()
    before = await page.reaches(dialogue_id, "confirm")
    response = await page.say(dialogue_id, **body)
    assert (response.status_code, response.json()["code"]) == (400, "malformed_request")
    assert (await page.http.get(f"/dialogues/{dialogue_id}")).json() == before


@pytest.mark.parametrize("password", ["", "12345", "1234567", "12345a", "١٢٣٤٥٦", "12 456"])
async def test_what_is_no_pin_does_not_reach_the_card(page: Page, password: str) -> None:
    dialogue_id = await page.begin()
    await page.agree(dialogue_id)
    assert (await page.say(dialogue_id, password=password)).json()["code"] == "malformed_request"
    assert await page.status() == "ready"


async def test_an_answer_to_a_question_that_was_not_asked_is_refused(page: Page) -> None:
    dialogue_id = await page.begin()
    await page.reaches(dialogue_id, "confirm")
    assert (await page.say(dialogue_id, password=PIN)).json()["code"] == "wrong_state"
    assert (await page.say(dialogue_id, makePasskey=True)).json()["code"] == "wrong_state"
    await page.agree(dialogue_id)
    response = await page.say(dialogue_id, granted=[])
    assert (response.status_code, response.json()["code"]) == (409, "wrong_state")


@pytest.mark.parametrize("after", ["x", "-1", "1" * 10, "²"])
async def test_a_version_that_is_none_is_refused(page: Page, after: str) -> None:
    dialogue_id = await page.begin()
    response = await page.http.get(f"/dialogues/{dialogue_id}", params={"after": after})
    assert response.json()["code"] == "malformed_request"


# ── dialogues ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_dialogue_tells_who_asks_for_what_and_ends_at_the_refresh_address(page: Page) -> None:
    dialogue_id = await page.begin()
    request = (await page.reaches(dialogue_id, "confirm"))["request"]
    assert (request["subjectName"], request["validTo"], request["age"]) == ("TEST Harbour", "2026-03-30", 18)
    assert request["required"] == ["RESTRICTED_IDENTIFICATION", "READ_DG4", "READ_DG5", "AGE_VERIFICATION"]
    question = await page.agree(dialogue_id, "READ_DG17")
    assert question == {"kind": "pin", "digits": 6, "triesLeft": None, "isRepeated": False}
    view = await page.enter(dialogue_id, PIN, then="done")
    assert view["outcome"] == {
        "address": REFRESH,
        "isSealed": False,
        "isBound": False,
        "code": "",
        "minor": "",
        "message": "",
    }
    assert "passkey" not in view
    assert view["commands"] > 5
    assert client_of(page).granted == [frozenset({"READ_DG17"})]
    assert client_of(page).links == [LINK]


async def test_a_wrong_pin_is_asked_for_again_and_the_card_remembers_it(page: Page) -> None:
    first = await page.begin()
    await page.agree(first)
    question = (await page.enter(first, WRONG, then="password"))["question"]
    assert (question["triesLeft"], question["isRepeated"]) == (2, True)
    await page.say(first, cancel=True)
    await page.reaches_end(first)
    assert await page.status() == "two_tries"
    second = await page.begin()
    await page.agree(second)
    await page.enter(second, PIN, then="done")
    assert await page.status() == "ready"


async def test_after_two_wrong_pins_the_can_makes_way_for_the_last_try(page: Page) -> None:
    dialogue_id = await page.begin()
    await page.agree(dialogue_id)
    await page.enter(dialogue_id, WRONG, then="password")
    assert (await page.enter(dialogue_id, WRONG, then="password"))["question"]["kind"] == "can"
    assert await page.status() == "suspended"
    assert (await page.enter(dialogue_id, "000000", then="password"))["question"]["isRepeated"] is True
    question = (await page.enter(dialogue_id, CAN, then="password"))["question"]
    assert (question["kind"], question["triesLeft"]) == ("pin", 1)
    await page.enter(dialogue_id, PIN, then="done")
    assert await page.status() == "ready"


async def test_a_third_wrong_pin_blocks_the_card_until_it_is_renewed(page: Page) -> None:
    dialogue_id = await page.begin()
    await page.agree(dialogue_id)
    for password in (WRONG, WRONG, CAN):
        await page.enter(dialogue_id, password, then="password")
    await page.enter(dialogue_id, WRONG, then="failed")
    assert await page.status() == "blocked"
    assert (await page.http.post("/cards/erika/renew")).status_code == 204
    assert await page.status() == "ready"


@pytest.mark.parametrize(
    ("card", "status"),
    [
        ("erika", "ready"),
        ("pin-suspended", "suspended"),
        ("pin-blocked", "blocked"),
        ("deactivated", "deactivated"),
        ("transport-pin", "transport"),
    ],
)
async def test_each_card_comes_with_the_state_it_was_handed_over_in(page: Page, card: str, status: str) -> None:
    assert await page.status(card) == status
    # And it is the same once the card is made.
    dialogue_id = await page.begin(card=card)
    await page.say(dialogue_id, cancel=True)
    await page.reaches_end(dialogue_id)
    assert await page.status(card) == status


async def test_a_card_that_a_user_wrote_is_read_with_its_own_pin(page: Page) -> None:
    toml = "title='Mine'\nsecrets={pin='654321'}\nholder={given_names='A',family_names='B',date_of_birth=1990-01-01}"
    dialogue_id = await page.begin(card="", cardFile=toml)
    await page.agree(dialogue_id)
    await page.enter(dialogue_id, "654321", then="done")


@pytest.mark.parametrize("asked", ["confirm", "password"])
async def test_a_cancelled_dialogue_ends_where_the_website_goes_on(page: Page, asked: str) -> None:
    dialogue_id = await page.begin()
    await page.reaches(dialogue_id, "confirm")
    if asked == "password":
        await page.agree(dialogue_id)
    assert (await page.say(dialogue_id, cancel=True)).status_code == 200
    outcome = (await page.reaches_end(dialogue_id))["outcome"]
    assert (outcome["code"], outcome["address"]) == ("cancelled", f"{REFRESH}?ResultMajor=error")
    # Late answers and a second cancellation change nothing.
    assert (await page.say(dialogue_id, password=PIN)).json()["code"] == "wrong_state"
    assert (await page.say(dialogue_id, cancel=True)).json()["outcome"] == outcome


async def test_a_bound_login_asks_for_a_passkey_and_ends_at_the_computer() -> None:
    async for page in page_of(phone(ScriptedClient(passkey=PASSKEY))):
        dialogue_id = await page.begin()
        await page.agree(dialogue_id)
        view = await page.enter(dialogue_id, PIN, then="passkey")
        assert view["passkey"] == {"site": "widget.example", "account": "Harbour"}
        assert (await page.say(dialogue_id, makePasskey=True)).status_code == 200
        outcome = (await page.reaches_end(dialogue_id))["outcome"]
        assert (outcome["isSealed"], outcome["isBound"], outcome["address"], outcome["code"]) == (True, True, "", "")


async def test_who_wants_no_passkey_has_cancelled() -> None:
    async for page in page_of(phone(ScriptedClient(passkey=PASSKEY))):
        dialogue_id = await page.begin()
        await page.agree(dialogue_id)
        await page.enter(dialogue_id, PIN, then="passkey")
        await page.say(dialogue_id, cancel=True)
        assert (await page.reaches_end(dialogue_id))["outcome"]["code"] == "cancelled"


async def test_a_card_that_is_taken_away_while_it_is_read_is_lost(page: Page) -> None:
    dialogue_id = await page.begin(fault="slow")
    await page.agree(dialogue_id)
    await page.say(dialogue_id, password=PIN)
    await page.say(dialogue_id, cancel=True)
    assert (await page.reaches_end(dialogue_id))["outcome"]["code"] == "card_lost"
    # The card with a fault was another one.
    assert await page.status() == "ready"


async def test_a_fault_that_was_chosen_is_met(page: Page) -> None:
    dialogue_id = await page.begin(fault="card-lost-in-pace")
    await page.agree(dialogue_id)
    view = await page.enter(dialogue_id, PIN, then="failed")
    assert view["outcome"]["code"] == "card_lost"


async def test_a_card_is_in_one_dialogue_at_a_time(page: Page) -> None:
    first = await page.begin()
    for path, body in (("/dialogues", {"link": LINK, "card": "erika"}), ("/cards/erika/renew", None)):
        response = await page.http.post(path, json=body)
        assert (response.status_code, response.json()["code"]) == (409, "card_busy")
    await page.begin(card="residence-permit")
    await page.say(first, cancel=True)
    await page.reaches_end(first)
    await page.begin()


async def test_an_unknown_card_cannot_be_renewed(page: Page) -> None:
    assert (await page.http.post("/cards/max/renew")).json()["code"] == "card_unknown"


async def test_who_waits_for_news_in_vain_is_told_what_is() -> None:
    async for impatient in page_of(phone(patience=0.0)):
        dialogue_id = await impatient.begin()
        await impatient.reaches(dialogue_id, "confirm")
        view = (await impatient.http.get(f"/dialogues/{dialogue_id}")).json()
        again = (await impatient.http.get(f"/dialogues/{dialogue_id}?after={view['version']}")).json()
        assert again == view


# ── bounds, and the end ───────────────────────────────────────────────────────────────────────────────────────────


async def test_only_so_many_dialogues_run_at_once_and_a_refused_one_keeps_no_card(page: Page) -> None:
    running = [await page.begin(fault="pin-second-try") for _ in range(MAX_RUNNING)]
    response = await page.http.post("/dialogues", json={"link": LINK, "card": "erika"})
    assert (response.status_code, response.json()["code"]) == (503, "dialogues_busy")
    await page.say(running[0], cancel=True)
    await page.reaches_end(running[0])
    await page.begin()


async def test_dialogues_that_are_over_are_forgotten_oldest_first(page: Page) -> None:
    ids = []
    for _ in range(MAX_KEPT + 1):
        ids.append(await page.begin(fault="transport-pin"))
        await page.say(ids[-1], cancel=True)
        await page.reaches_end(ids[-1])
    assert (await page.http.get(f"/dialogues/{ids[0]}")).status_code == 404
    assert (await page.http.get(f"/dialogues/{ids[-1]}")).status_code == 200


async def test_a_dialogue_that_nobody_answers_in_time_is_cancelled() -> None:
    app = phone()
    app.dialogues._lifetime = 0.0
    async for page in page_of(app):
        dialogue_id = await page.begin()
        assert (await page.reaches_end(dialogue_id))["outcome"]["code"] == "cancelled"


async def test_the_servers_end_is_the_dialogues_end(page: Page) -> None:
    confirming, entering = await page.begin(), await page.begin(card="residence-permit")
    await page.reaches(confirming, "confirm")
    await page.agree(entering)
    await page.phone.close()
    for dialogue_id in (confirming, entering):
        view = (await page.http.get(f"/dialogues/{dialogue_id}")).json()
        assert view["outcome"]["code"] == "cancelled"


async def test_a_mistake_in_the_client_is_an_outcome_without_details(caplog: pytest.LogCaptureFixture) -> None:
    def mistaken(link: str, dialogue: Dialogue) -> Outcome:
        raise KeyError("the secret of somebody")

    async for page in page_of(EIDPhone(pki(), client=mistaken)):
        with caplog.at_level(logging.CRITICAL, logger="useid_middleware"):
            outcome = (await page.reaches_end(await page.begin()))["outcome"]
        assert (outcome["code"], outcome["message"]) == ("internal_error", "KeyError")


async def test_no_password_is_logged_or_shown(page: Page, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        dialogue_id = await page.begin()
        await page.agree(dialogue_id)
        await page.enter(dialogue_id, "604182", then="password")
        view = await page.enter(dialogue_id, PIN, then="done")
    shown = caplog.text + repr(view) + repr(vars(page.phone.dialogues.find(dialogue_id)))
    assert "604182" not in shown
    assert PIN not in shown
