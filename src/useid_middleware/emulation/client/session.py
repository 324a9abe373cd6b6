"""What the client does for the eID server between StartPAOS and its response (TR-03112-7 §3.6, TR-03124-1 §2.4).

::

    started --initialize--> framework
    started, framework --list--> listed
    started, framework, listed --request--> requested      EAC1InputType: the person, the password, PACE
    requested --announce--> announced                      EAC2InputType without a signature
    requested --prove--> proved                            EAC2InputType: Terminal and Chip Authentication
    announced --complete--> proved                         EACAdditionalInputType: the same
    proved --transmit--> proved

Nothing is asked of the card before the person has agreed, and nothing of the person before the request is checked.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from typing import Any, Final

from ...eac.certificate_chain import Verified
from ...eac.chat import AuthenticationRight
from ...eac.cvc import parse_certificate
from ...eid.core.results import MAJOR_ERROR, MAJOR_OK, ClientMinor
from ...eid.core.tctoken import TCToken
from ...errors import UseIDError
from .. import paos
from .actions import Flow, Transmit
from .card import OpenCard, Random, open_card, prove
from .channel import Channel
from .checks import CheckedRequest, check_request, check_server
from .failure import Failure, cancelled, failure_of

API_VERSIONS: Final = ((1, 1, 5),)
_SLOT: Final = "00"
_DID_NAME: Final = "PIN"
_OK: Final = paos.Result(MAJOR_OK)


class State(StrEnum):
    """How far the server has come."""

    STARTED = "started"
    FRAMEWORK = "framework"
    LISTED = "listed"
    REQUESTED = "requested"
    ANNOUNCED = "announced"
    PROVED = "proved"


class Step(StrEnum):
    """What the server asks for."""

    INITIALIZE = "initialize"
    LIST = "list"
    REQUEST = "request"
    ANNOUNCE = "announce"
    PROVE = "prove"
    COMPLETE = "complete"
    TRANSMIT = "transmit"


TRANSITIONS: Final[dict[tuple[State, Step], State]] = {
    (State.STARTED, Step.INITIALIZE): State.FRAMEWORK,
    (State.STARTED, Step.LIST): State.LISTED,
    (State.STARTED, Step.REQUEST): State.REQUESTED,
    (State.FRAMEWORK, Step.LIST): State.LISTED,
    (State.FRAMEWORK, Step.REQUEST): State.REQUESTED,
    (State.LISTED, Step.REQUEST): State.REQUESTED,
    (State.REQUESTED, Step.ANNOUNCE): State.ANNOUNCED,
    (State.REQUESTED, Step.PROVE): State.PROVED,
    (State.ANNOUNCED, Step.COMPLETE): State.PROVED,
    (State.PROVED, Step.TRANSMIT): State.PROVED,
}


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a client is and knows. ``trusted`` are CVCA certificates, ``random`` gives as many bytes as asked for."""

    trusted: Collection[Verified]
    today: date
    random: Random = field(repr=False)
    user_agent: str = ""
    #: For development: http where it cannot leave the machine.
    allow_loopback_http: bool = False


class Session:
    """One dialogue with the eID server. ``tls_certificates`` are those of the servers on the way to the tcToken."""

    def __init__(
        self, token: TCToken, circumstances: Circumstances, *, tc_token_url: str, tls_certificates: Collection[bytes]
    ) -> None:
        self._token = token
        self._known = circumstances
        self._tc_token_url = tc_token_url
        self._tls_certificates = tls_certificates
        self._channel = Channel(token.server_address, random=circumstances.random)
        self._state = State.STARTED
        self._card: OpenCard | None = None
        self._announced: paos.EAC2Input | None = None
        #: The request, once it is checked.
        self.request: CheckedRequest | None = None

    def run(self) -> Flow[paos.Result]:
        """From StartPAOS to the server's result; ``Failure`` if it is the client that cannot go on.

        The server is told of that, if it waits for an answer.
        """
        body = yield from self._ask(
            paos.StartPAOS(
                self._token.session_identifier, _SLOT, user_agent=self._known.user_agent, api_versions=API_VERSIONS
            )
        )
        while not isinstance(body, paos.StartPAOSResponse):
            try:
                answer = yield from self._answer(body)
            except UseIDError as error:
                failure = failure_of(error)
                yield from self._refuse(body, failure)
                raise failure from None
            body = yield from self._ask(answer)
        return body.result

    def _ask(self, body: paos.Body) -> Flow[paos.Body]:
        answer = yield from self._channel.ask(body)
        if self.request is not None:
            # A server that changes its certificate in the middle must be the one that was described, too.
            for der in self._channel.tls_certificates:
                check_server(self.request.description, der)
        return answer

    def _answer(self, body: paos.Body) -> Flow[paos.Body]:
        step, message = _step_of(body)
        following = TRANSITIONS.get((self._state, step))
        if following is None:
            raise _unexpected(f"{type(message).__name__}: not possible in state {self._state}")
        if getattr(body, "slot_handle", _SLOT) != _SLOT:
            raise Failure(
                "paos_invalid", "SlotHandle: expected that of StartPAOS", minor=ClientMinor.INCORRECT_PARAMETER
            )
        answer = yield from _HANDLERS[step](self, message)
        self._state = following
        return answer

    def _refuse(self, body: paos.Body, failure: Failure) -> Flow[None]:
        refusal = _REFUSALS.get(type(body))
        if refusal is None:
            return
        try:
            yield from self._channel.ask(refusal(paos.Result(MAJOR_ERROR, failure.minor, failure.message)))
        except UseIDError:
            # Whatever the server says to that, or that it says nothing: this is the end.
            return

    def _initialize(self, message: paos.InitializeFramework) -> Flow[paos.Body]:
        yield from ()
        return paos.InitializeFrameworkResponse(_OK, API_VERSIONS)

    def _list(self, message: paos.DIDList) -> Flow[paos.Body]:
        yield from ()
        return paos.DIDListResponse(_OK, (_DID_NAME,))

    def _request(self, message: paos.EAC1Input) -> Flow[paos.Body]:
        """EAC1: the request is checked, shown, and answered by the card after PACE."""
        request = self.request = check_request(
            message,
            tc_token_url=self._tc_token_url,
            tls_certificates=(*self._tls_certificates, *self._channel.tls_certificates),
            trusted=self._known.trusted,
            today=self._known.today,
        )
        granted: Collection[str] | None = yield request.facts(today=self._known.today)
        if granted is None:
            raise cancelled()
        chat = request.granted(granted)
        self._card = card = yield from open_card(
            chat.encode(),
            is_can_enough=bool(chat.rights & AuthenticationRight.CAN_ALLOWED),
            random=self._known.random,
        )
        output = paos.EAC1Output(
            chat=chat.encode(),
            references=card.pace.references,
            card_access=card.card_access,
            id_picc=card.pace.id_picc,
            challenge=card.challenge,
        )
        return paos.DIDAuthenticateResponse(_OK, output)

    def _announce(self, message: paos.EAC2Input) -> Flow[paos.Body]:
        """EAC2 without a signature: the server gets the challenge again, and signs it next."""
        yield from ()
        assert self._card is not None
        self._announced = message
        return paos.DIDAuthenticateResponse(_OK, paos.EAC2Output(challenge=self._card.challenge))

    def _complete(self, message: paos.EACAdditionalInput) -> Flow[paos.Body]:
        """The signature that EAC2 went without."""
        assert self._announced is not None
        return (yield from self._prove(replace(self._announced, signature=message.signature)))

    def _prove(self, message: paos.EAC2Input) -> Flow[paos.Body]:
        """EAC2: the server proves who it is to the card, and the card that it is genuine to the server."""
        assert self._card is not None
        assert self.request is not None
        proof = yield from prove(
            self._card,
            (*self.request.certificates, *map(parse_certificate, message.certificates)),
            ephemeral_key=message.ephemeral_key,
            auxiliary=self.request.auxiliary,
            signature=message.signature or b"",
        )
        output = paos.EAC2Output(card_security=proof.card_security, token=proof.answer.token, nonce=proof.answer.nonce)
        return paos.DIDAuthenticateResponse(_OK, output)

    def _transmit(self, message: paos.Transmit) -> Flow[paos.Body]:
        """Commands for the card, up to one whose answer the server does not accept."""
        answers: list[bytes] = []
        for each in message.apdus:
            answer: bytes = yield Transmit(each.apdu)
            answers.append(answer)
            if each.acceptable and not answer[-2:].startswith(each.acceptable):
                refused = paos.Result(
                    MAJOR_ERROR, ClientMinor.INTERNAL_ERROR, "OutputAPDU: expected an acceptable status code"
                )
                return paos.TransmitResponse(refused, tuple(answers))
        return paos.TransmitResponse(_OK, tuple(answers))


_HANDLERS: Final[Mapping[Step, Callable[[Session, Any], Flow[paos.Body]]]] = {
    Step.INITIALIZE: Session._initialize,
    Step.LIST: Session._list,
    Step.REQUEST: Session._request,
    Step.ANNOUNCE: Session._announce,
    Step.PROVE: Session._prove,
    Step.COMPLETE: Session._complete,
    Step.TRANSMIT: Session._transmit,
}
#: How a message is answered that is not done.
_REFUSALS: Final[Mapping[type[paos.Body], Callable[[paos.Result], paos.Body]]] = {
    paos.InitializeFramework: paos.InitializeFrameworkResponse,
    paos.DIDList: paos.DIDListResponse,
    paos.DIDAuthenticate: lambda result: paos.DIDAuthenticateResponse(result, None),
    paos.Transmit: lambda result: paos.TransmitResponse(result, ()),
}


def _step_of(body: paos.Body) -> tuple[Step, object]:
    """What the server asks for, and the part of the message that says it."""
    match body:
        case paos.InitializeFramework():
            return Step.INITIALIZE, body
        case paos.DIDList():
            return Step.LIST, body
        case paos.DIDAuthenticate(data=paos.EAC1Input() as data):
            return Step.REQUEST, data
        case paos.DIDAuthenticate(data=paos.EAC2Input(signature=None) as data):
            return Step.ANNOUNCE, data
        case paos.DIDAuthenticate(data=paos.EAC2Input() as data):
            return Step.PROVE, data
        case paos.DIDAuthenticate(data=data):
            return Step.COMPLETE, data
        case paos.Transmit():
            return Step.TRANSMIT, body
        case _:
            raise _unexpected(f"{type(body).__name__}: expected a message for a client")


def _unexpected(message: str) -> Failure:
    return Failure("paos_unexpected", message, minor=ClientMinor.INTERNAL_ERROR)
