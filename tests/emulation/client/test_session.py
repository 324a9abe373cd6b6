"""The eID client's dialogue with the eID server: what is possible when, and what ends it (TR-03112-7)."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Final

import pytest

from tests.emulation.client.website import (
    LONGEST,
    PAOS,
    REFRESH,
    Website,
    log_in,
    refused,
    told,
    with_body,
)
from tests.emulation.server.world import PSEUDONYM
from useid_middleware.eid.core.results import MAJOR_ERROR, MAJOR_OK, ClientMinor
from useid_middleware.emulation import paos
from useid_middleware.emulation.client.actions import Fetched
from useid_middleware.emulation.client.session import TRANSITIONS, State, Step
from useid_middleware.emulation.paos import Envelope

STATES: Final = (State.STARTED, State.FRAMEWORK, State.LISTED, State.REQUESTED, State.ANNOUNCED, State.PROVED)


@cache
def samples() -> dict[Step, paos.Body]:
    """A message of the server for each step."""
    found: dict[Step, paos.Body] = {}
    steps = (Step.INITIALIZE, Step.LIST, Step.REQUEST, Step.ANNOUNCE, Step.COMPLETE, Step.TRANSMIT)

    def keep(step: Step) -> Callable[[Envelope], Envelope]:
        def tamper(envelope: Envelope) -> Envelope:
            found[step] = envelope.body
            return envelope

        return tamper

    website = Website(variant=LONGEST, request=PSEUDONYM)
    website.tampers = {number: keep(step) for number, step in enumerate(steps)}
    assert log_in(website).is_ok
    website = Website(request=PSEUDONYM, tampers={1: keep(Step.PROVE)})
    assert log_in(website).is_ok
    return found


@pytest.mark.parametrize(("state", "step"), list(product(STATES, Step)))
def test_each_message_of_the_server_is_possible_where_the_table_says_so(state: State, step: Step) -> None:
    number = STATES.index(state)
    website = Website(variant=LONGEST, request=PSEUDONYM, tampers={number: with_body(samples()[step])})
    ended = log_in(website)
    is_refused = "not possible in state" in ended.message
    assert is_refused is ((state, step) not in TRANSITIONS)
    if is_refused:
        refused(website, ended, "paos_unexpected", ClientMinor.INTERNAL_ERROR)
        answer = website.messages[number + 1].body
        assert isinstance(
            answer,
            paos.DIDAuthenticateResponse
            | paos.TransmitResponse
            | paos.InitializeFrameworkResponse
            | paos.DIDListResponse,
        )
        assert answer.result.major == MAJOR_ERROR


@pytest.mark.parametrize("relates_to", ["", "urn:uuid:another"])
@pytest.mark.parametrize("number", [0, 2])
def test_a_message_that_does_not_relate_to_ours_is_refused(number: int, relates_to: str) -> None:
    website = Website(tampers={number: lambda envelope: replace(envelope, relates_to=relates_to)})
    ended = log_in(website)
    assert (ended.code, ended.minor) == ("paos_invalid", ClientMinor.INCORRECT_PARAMETER)
    assert len(website.messages) == number + 1


@pytest.mark.parametrize("number", [0, 2])
def test_a_message_for_another_card_is_refused(number: int) -> None:
    def other_slot(envelope: Envelope) -> Envelope:
        assert isinstance(envelope.body, paos.DIDAuthenticate | paos.Transmit)
        return replace(envelope, body=replace(envelope.body, slot_handle="FF"))

    website = Website(tampers={number: other_slot})
    ended = log_in(website)
    refused(website, ended, "paos_invalid", ClientMinor.INCORRECT_PARAMETER)


def test_a_message_for_servers_is_refused() -> None:
    website = Website(tampers={0: with_body(paos.StartPAOS("psk-1", "00"))})
    ended = log_in(website)
    assert (ended.code, ended.minor) == ("paos_unexpected", ClientMinor.INTERNAL_ERROR)


@pytest.mark.parametrize("point", [b"", b"\x04" + bytes(64), b"\x04" + b"\x01" * 64, b"\x02" + bytes(32)])
def test_a_key_of_the_server_that_is_not_on_the_curve_is_refused(point: bytes) -> None:
    def tamper(envelope: Envelope) -> Envelope:
        body = envelope.body
        assert isinstance(body, paos.DIDAuthenticate)
        assert isinstance(body.data, paos.EAC2Input)
        return replace(envelope, body=replace(body, data=replace(body.data, ephemeral_key=point)))

    website = Website(tampers={1: tamper})
    ended = log_in(website)
    refused(website, ended, "point_invalid", ClientMinor.INTERNAL_ERROR)


def test_a_wrong_signature_is_refused_by_the_card() -> None:
    def tamper(envelope: Envelope) -> Envelope:
        body = envelope.body
        assert isinstance(body, paos.DIDAuthenticate)
        assert isinstance(body.data, paos.EAC2Input)
        return replace(envelope, body=replace(body, data=replace(body.data, signature=b"\x01" * 64)))

    website = Website(tampers={1: tamper})
    ended = log_in(website)
    refused(website, ended, "status_word", ClientMinor.INTERNAL_ERROR)


def test_a_server_that_ends_with_an_error_is_believed() -> None:
    result = paos.Result(MAJOR_ERROR, ClientMinor.TIMEOUT, "too late")
    website = Website(tampers={1: with_body(paos.StartPAOSResponse(result))})
    ended = log_in(website)
    assert (ended.code, ended.minor, ended.message) == ("server_refused", ClientMinor.TIMEOUT, "too late")
    assert told(ended) == {"ResultMajor": "error", "ResultMinor": "serverError", "ResultMessage": "too late"}


def test_a_server_that_ends_early_with_success_is_believed_too() -> None:
    website = Website(tampers={0: with_body(paos.StartPAOSResponse(paos.Result(MAJOR_OK)))})
    assert log_in(website).address == f"{REFRESH}&ResultMajor=ok"


def test_a_server_that_cannot_be_reached_is_no_trusted_channel() -> None:
    ended = log_in(Website(silent_from=0))
    assert (ended.code, ended.minor) == ("channel_failed", ClientMinor.TRUSTED_CHANNEL_FAILED)
    assert told(ended)["ResultMinor"] == "trustedChannelEstablishmentFailed"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_server_that_goes_away_is_a_communication_error(number: int) -> None:
    ended = log_in(Website(silent_from=number))
    assert (ended.code, ended.minor) == ("channel_failed", ClientMinor.COMMUNICATION_ERROR)
    assert told(ended)["ResultMinor"] == "communicationError"


@pytest.mark.parametrize(
    ("page", "code", "minor"),
    [
        (Fetched(PAOS, 500, paos.CONTENT_TYPE), "channel_failed", ClientMinor.TRUSTED_CHANNEL_FAILED),
        (Fetched(PAOS, 302, location="/x"), "channel_failed", ClientMinor.TRUSTED_CHANNEL_FAILED),
        (Fetched(PAOS, 200, "text/html", body=b"<html/>"), "channel_failed", ClientMinor.TRUSTED_CHANNEL_FAILED),
        (Fetched(PAOS, 200, paos.CONTENT_TYPE, body=b"<a/>"), "paos_invalid", ClientMinor.INTERNAL_ERROR),
    ],
)
def test_what_is_no_message_of_a_server_is_refused(page: Fetched, code: str, minor: str) -> None:
    ended = log_in(Website(pages={PAOS: page}))
    assert (ended.code, ended.minor) == (code, minor)
    assert ended.address.startswith(REFRESH)
