"""Who may ask a person for data: all that an eID client refuses before it shows anything (TR-03124-1 §2.5)."""

from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from hashlib import sha256

import pytest

from tests.emulation.card.world import NOW, TODAY, stream
from tests.emulation.client.website import (
    PAOS,
    TC_TOKEN_URL,
    TLS,
    TOKEN,
    Person,
    Website,
    certificates,
    circumstances,
    log_in,
    redirect,
    refused,
    told,
    with_eac1,
)
from tests.emulation.server.world import ORIGIN, PSEUDONYM, pki
from useid_middleware.eac.chat import CHAT, AuthenticationRight, Role, TerminalType
from useid_middleware.eid.core.results import ClientMinor
from useid_middleware.emulation.client.actions import Connect, Fetch, Post, Put
from useid_middleware.emulation.pki import PKI, TerminalRequest, issue_terminal, new_pki
from useid_middleware.emulation.server.material import TERMINAL, ServerMaterial, material_of
from useid_middleware.emulation.server.session import State as ServerState


def terminal(**request: object) -> ServerMaterial:
    """The server with another terminal certificate."""
    wanted = replace(TerminalRequest(subject_url=ORIGIN, tls_hashes=(sha256(TLS).digest(),)), **request)  # type: ignore[arg-type]
    return material_of(issue_terminal(pki(), TERMINAL, request=wanted, now=NOW, random=stream("terminal")))


@pytest.mark.parametrize(
    "subject_url",
    ["https://other.example", "https://auth.example:8443", "http://auth.example", "https://auth.example.evil", "x"],
)
def test_the_certificate_must_be_for_the_origin_of_the_tctokenurl(subject_url: str) -> None:
    website = Website(material=terminal(subject_url=subject_url))
    ended = log_in(website)
    assert ended.code in ("request_refused", "address_refused")
    assert website.session.state is ServerState.FAILED


@pytest.mark.parametrize("subject_url", ["https://AUTH.example", "https://auth.example:443/any/path?q"])
def test_an_origin_has_several_spellings(subject_url: str) -> None:
    assert log_in(Website(request=PSEUDONYM, material=terminal(subject_url=subject_url))).is_ok


def test_a_description_that_is_not_the_certificates_is_refused() -> None:
    other = terminal(subject_name="Somebody Else").description
    website = Website(tampers={0: with_eac1(certificate_description=other)})
    person = Person()
    ended = log_in(website, person=person)
    refused(website, ended, "certificate_description_invalid", ClientMinor.INCORRECT_PARAMETER)
    assert person.shown is None


@pytest.mark.parametrize("hashes", [(), (sha256(b"another").digest(),)])
def test_a_tls_certificate_that_is_not_described_is_refused(hashes: tuple[bytes, ...]) -> None:
    website = Website(material=terminal(tls_hashes=hashes))
    person = Person()
    ended = log_in(website, person=person)
    refused(website, ended, "channel_failed", ClientMinor.TRUSTED_CHANNEL_FAILED)
    assert told(ended)["ResultMinor"] == "trustedChannelEstablishmentFailed"
    assert person.shown is None


def test_each_server_on_the_way_must_be_described() -> None:
    start = "https://start.example/"
    website = Website(pages={start: redirect(start, TC_TOKEN_URL)}, tls={start: b"another"})
    website.material = terminal(subject_url=start)
    website.token = replace(TOKEN, refresh_address="https://start.example/refresh")
    ended = log_in(website, url=start)
    refused(website, ended, "channel_failed", ClientMinor.TRUSTED_CHANNEL_FAILED)
    both = (sha256(TLS).digest(), sha256(b"another").digest())
    website = Website(request=PSEUDONYM, pages=website.pages, tls=website.tls, token=website.token)
    website.material = terminal(subject_url=start, tls_hashes=both)
    assert log_in(website, url=start).is_ok


def test_the_eid_server_must_be_described() -> None:
    website = Website(tls={PAOS: b"another"})
    ended = log_in(website)
    refused(website, ended, "channel_failed", ClientMinor.TRUSTED_CHANNEL_FAILED)


class _Changing(Website):
    """Shows another TLS certificate from the third message on."""

    def answer(self, action: Fetch | Post | Put | Connect) -> object:
        if len(self.messages) == 2:
            self.tls = {PAOS: b"another"}
        return super().answer(action)


def test_an_eid_server_that_becomes_another_one_in_the_middle_is_refused() -> None:
    ended = log_in(_Changing())
    assert (ended.code, ended.minor) == ("channel_failed", ClientMinor.TRUSTED_CHANNEL_FAILED)


@pytest.mark.parametrize(
    ("today", "code"),
    [
        (TODAY + timedelta(days=31), "certificate_expired"),
        (TODAY - timedelta(days=1), "certificate_not_yet_valid"),
    ],
)
def test_the_terminals_certificate_must_be_valid_today(today: date, code: str) -> None:
    website = Website()
    ended = log_in(website, known=circumstances(today=today))
    refused(website, ended, code, ClientMinor.SECURITY_CONDITION_NOT_SATISFIED)


@cache
def stranger() -> PKI:
    """Another country, whose CVCA has another name."""
    made = new_pki(now=NOW, random=stream("stranger"))
    return made


def test_a_cvca_that_the_client_does_not_know_is_refused() -> None:
    website = Website()
    ended = log_in(website, known=circumstances(trusted=()))
    refused(website, ended, "certificate_issuer_unknown", ClientMinor.SECURITY_CONDITION_NOT_SATISFIED)


def test_a_cvca_that_only_has_the_name_of_a_known_one_is_refused() -> None:
    website = Website()
    ended = log_in(website, known=circumstances(trusted=stranger().trust_points))
    refused(website, ended, "certificate_signature_invalid", ClientMinor.SECURITY_CONDITION_NOT_SATISFIED)


@pytest.mark.parametrize(
    "names", [("dv",), ("terminal",), ("terminal", "terminal", "dv"), ("terminal", "dv", "dv")], ids="-".join
)
def test_there_must_be_one_terminal_and_one_dv(names: tuple[str, ...]) -> None:
    found = certificates()
    website = Website(tampers={0: with_eac1(certificates=tuple(found[name] for name in names))})
    ended = log_in(website)
    refused(website, ended, "request_refused", ClientMinor.INCORRECT_PARAMETER)


def test_link_certificates_may_come_along() -> None:
    known = pki()
    root = known.authorities[0].root.encode()
    found = certificates()
    website = Website(request=PSEUDONYM, tampers={0: with_eac1(certificates=(found["terminal"], root, found["dv"]))})
    assert log_in(website).is_ok


@pytest.mark.parametrize("broken", [b"", b"\x7f\x21\x00", b"no certificate"])
def test_what_is_no_certificate_is_refused(broken: bytes) -> None:
    website = Website(tampers={0: with_eac1(certificates=(*certificates().values(), broken))})
    ended = log_in(website)
    refused(website, ended, "certificate_invalid", ClientMinor.SECURITY_CONDITION_NOT_SATISFIED)


@pytest.mark.parametrize("member", ["required_chat", "optional_chat"])
def test_rights_that_the_certificate_does_not_have_are_refused(member: str) -> None:
    beyond = CHAT(TerminalType.AUTHENTICATION_TERMINAL, Role.TERMINAL, AuthenticationRight.WRITE_DG17).encode()
    website = Website(tampers={0: with_eac1(**{member: beyond})})
    ended = log_in(website)
    refused(website, ended, "chat_invalid", ClientMinor.INCORRECT_PARAMETER)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"required_chat": b"no template"}, "chat_invalid"),
        ({"optional_chat": b""}, "chat_invalid"),
        ({"auxiliary_data": b"no data"}, "auxiliary_data_invalid"),
        ({"certificate_description": b""}, "certificate_description_invalid"),
    ],
)
def test_a_request_that_does_not_parse_is_refused(change: dict[str, bytes], code: str) -> None:
    website = Website(tampers={0: with_eac1(**change)})
    ended = log_in(website)
    refused(website, ended, code, ClientMinor.INCORRECT_PARAMETER)


def test_without_any_template_everything_is_optional() -> None:
    website, person = Website(tampers={0: with_eac1(required_chat=None, optional_chat=None)}), Person(agrees=False)
    log_in(website, person=person)
    assert person.shown is not None
    assert person.shown.required == ()
    assert "READ_DG4" in person.shown.optional


def test_an_eservice_that_wants_no_cards_gets_none() -> None:
    website = Website(tampers={0: with_eac1(accepted_eid_types=("SECertified",))})
    ended = log_in(website)
    refused(website, ended, "card_refused", ClientMinor.PREREQUISITES_NOT_SATISFIED)
