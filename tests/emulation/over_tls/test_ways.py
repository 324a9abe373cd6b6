"""Our eID client logs in to our eID server over real TLS: every way through PAOS, and every way of the browser."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from tests.ausweisapp.serving import Country
from tests.emulation.client.website import Person
from tests.emulation.over_tls.conftest import OpenBrowser, Site
from tests.emulation.over_tls.people import Browser, Holder, code_on
from tests.emulation.over_tls.site import DIRECT, OPTIONAL, VARIANTS
from useid_middleware._codec import b64url
from useid_middleware.eac.keys import PasswordId
from useid_middleware.eid.core.sealing import open_refresh_url
from useid_middleware.emulation.card.chip import Card
from useid_middleware.emulation.card.library import personality_named

ERIKA: Final = personality_named("erika")
SECRET: Final = bytes(range(32))
CROWD: Final = 20

#: What the client sends and what it is answered, row by row of the table.
_CHIP = ("EAC1Output", "EAC2Input signature")
_GENUINE = ("EAC2Output token", "Transmit")
_END = ("TransmitResponse", "StartPAOSResponse")
_ANNOUNCED = (("EAC1Output", "EAC2Input challenge"), ("EAC2Output challenge", "EACAdditionalInput"))
_FRAMEWORK = ("StartPAOS", "InitializeFramework")
WAYS: Final = {
    DIRECT: [("StartPAOS", "EAC1Input"), _CHIP, _GENUINE, _END],
    "framework": [_FRAMEWORK, ("InitializeFrameworkResponse", "EAC1Input"), _CHIP, _GENUINE, _END],
    "list": [
        _FRAMEWORK,
        ("InitializeFrameworkResponse", "DIDList"),
        ("DIDListResponse", "EAC1Input"),
        _CHIP,
        _GENUINE,
        _END,
    ],
    "additional": [("StartPAOS", "EAC1Input"), *_ANNOUNCED, _GENUINE, _END],
    "full": [
        _FRAMEWORK,
        ("InitializeFrameworkResponse", "DIDList"),
        ("DIDListResponse", "EAC1Input"),
        *_ANNOUNCED,
        _GENUINE,
        _END,
    ],
}


def log_in(browser: Browser, holder: Holder) -> dict[str, Any]:
    """A whole login on the device of the browser; what the app knows afterwards."""
    outcome = holder.use(browser.start()["tcTokenUrl"])
    assert (outcome.code, outcome.is_ok) == ("", True)
    assert browser.open(outcome.address).status_code == 200
    return browser.told()


def with_tries(tries: int, country: Country) -> Card:
    """Erika's card, after she has mistyped her PIN."""
    secrets = ERIKA.secrets.model_copy(update={"pin_tries": tries})
    return country.card(ERIKA.model_copy(update={"secrets": secrets}))


def test_every_variant_has_its_row() -> None:
    assert set(WAYS) == {DIRECT, *VARIANTS}


@pytest.mark.parametrize("path", WAYS)
def test_a_login_works_in_every_way_that_the_server_may_take(
    open_browser: OpenBrowser, country: Country, path: str
) -> None:
    holder = Holder(country)
    told = log_in(open_browser(path), holder)
    assert told["user"]
    assert told["attributes"] == {
        "GivenNames": "ERIKA",
        "PlaceOfBirth": {"freetext": "BERLIN"},
        "AcademicTitle": "DR.",
    }
    assert holder.met == WAYS[path]


def test_a_long_file_takes_a_second_trip_to_the_card(open_browser: OpenBrowser, country: Country) -> None:
    long = ERIKA.holder.model_copy(update={"given_names": "Ü" * 200})
    holder = Holder(country, card=country.card(ERIKA.model_copy(update={"holder": long})))
    told = log_in(open_browser(DIRECT), holder)
    assert told["attributes"]["GivenNames"] == "Ü" * 200
    assert holder.met[-2:] == [("TransmitResponse", "Transmit"), ("TransmitResponse", "StartPAOSResponse")]


def test_a_widget_opens_the_sealed_refresh_address(open_browser: OpenBrowser, country: Country) -> None:
    desktop = open_browser(DIRECT)
    started = desktop.start("integrated")
    with desktop.watching(started) as statuses:
        assert next(statuses)["status"] == "waiting"
        outcome = Holder(country).use(f"{started['qrData']}#widgetSessionSecret={b64url(SECRET)}")
        assert (outcome.is_sealed, outcome.address) == (True, "")
        approved = next(status for status in statuses if status["status"] != "scanned")
        assert (approved["status"], approved["codeRequired"]) == ("approved", False)
        address = open_refresh_url(approved["sealedRefreshUrl"], secret=SECRET, session_id=started["sessionId"])
        assert desktop.open(address).status_code == 200
        *_, last = statuses
    assert last["status"] == "claimed"
    assert desktop.told()["acr"] == "L3-emulated"


def test_a_desktop_claims_with_the_code_that_the_phone_shows(open_browser: OpenBrowser, country: Country) -> None:
    desktop, phone = open_browser(DIRECT), open_browser(DIRECT)
    started = desktop.start("standard")
    with desktop.watching(started) as statuses:
        assert next(statuses)["status"] == "waiting"
        assert phone.open(started["startUrl"]).status_code == 200
        outcome = Holder(country).use(phone.press_continue(started["startUrl"]))
        assert outcome.is_ok
        code = code_on(phone.open(outcome.address))
        approved = next(status for status in statuses if status["status"] != "scanned")
        assert (approved["status"], approved["codeRequired"]) == ("approved", True)
        wrong = f"{(int(code.replace(' ', '')) + 1) % 1_000_000:06d}"
        assert desktop.claim(started, wrong).status_code == 403
        assert desktop.claim(started, code.replace(" ", "")).status_code == 200
        *_, last = statuses
    assert last["status"] == "claimed"
    assert desktop.told()["acr"] == "L1-emulated"
    assert phone.told()["user"] == ""


def test_a_wrong_pin_costs_a_try_and_the_right_one_logs_in(open_browser: OpenBrowser, country: Country) -> None:
    person = Person(passwords={PasswordId.PIN: ["654321", "123456"]})
    assert log_in(open_browser(DIRECT), Holder(country, person))["user"]
    assert [(each.tries_left, each.is_repeated) for each in person.asked] == [(3, False), (2, True)]


def test_the_last_try_takes_the_can_first(open_browser: OpenBrowser, country: Country) -> None:
    person = Person()
    assert log_in(open_browser(DIRECT), Holder(country, person, with_tries(1, country)))["user"]
    assert [each.password for each in person.asked] == [PasswordId.CAN, PasswordId.PIN]


def test_what_the_person_takes_away_is_not_told_and_the_login_works(
    open_browser: OpenBrowser, country: Country
) -> None:
    person = Person(granted={"READ_DG9"})
    told = log_in(open_browser(DIRECT), Holder(country, person))
    assert set(told["attributes"]) == {"GivenNames", "PlaceOfBirth"}
    assert person.shown is not None
    assert len(person.shown.optional) == len(OPTIONAL)


def test_a_tctoken_may_be_fetched_over_redirects_of_the_same_server(
    open_browser: OpenBrowser, country: Country, site: Site
) -> None:
    browser = open_browser(DIRECT)
    holder = Holder(country)
    outcome = holder.use(site.moved(site.moved(browser.start()["tcTokenUrl"])))
    assert outcome.is_ok
    assert browser.open(outcome.address).status_code == 200
    assert browser.told()["user"]


def test_of_twenty_logins_at_once_none_fails(open_browser: OpenBrowser, country: Country) -> None:
    browsers = [open_browser(DIRECT) for _ in range(CROWD)]
    with ThreadPoolExecutor(CROWD) as crowd:
        told = list(crowd.map(lambda browser: log_in(browser, Holder(country)), browsers))
    # It is always the same card, and so the same account.
    assert len(told) == CROWD
    assert {each["user"] for each in told} == {told[0]["user"]}
    assert told[0]["user"]
