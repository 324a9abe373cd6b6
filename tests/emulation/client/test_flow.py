"""A whole authentication of the eID client (TR-03124-1): its tcToken, and where the browser goes on."""

from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Final

import pytest

from tests.emulation.card.world import NOW, TODAY, stream
from tests.emulation.client.website import (
    DOWN,
    LONGEST,
    PAOS,
    REFRESH,
    TC_TOKEN_URL,
    TOKEN,
    Person,
    Website,
    circumstances,
    drive,
    last_result,
    log_in,
    redirect,
    refused,
    told,
)
from tests.emulation.server.world import ORIGIN, PSEUDONYM, card_of, pki
from useid_middleware._codec import b64url
from useid_middleware.eid.core.attributes import Operation, Outcome
from useid_middleware.eid.core.link import build_widget_link
from useid_middleware.eid.core.results import ClientMinor
from useid_middleware.eid.core.sealing import open_refresh_url
from useid_middleware.eid.core.tctoken import TCToken, build_tctoken, client_url
from useid_middleware.emulation import paos
from useid_middleware.emulation.client.actions import Connect, Fetch, Fetched, Post, Put, Unreachable
from useid_middleware.emulation.client.flow import Outcome as Ended
from useid_middleware.emulation.client.flow import open_link
from useid_middleware.emulation.pki import TerminalRequest, issue_terminal
from useid_middleware.emulation.server.material import TERMINAL, material_of
from useid_middleware.emulation.server.session import Variant
from useid_middleware.errors import RequestError

SECRET: Final = bytes(range(32))
WIDGET: Final = "AAAAAAAAAAAAAAAAAAAAAA"


# ── a whole authentication ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("variant", [Variant(number) for number in range(8)], ids=str)
def test_a_login_works_in_every_way_that_a_server_may_choose(variant: Variant) -> None:
    website = Website(variant=variant)
    ended = log_in(website)
    assert ended == Ended(f"{REFRESH}&ResultMajor=ok")
    assert website.result is not None
    assert website.result.personal_data.given_names == "ERIKA"
    assert website.result.fulfils_age_verification is True


def test_the_client_says_who_it_is_and_which_version_it_speaks() -> None:
    website = Website(request=PSEUDONYM)
    log_in(website)
    assert website.messages[0].body == paos.StartPAOS("psk-1", "00", "", "tests/1.2.3", ((1, 1, 5),))


def test_each_message_has_a_name_of_its_own_and_relates_to_the_servers_last() -> None:
    website = Website(variant=LONGEST, request=PSEUDONYM)
    log_in(website)
    names = [each.message_id for each in website.messages]
    assert len(set(names)) == len(names) == 7
    assert all(name.startswith("urn:uuid:") for name in names)
    assert website.messages[0].relates_to == ""
    assert all(each.relates_to for each in website.messages[1:])


def test_the_person_is_shown_who_asks_and_for_what() -> None:
    person = Person()
    log_in(Website(), person=person)
    shown = person.shown
    assert shown is not None
    assert shown.subject_name == "TEST eID server of useid-middleware"
    assert shown.subject_url == ORIGIN
    assert shown.issuer_name.startswith("TEST")
    assert "proves nothing" in shown.terms_of_usage
    assert shown.valid_from == TODAY
    assert shown.valid_to > TODAY
    assert "READ_DG4" in shown.required
    assert set(shown.optional) == {"READ_DG6", "READ_DG7", "READ_DG19"}
    assert (shown.age, shown.born_by) == (18, date(2008, 3, 1))
    assert shown.community_id == "0276"
    assert shown.transaction_info == "TEST transaction"


def test_what_nobody_asks_is_not_shown() -> None:
    person = Person()
    log_in(Website(request=PSEUDONYM), person=person)
    assert person.shown is not None
    assert (person.shown.age, person.shown.born_by, person.shown.community_id) == (None, None, "")
    assert (person.shown.required, person.shown.optional) == (("RESTRICTED_IDENTIFICATION",), ())


def test_a_right_that_the_person_takes_away_is_not_used() -> None:
    website = Website()
    assert log_in(website, person=Person(granted={"READ_DG6"})).is_ok
    assert website.result is not None
    outcomes = website.result.operations_allowed_by_user
    assert outcomes[Operation.ARTISTIC_NAME] is Outcome.ALLOWED
    assert outcomes[Operation.ACADEMIC_TITLE] is Outcome.PROHIBITED
    assert website.result.personal_data.academic_title is None


@pytest.mark.parametrize("granted", ["READ_DG1", "READ_DG20", "WRITE_DG17"])
def test_a_right_that_was_not_asked_for_cannot_be_granted(granted: str) -> None:
    website = Website(request=PSEUDONYM)
    ended = log_in(website, person=Person(granted={granted}))
    refused(website, ended, "chat_invalid", ClientMinor.INCORRECT_PARAMETER)


def test_nothing_is_asked_of_the_card_before_the_person_has_agreed() -> None:
    website, card = Website(), card_of()
    ended = log_in(website, person=Person(agrees=False), card=card)
    assert card.last is None
    refused(website, ended, "cancelled", ClientMinor.CANCELLATION_BY_USER)
    assert told(ended)["ResultMinor"] == "cancellationByUser"
    assert ended.address.startswith(f"{REFRESH}&ResultMajor=error&")
    assert last_result(website).minor == ClientMinor.CANCELLATION_BY_USER


def test_a_server_that_does_not_hear_the_refusal_changes_nothing() -> None:
    ended = log_in(Website(silent_from=1), person=Person(agrees=False))
    assert (ended.code, ended.minor) == ("cancelled", ClientMinor.CANCELLATION_BY_USER)
    assert ended.address.startswith(f"{REFRESH}&ResultMajor=error&ResultMinor=cancellationByUser")


# ── the tcToken ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_tctoken_is_fetched_over_redirects() -> None:
    website = Website(request=PSEUDONYM)
    start = f"{ORIGIN}/start"
    hops = [f"{ORIGIN}/{number}" for number in range(4)]
    website.pages = {start: redirect(start, "/0", 303)}
    website.pages |= {hop: redirect(hop, following, 307) for hop, following in pairwise(hops)}
    website.pages[hops[-1]] = redirect(hops[-1], TC_TOKEN_URL)
    assert log_in(website, url=start).is_ok
    assert website.visited[:6] == [start, *hops, TC_TOKEN_URL]


def test_one_redirect_more_is_too_many() -> None:
    website = Website()
    website.pages = {f"{ORIGIN}/{number}": redirect(f"{ORIGIN}/{number}", f"/{number + 1}") for number in range(9)}
    ended = log_in(website, url=f"{ORIGIN}/0")
    assert (ended.address, ended.code, ended.minor) == ("", "channel_failed", ClientMinor.TRUSTED_CHANNEL_FAILED)
    assert len(website.visited) == 6


@pytest.mark.parametrize(
    "page",
    [
        Fetched(TC_TOKEN_URL, 404),
        Fetched(TC_TOKEN_URL, 500),
        Fetched(TC_TOKEN_URL, 301, location="/elsewhere"),
        Fetched(TC_TOKEN_URL, 200, body=b"<html>"),
        Fetched(TC_TOKEN_URL, 200, body=b"<TCTokenType/>"),
        Fetched(TC_TOKEN_URL, 200, body=build_tctoken(replace(TOKEN, psk=bytes(32)))),
        Fetched(TC_TOKEN_URL, 200, body=build_tctoken(replace(TOKEN, path_security="urn:ietf:rfc:4279"))),
        DOWN,
    ],
)
def test_without_a_tctoken_nobody_can_be_told(page: Fetched | Unreachable) -> None:
    website = Website(pages={TC_TOKEN_URL: page})
    ended = log_in(website)
    assert (ended.address, ended.code, ended.minor) == ("", "channel_failed", ClientMinor.TRUSTED_CHANNEL_FAILED)
    assert website.visited == [TC_TOKEN_URL]


@pytest.mark.parametrize(
    "address",
    [
        "http://auth.example/eid/tctoken/1",
        "http://localhost/eid/tctoken/1",
        "ftp://auth.example/",
        "https:///eid",
        "https://user@auth.example/",
        "https://auth.example/#fragment",
        "https://auth.example:x/",
        "https://auth.example:0/",
        "https://[/",
        "https://auth.example/\nx",
        "https://auth.example\\@evil.example/",
        "https://\N{CYRILLIC SMALL LETTER A}uth.example/",
        "/eid/tctoken/1",
        "",
        "https://auth.example/" + "a" * 5000,
    ],
)
def test_no_address_but_a_plain_https_url_is_visited(address: str) -> None:
    website = Website()
    ended = log_in(website, url=address)
    assert (ended.address, ended.code) == ("", "address_refused")
    assert website.visited == []


@pytest.mark.parametrize(
    "address",
    [
        "http://auth.example/eid/tctoken/1",
        "//user@auth.example/eid/tctoken/1",
        "/eid/tctoken/1#fragment",
        "/\nx",
        "\\evil.example/",
        "https://[/",
        "",
    ],
)
def test_no_redirect_leads_elsewhere(address: str) -> None:
    start = f"{ORIGIN}/start"
    website = Website(pages={start: redirect(start, address)})
    ended = log_in(website, url=start)
    assert (ended.address, ended.minor) == ("", ClientMinor.COMMUNICATION_ERROR)
    assert website.visited == [start]


@pytest.mark.parametrize("member", ["server_address", "refresh_address", "communication_error_address"])
def test_every_address_of_the_tctoken_must_be_https(member: str) -> None:
    website = Website(token=replace(TOKEN, **{member: "http://auth.example/x"}))  # type: ignore[arg-type]
    ended = log_in(website)
    assert (ended.address, ended.code) == ("", "address_refused")
    assert website.visited == [TC_TOKEN_URL]


def test_a_tctoken_that_tells_of_an_error_leads_to_its_address() -> None:
    website = Website(token=TCToken(communication_error_address=f"{ORIGIN}/error"))
    ended = log_in(website)
    assert (ended.code, ended.minor) == ("session_refused", ClientMinor.COMMUNICATION_ERROR)
    assert ended.address.startswith(f"{ORIGIN}/error?ResultMajor=error&ResultMinor=communicationError&")


def test_http_is_for_loopback_hosts_and_only_if_it_is_allowed() -> None:
    local = "http://127.0.0.1:8000"
    request = TerminalRequest(subject_url=local)
    made = issue_terminal(pki(), TERMINAL, request=request, now=NOW, random=stream("local"))
    token = replace(TOKEN, server_address=f"{local}/paos", refresh_address=f"{local}/refresh")
    website = _Local(request=PSEUDONYM, material=material_of(made), token=token)
    ended = log_in(website, url=f"{local}/tctoken", known=circumstances(allow_loopback_http=True))
    assert ended.address == f"{local}/refresh?ResultMajor=ok"
    refusal = log_in(_Local(material=material_of(made), token=token), url=f"{local}/tctoken")
    assert refusal.code == "address_refused"


class _Local(Website):
    """The same website on this machine, without TLS."""

    def answer(self, action: Fetch | Post | Put | Connect) -> object:
        url = {"http://127.0.0.1:8000/tctoken": TC_TOKEN_URL, "http://127.0.0.1:8000/paos": PAOS}.get(action.url)
        answer = super().answer(replace(action, url=url or action.url))
        return replace(answer, tls_certificate=None) if isinstance(answer, Fetched) else None


# ── where the browser goes on ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("refresh", "expected"),
    [
        (f"{ORIGIN}/r", f"{ORIGIN}/r?ResultMajor=ok"),
        (f"{ORIGIN}/r?", f"{ORIGIN}/r?ResultMajor=ok"),
        (f"{ORIGIN}/r?a", f"{ORIGIN}/r?a&ResultMajor=ok"),
        (f"{ORIGIN}/r?a=1&", f"{ORIGIN}/r?a=1&ResultMajor=ok"),
        (f"{ORIGIN}/r?u=x?y", f"{ORIGIN}/r?u=x?y&ResultMajor=ok"),
    ],
)
def test_the_result_is_added_to_what_the_address_has(refresh: str, expected: str) -> None:
    website = Website(request=PSEUDONYM, token=replace(TOKEN, refresh_address=refresh))
    assert log_in(website).address == expected


def test_a_refresh_address_elsewhere_is_followed_to_the_origin_of_the_eservice() -> None:
    there = "https://eid.example/done"
    website = Website(request=PSEUDONYM, token=replace(TOKEN, refresh_address=there))
    website.pages = {
        there: redirect(there, "/next"),
        "https://eid.example/next": redirect("https://eid.example/next", REFRESH),
    }
    assert log_in(website).address == f"{REFRESH}&ResultMajor=ok"


@pytest.mark.parametrize(
    "page",
    [
        Fetched("https://eid.example/done", 200),
        Fetched("https://eid.example/done", 302),
        redirect("https://eid.example/done", "http://auth.example/refresh"),
        redirect("https://eid.example/done", "https://eid.example/done"),
        redirect("https://eid.example/done", "https://[/"),
        DOWN,
    ],
)
def test_who_does_not_lead_back_to_the_eservice_is_told_nothing(page: Fetched | Unreachable) -> None:
    there = "https://eid.example/done"
    website = Website(request=PSEUDONYM, token=replace(TOKEN, refresh_address=there), pages={there: page})
    ended = log_in(website)
    assert website.result is not None
    assert not ended.is_ok
    assert ended.minor == ClientMinor.COMMUNICATION_ERROR
    assert ended.address.startswith(f"{ORIGIN}/eid/error?ResultMajor=error&ResultMinor=communicationError&")


@pytest.mark.parametrize("where", ["https://eid.example/", REFRESH])
def test_the_servers_of_the_refresh_address_must_be_described(where: str) -> None:
    there = "https://eid.example/done"
    website = Website(request=PSEUDONYM, token=replace(TOKEN, refresh_address=there), tls={where: b"another"})
    website.pages = {there: redirect(there, REFRESH)}
    ended = log_in(website)
    assert (ended.code, ended.minor) == ("channel_failed", ClientMinor.COMMUNICATION_ERROR)
    assert ended.address.startswith(f"{ORIGIN}/eid/error?")


def test_without_an_address_for_errors_the_browser_stays() -> None:
    there = "https://eid.example/done"
    token = replace(TOKEN, refresh_address=there, communication_error_address="")
    ended = log_in(Website(request=PSEUDONYM, token=token, pages={there: DOWN}))
    assert ended.address == ""


def test_before_the_description_is_known_the_tctokenurl_says_which_origin_it_is() -> None:
    website = Website(silent_from=0, token=replace(TOKEN, refresh_address="https://eid.example/done"))
    there = "https://eid.example/done"
    website.pages = {there: redirect(there, REFRESH)}
    assert log_in(website).address.startswith(REFRESH)


def test_a_failure_after_the_end_of_the_dialogue_is_no_success() -> None:
    website = Website(request=PSEUDONYM, tls={REFRESH: b"another"})
    ended = log_in(website)
    assert website.result is not None
    assert "ResultMajor=ok" not in ended.address


# ── the integrated mode ───────────────────────────────────────────────────────────────────────────────────────────────


def widget_link(server: str = f"{ORIGIN}/auth") -> str:
    """A link with the widget's secret, as the QR code has it."""
    link = build_widget_link(tc_token_url=TC_TOKEN_URL, session_id=WIDGET, server=server)
    return f"{link}#widgetSessionSecret={b64url(SECRET)}"


class _Backend(Website):
    """The website, with the widget's backend."""

    sealed: bytes = b""
    status = 204

    def answer(self, action: Fetch | Post | Put | Connect) -> object:
        if isinstance(action, Post) and action.url == f"{ORIGIN}/auth/eid/session/{WIDGET}/sealed":
            self.sealed = action.body
            assert action.headers == {"content-type": "application/json"}
            return Fetched(action.url, self.status)
        return super().answer(action)


def test_a_plain_link_is_a_tctokenurl() -> None:
    for link in (client_url(TC_TOKEN_URL), TC_TOKEN_URL):
        assert drive(open_link(link, circumstances()), Website(request=PSEUDONYM)).is_ok


def test_the_widget_gets_the_refresh_address_sealed() -> None:
    website = _Backend(request=PSEUDONYM)
    ended = drive(open_link(widget_link(), circumstances()), website)
    assert ended == Ended("", is_sealed=True)
    sealed = website.sealed.decode().removeprefix('{"sealedRefreshUrl":"').removesuffix('"}')
    assert REFRESH not in sealed
    assert open_refresh_url(sealed, secret=SECRET, session_id=WIDGET) == f"{REFRESH}&ResultMajor=ok"


def test_a_failure_is_not_sealed() -> None:
    website = _Backend(request=PSEUDONYM)
    ended = drive(open_link(widget_link(), circumstances()), website, person=Person(agrees=False))
    assert ended.code == "cancelled"
    assert website.sealed == b""


def test_a_backend_that_does_not_take_it_is_a_failure() -> None:
    website = _Backend(request=PSEUDONYM)
    website.status = 409
    ended = drive(open_link(widget_link(), circumstances()), website)
    assert (ended.address, ended.code, ended.minor) == ("", "widget_refused", ClientMinor.COMMUNICATION_ERROR)


def test_a_backend_without_tls_gets_nothing() -> None:
    website = _Backend(request=PSEUDONYM)
    ended = drive(open_link(widget_link("http://auth.example/auth"), circumstances()), website)
    assert (ended.address, ended.code) == ("", "address_refused")
    assert website.sealed == b""


@pytest.mark.parametrize(
    "link", ["", "eid://127.0.0.1:24727/eID-Client", "javascript:alert(1)", "eid://x/?tcTokenURL=a"]
)
def test_another_link_is_refused(link: str) -> None:
    with pytest.raises(RequestError) as caught:
        drive(open_link(link, circumstances()), Website())
    assert caught.value.code == "link_malformed"
