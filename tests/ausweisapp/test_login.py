"""Germany's own eID client, unmodified and in its production mode, logs in to the example app with our card."""

from pathlib import Path

import pytest

from tests.ausweisapp.client import AusweisApp, Dialogue, Person, authenticate
from tests.ausweisapp.conftest import Present
from tests.ausweisapp.desktop import Desktop
from tests.ausweisapp.serving import AGE, Country, TLSServer
from tests.emulation.card.ausweisapp import SDK
from useid_middleware.emulation.card.chip import Card
from useid_middleware.emulation.card.library import personality_named

ERIKA = personality_named("erika")


def with_tries(tries: int, country: Country) -> Card:
    """Erika's card, after she has mistyped her PIN."""
    secrets = ERIKA.secrets.model_copy(update={"pin_tries": tries})
    return country.card(ERIKA.model_copy(update={"secrets": secrets}))


def of_age(years: int, country: Country) -> Card:
    """The card of somebody who is so many years old, and perhaps some days."""
    born = f"{country.today.year - years}0101"
    return country.card(ERIKA.model_copy(update={"holder": ERIKA.holder.model_copy(update={"date_of_birth": born})}))


def log_in(desktop: Desktop, client: AusweisApp, sdk: SDK, person: Person | None = None) -> Dialogue:
    """A login on this computer, from the login page's link to the protected page."""
    dialogue = desktop.use_client(client, sdk, desktop.start()["tcTokenUrl"], person or Person())
    assert (dialogue.major, dialogue.minor) == ("ok", "")
    arrives(desktop, dialogue)
    return dialogue


def arrives(desktop: Desktop, dialogue: Dialogue) -> None:
    """Checks that the browser comes to the protected page from where the client sent it."""
    page = desktop.follow(dialogue.url)
    assert (page.status_code, page.url.path) == (200, "/protected")


def test_ten_of_ten_logins_in_a_row_work(present: Present, country: Country, server: TLSServer) -> None:
    sdk = present(country.card(ERIKA))
    users = set()
    for _ in range(10):
        with Desktop(server) as desktop:
            dialogue = authenticate(sdk, desktop.start()["tcTokenUrl"], Person())
            assert (dialogue.major, dialogue.minor) == ("ok", "")
            assert dialogue.asked == ["ACCESS_RIGHTS", "ENTER_PIN"]
            arrives(desktop, dialogue)
            told = desktop.told()
        assert (told["acr"], told["amr"]) == ("L3-emulated", ["sc", "pin", "mfa"])
        assert told["attributes"] == {
            "GivenNames": "ERIKA",
            "PlaceOfBirth": {"freetext": "BERLIN"},
            "AcademicTitle": "DR.",
        }
        users.add(told["user"])
    # The pseudonym of a card at a site is always the same.
    assert len(users) == 1


def test_the_client_is_in_its_production_mode(present: Present, country: Country, desktop: Desktop) -> None:
    token_url = desktop.start()["tcTokenUrl"]
    dialogue = authenticate(present(country.card(ERIKA)), token_url, Person(), developer_mode=True)
    assert (dialogue.major, dialogue.asked) == ("error", [])
    assert dialogue.reason == "Using the developer mode is only allowed in a test environment."


def test_the_client_shows_who_asks_for_what(
    present: Present, country: Country, desktop: Desktop, ausweisapp: AusweisApp
) -> None:
    asked = log_in(desktop, ausweisapp, present(country.card(ERIKA))).first("ACCESS_RIGHTS")
    assert set(asked["chat"]["required"]) == {"Pseudonym", "GivenNames", "FamilyName", "AgeVerification"}
    assert set(asked["chat"]["optional"]) == {"PlaceOfBirth", "DoctoralDegree"}
    assert asked["aux"]["requiredAge"] == str(AGE)


def test_a_user_may_take_longer_than_the_server_keeps_connections(
    present: Present, country: Country, ausweisapp: AusweisApp, tmp_path: Path
) -> None:
    # A server that keeps none at all: the client comes back with the TLS session that it began with.
    folder = country.copy(tmp_path / "pki").folder
    server = TLSServer(tmp_path, country=folder, arguments=("--timeout-keep-alive", "0"))
    server.start()
    try:
        with Desktop(server) as desktop:
            log_in(desktop, ausweisapp, present(country.card(ERIKA)))
            assert desktop.told()["user"]
    finally:
        server.stop()


def test_a_wrong_pin_costs_a_try_and_the_right_one_logs_in(
    present: Present, country: Country, desktop: Desktop, ausweisapp: AusweisApp
) -> None:
    dialogue = log_in(desktop, ausweisapp, present(country.card(ERIKA)), Person(pins=("654321", "123456")))
    assert dialogue.asked == ["ACCESS_RIGHTS", "ENTER_PIN", "ENTER_PIN"]
    assert dialogue.tries == [3, 2]
    assert desktop.told()["user"]


def test_a_suspended_pin_works_behind_the_can(
    present: Present, country: Country, desktop: Desktop, ausweisapp: AusweisApp
) -> None:
    dialogue = log_in(desktop, ausweisapp, present(with_tries(1, country)))
    assert dialogue.asked == ["ACCESS_RIGHTS", "ENTER_CAN", "ENTER_PIN"]
    assert dialogue.tries == [1, 1]
    assert desktop.told()["user"]


def test_what_the_user_takes_away_is_not_told_and_the_login_works(
    present: Present, country: Country, desktop: Desktop, ausweisapp: AusweisApp
) -> None:
    sdk = present(country.card(ERIKA))
    dialogue = log_in(desktop, ausweisapp, sdk, Person(drops=frozenset({"DoctoralDegree"})))
    assert "DoctoralDegree" not in dialogue.first("ACCESS_RIGHTS")["chat"]["effective"]
    assert desktop.told()["attributes"] == {"GivenNames": "ERIKA", "PlaceOfBirth": {"freetext": "BERLIN"}}


def test_what_the_card_does_not_have_is_not_told_and_the_login_works(
    present: Present, country: Country, desktop: Desktop, ausweisapp: AusweisApp
) -> None:
    log_in(desktop, ausweisapp, present(country.card(personality_named("no-academic-title"))))
    assert set(desktop.told()["attributes"]) == {"GivenNames", "PlaceOfBirth"}


def test_somebody_who_is_old_enough_logs_in(
    present: Present, country: Country, desktop: Desktop, ausweisapp: AusweisApp
) -> None:
    log_in(desktop, ausweisapp, present(of_age(AGE, country)))
    assert desktop.told()["user"]


def test_somebody_who_is_too_young_is_told_so_and_not_logged_in(
    present: Present, country: Country, desktop: Desktop, ausweisapp: AusweisApp, server: TLSServer
) -> None:
    started = desktop.start()
    sdk = present(of_age(AGE - 1, country))
    dialogue = desktop.use_client(ausweisapp, sdk, started["tcTokenUrl"], Person())
    # For the client all is well: the card has answered, with no.
    assert (dialogue.major, dialogue.minor) == ("ok", "")
    page = desktop.follow(dialogue.url)
    assert page.status_code == 403
    assert "What you shared is not enough" in page.text
    assert desktop.told()["user"] == ""
    status = desktop.status(started["sessionId"])
    assert (status["status"], status["reason"]) == ("rejected", "requirements")
    assert b"MUSTERMANN" not in server.stored()


@pytest.mark.parametrize("personality", ["expired", "revoked"])
def test_a_card_that_is_not_valid_is_refused_and_the_desktop_is_told_at_once(
    present: Present, country: Country, desktop: Desktop, ausweisapp: AusweisApp, server: TLSServer, personality: str
) -> None:
    started = desktop.start()
    sdk = present(country.card(personality_named(personality)))
    dialogue = desktop.use_client(ausweisapp, sdk, started["tcTokenUrl"], Person())
    status = desktop.status(started["sessionId"])
    assert (status["status"], status["reason"]) == ("rejected", "document")
    assert dialogue.major == "error"
    assert "Your ID card was not accepted" in desktop.follow(dialogue.url).text
    assert desktop.told()["user"] == ""
    assert b"MUSTERMANN" not in server.stored()


def test_who_cancels_is_not_logged_in_and_the_desktop_is_told_at_once(
    present: Present, country: Country, desktop: Desktop, ausweisapp: AusweisApp
) -> None:
    started = desktop.start()
    sdk = present(country.card(ERIKA))
    with desktop.watching(started["sessionId"]) as statuses:
        assert next(statuses)["status"] == "waiting"
        dialogue = desktop.use_client(ausweisapp, sdk, started["tcTokenUrl"], Person(cancels_at="ENTER_PIN"))
        # The client has told our eID server; nobody has been at the refresh address.
        *before, last = statuses
    assert {status["status"] for status in before} == {"scanned"}
    assert (last["status"], last["reason"]) == ("rejected", "cancelled")
    assert (dialogue.major, dialogue.minor) == ("error", "cancellationByUser")
    assert "The login was cancelled" in desktop.follow(dialogue.url).text
    assert desktop.told()["user"] == ""
