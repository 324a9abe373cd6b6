"""Logins over real TLS that end without success: the desktop that waits is told at once, and nobody is logged in."""

from collections.abc import Iterator
from dataclasses import replace
from secrets import token_bytes
from typing import Any, Final

import pytest

from tests.ausweisapp.serving import Country
from tests.emulation.client.website import Person
from tests.emulation.over_tls.conftest import OpenBrowser, Site
from tests.emulation.over_tls.people import Browser, GoneError, Holder, Tamper, Vanishing, ending_of, told_by
from tests.emulation.over_tls.site import AGE, DIRECT, IMPATIENT
from useid_middleware.eac.keys import PasswordId
from useid_middleware.eid.core.results import MAJOR_ERROR, MAJOR_OK, ClientMinor
from useid_middleware.emulation import paos
from useid_middleware.emulation.card.faults import fault_named
from useid_middleware.emulation.card.issuing import issue_card
from useid_middleware.emulation.card.library import personality_named
from useid_middleware.emulation.client.driver import Card
from useid_middleware.emulation.client.flow import Outcome

ERIKA: Final = personality_named("erika")


@pytest.fixture(autouse=True)
def silent(site: Site) -> Iterator[None]:
    """Nothing of what a card has told is in the log."""
    yield
    assert "MUSTERMANN" not in site.log()


def faulty(fault: str, country: Country) -> Card:
    """Erika's card with a fault."""
    return issue_card(ERIKA, pki=country.pki, today=country.today, random=token_bytes, fault=fault_named(fault))


def ended(desktop: Browser, holder: Holder) -> tuple[Outcome, dict[str, Any]]:
    """A login that ends without success, and what the desktop is told before any browser moves."""
    started = desktop.start()
    with desktop.watching(started) as statuses:
        assert next(statuses)["status"] == "waiting"
        outcome = holder.use(started["tcTokenUrl"])
        assert not outcome.is_ok
        *before, last = statuses
    assert {status["status"] for status in before} == {"scanned"}
    assert desktop.told()["user"] == ""
    return outcome, last


def with_data(**changes: object) -> Tamper:
    """Changes members of a DIDAuthenticateResponse's data."""

    def tamper(envelope: paos.Envelope) -> paos.Envelope:
        body = envelope.body
        assert isinstance(body, paos.DIDAuthenticateResponse)
        assert body.data is not None
        return replace(envelope, body=replace(body, data=replace(body.data, **changes)))  # type: ignore[arg-type]

    return tamper


def test_who_cancels_need_not_wait_at_the_desktop(open_browser: OpenBrowser, country: Country) -> None:
    desktop, person = open_browser(DIRECT), Person(agrees=False)
    outcome, last = ended(desktop, Holder(country, person))
    assert (last["status"], last["reason"]) == ("rejected", "cancelled")
    assert outcome.minor == ClientMinor.CANCELLATION_BY_USER
    assert told_by(outcome) == {"ResultMajor": "error", "ResultMinor": "cancellationByUser"}
    assert ending_of(desktop.open(outcome.address)) == "cancelled"
    assert person.asked == []


def test_who_gives_up_after_a_wrong_pin_has_cancelled(open_browser: OpenBrowser, country: Country) -> None:
    person = Person(passwords={PasswordId.PIN: ["654321"]})
    outcome, last = ended(open_browser(DIRECT), Holder(country, person))
    assert (last["status"], last["reason"]) == ("rejected", "cancelled")
    assert outcome.minor == ClientMinor.CANCELLATION_BY_USER
    assert [each.tries_left for each in person.asked] == [3, 2]


@pytest.mark.parametrize("personality", ["expired", "revoked"])
def test_a_card_that_is_not_valid_is_refused(open_browser: OpenBrowser, country: Country, personality: str) -> None:
    desktop = open_browser(DIRECT)
    outcome, last = ended(desktop, Holder(country, card=country.card(personality_named(personality))))
    assert (last["status"], last["reason"]) == ("rejected", "document")
    assert (outcome.code, outcome.minor) == ("server_refused", ClientMinor.INTERNAL_ERROR)
    assert told_by(outcome) == {"ResultMajor": "error", "ResultMinor": "serverError"}
    assert ending_of(desktop.open(outcome.address)) == "document"


@pytest.mark.parametrize(
    ("personality", "code"),
    [("pin-blocked", "pin_blocked"), ("deactivated", "pin_deactivated"), ("transport-pin", "pin_transport")],
)
def test_a_pin_that_cannot_be_used_is_not_asked_for(
    open_browser: OpenBrowser, country: Country, personality: str, code: str
) -> None:
    outcome, last = ended(open_browser(DIRECT), Holder(country, card=country.card(personality_named(personality))))
    assert (last["status"], last["reason"]) == ("rejected", "failed")
    assert (outcome.code, outcome.minor) == (code, ClientMinor.PREREQUISITES_NOT_SATISFIED)
    assert told_by(outcome) == {"ResultMajor": "error", "ResultMinor": "clientError"}


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("card-lost-in-pace", "card_lost"),
        ("card-lost", "card_lost"),
        ("card-lost-while-reading", "card_lost"),
        ("wrong-mac", "secure_messaging_failed"),
        ("wrong-token", "pace_failed"),
        ("out-of-order", "secure_messaging_failed"),
        ("no-card-access", "status_word"),
    ],
)
def test_a_card_that_the_client_cannot_go_on_with_ends_it(
    open_browser: OpenBrowser, country: Country, fault: str, code: str
) -> None:
    outcome, last = ended(open_browser(DIRECT), Holder(country, card=faulty(fault, country)))
    assert (last["status"], last["reason"]) == ("rejected", "failed")
    assert (outcome.code, outcome.minor) == (code, ClientMinor.INTERNAL_ERROR)
    assert told_by(outcome) == {"ResultMajor": "error", "ResultMinor": "clientError"}


def test_a_copied_card_does_not_prove_that_it_is_genuine(open_browser: OpenBrowser, country: Country) -> None:
    outcome, last = ended(open_browser(DIRECT), Holder(country, card=faulty("cloned", country)))
    assert (last["status"], last["reason"]) == ("rejected", "document")
    assert (outcome.code, outcome.minor) == ("server_refused", ClientMinor.SECURITY_CONDITION_NOT_SATISFIED)


TAMPERED: Final[dict[str, tuple[str, Tamper, ClientMinor, str]]] = {
    "a wrong token": (
        "EAC2Output token",
        with_data(token=bytes(8)),
        ClientMinor.SECURITY_CONDITION_NOT_SATISFIED,
        "document",
    ),
    "another nonce": (
        "EAC2Output token",
        with_data(nonce=bytes(8)),
        ClientMinor.SECURITY_CONDITION_NOT_SATISFIED,
        "document",
    ),
    "an EF.CardSecurity of nobody": (
        "EAC2Output token",
        with_data(card_security=b"\x30\x00"),
        ClientMinor.SECURITY_CONDITION_NOT_SATISFIED,
        "document",
    ),
    "answers of no card": (
        "TransmitResponse",
        lambda envelope: replace(envelope, body=paos.TransmitResponse(paos.Result(MAJOR_OK), (b"\x90\x00",))),
        ClientMinor.INTERNAL_ERROR,
        "document",
    ),
    "the message of another step": (
        "EAC1Output",
        lambda envelope: replace(envelope, body=paos.TransmitResponse(paos.Result(MAJOR_OK), (b"\x90\x00",))),
        ClientMinor.INTERNAL_ERROR,
        "failed",
    ),
    "the client's own error": (
        "EAC1Output",
        lambda envelope: replace(
            envelope, body=paos.DIDAuthenticateResponse(paos.Result(MAJOR_ERROR, ClientMinor.TIMEOUT), None)
        ),
        ClientMinor.INTERNAL_ERROR,
        "failed",
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_client_that_does_not_do_as_it_should_ends_its_own_login(
    open_browser: OpenBrowser, country: Country, name: str
) -> None:
    message, tamper, minor, reason = TAMPERED[name]
    outcome, last = ended(open_browser(DIRECT), Holder(country, tampers={message: tamper}))
    assert (last["status"], last["reason"]) == ("rejected", reason)
    assert (outcome.code, outcome.minor) == ("server_refused", minor)


def test_a_client_with_the_name_of_no_session_changes_nothing_for_anybody(
    open_browser: OpenBrowser, country: Country
) -> None:
    desktop = open_browser(DIRECT)
    started = desktop.start()
    guess = paos.StartPAOS("0" * 64, "00")
    stranger = Holder(country, tampers={"StartPAOS": lambda envelope: replace(envelope, body=guess)})
    outcome = stranger.use(started["tcTokenUrl"])
    assert (outcome.code, outcome.minor) == ("server_refused", ClientMinor.INTERNAL_ERROR)
    assert desktop.status(started)["status"] == "scanned"


def test_whoever_is_too_young_is_told_so_and_not_logged_in(open_browser: OpenBrowser, country: Country) -> None:
    born = f"{country.today.year - AGE + 1}0101"
    holder = ERIKA.holder.model_copy(update={"date_of_birth": born})
    desktop = open_browser(DIRECT)
    started = desktop.start()
    with desktop.watching(started) as statuses:
        outcome = Holder(country, card=country.card(ERIKA.model_copy(update={"holder": holder}))).use(
            started["tcTokenUrl"]
        )
        # For the client all is well: the card has answered, with no.
        assert outcome.is_ok
        page = desktop.open(outcome.address)
        *_, last = statuses
    assert (page.status_code, ending_of(page)) == (403, "requirements_not_met")
    assert (last["status"], last["reason"]) == ("rejected", "requirements")
    assert desktop.told()["user"] == ""


def test_a_desktop_whose_client_disappears_is_told_at_the_deadline(open_browser: OpenBrowser, country: Country) -> None:
    desktop = open_browser(IMPATIENT)
    started = desktop.start()
    holder = Holder(country, Vanishing())
    with desktop.watching(started) as statuses:
        with pytest.raises(GoneError):
            holder.use(started["tcTokenUrl"])
        *_, scanned, expired = statuses
    # Nothing but the first message had come from the client.
    assert holder.met == [("StartPAOS", "EAC1Input")]
    assert (scanned["status"], expired["status"]) == ("scanned", "expired")
    assert expired["expiresAt"] == scanned["expiresAt"]
    assert desktop.status(started)["status"] == "expired"
    assert desktop.told()["user"] == ""
