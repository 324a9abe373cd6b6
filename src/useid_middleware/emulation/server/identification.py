"""What the genuine card says: whether it is valid and not revoked, who it belongs to, and the result of it all."""

from collections.abc import Sequence
from typing import Final

from ..._codec import replace
from ...eac.apdu import Response
from ...eac.errors import SecureMessagingError
from ...eac.keys import SessionKeys
from ...eac.restricted_identification import is_revoked
from ...eac.secure_messaging import SecureSession
from ...eid.core.attributes import EIDResult, Operation, RestrictedID
from ...eid.core.results import MAJOR_OK
from .. import paos
from .data_groups import NUMBERS, RIGHTS, is_on_chip, personal_data
from .material import ServerMaterial, Turn
from .reading import Answers, Asked, Questions, commands_in, protected, rest_of_files, unprotected, with_rest
from .requests import asked_operations, outcome_of
from .results import Failure, SessionFailed, check_result
from .session import Answer, EACSession, Step, completed, request_of

#: Of an identity on a card that a PIN unlocks (TR-03107-1). That this card is emulated is for the host to say.
_LEVEL: Final = "hoch"
_CARD: Final = "CardCertified"


def ask_card(session: EACSession, material: ServerMaterial) -> Answer:
    """Transmit: the first questions in the channel of Chip Authentication."""
    return Step.READ, session, _transmit(session, _questions(session, material).asked())


def on_answers(session: EACSession, body: paos.TransmitResponse, turn: Turn) -> Answer:
    """TransmitResponse: is the card valid and not revoked, what does it say, and which files go on."""
    questions = _questions(session, turn.material)
    session, responses = _responses(session, body, count=commands_in(questions.asked()))
    answers = questions.answered(responses)
    if not answers.is_valid:
        raise SessionFailed(Failure.CARD_REFUSED, "the card has expired")
    if is_revoked(answers.revocation, revoked=turn.material.revoked):
        raise SessionFailed(Failure.CARD_REFUSED, "the card is revoked")
    session = _noted(session, answers)
    rest = rest_of_files(session.contents)
    if rest:
        return Step.READ, session, _transmit(session, rest)
    return _complete(session)


def on_rest(session: EACSession, body: paos.TransmitResponse, turn: Turn) -> Answer:
    """TransmitResponse: the rest of the long files."""
    session, responses = _responses(session, body, count=commands_in(rest_of_files(session.contents)))
    return _complete(replace(session, contents=with_rest(session.contents, responses)))


def _questions(session: EACSession, material: ServerMaterial) -> Questions:
    """What is asked under the rights that the user has left."""
    left = [each for each in asked_operations(request_of(session)) if not RIGHTS[each] & ~session.rights]
    return Questions(
        sectors=material.sectors,
        revocation_key=session.revocation_key,
        pseudonym_key=session.pseudonym_key,
        asks_age=Operation.AGE_VERIFICATION in left,
        asks_place=Operation.PLACE_VERIFICATION in left,
        files=tuple(each for each in left if each in NUMBERS),
    )


def _channel(session: EACSession) -> SecureSession:
    return SecureSession(SessionKeys(session.enc, session.mac), session.ssc)


def _transmit(session: EACSession, asked: Sequence[Asked]) -> paos.Body:
    return paos.Transmit(session.slot_handle, protected(_channel(session), asked))


def _responses(
    session: EACSession, body: paos.TransmitResponse, *, count: int
) -> tuple[EACSession, tuple[Response, ...]]:
    """The card's answers, ``count`` of them, and the session behind them."""
    try:
        channel, responses = unprotected(_channel(session), body.apdus)
    except SecureMessagingError as error:
        raise SessionFailed(Failure.CARD_REFUSED, f"TransmitResponse: {error.message}") from None
    check_result(body.result)
    if len(responses) != count:
        raise SessionFailed(Failure.OTHER, f"TransmitResponse: expected {count} answers, found {len(responses)}")
    return replace(session, ssc=channel.counter), responses


def _noted(session: EACSession, answers: Answers) -> EACSession:
    """The session with what the first questions have brought."""
    pseudonym = answers.pseudonym
    identifiers = () if pseudonym is None else (pseudonym.first, pseudonym.second)
    return replace(
        session,
        is_old_enough=answers.is_old_enough,
        lives_there=answers.lives_there,
        pseudonyms=tuple(each for each in identifiers if each is not None),
        contents={each: content for each, content in answers.beginnings.items() if content is not None},
    )


def _complete(session: EACSession) -> Answer:
    """StartPAOSResponse, and the result (TR-03130-1 §3.3)."""
    pseudonym = RestrictedID(*session.pseudonyms) if session.pseudonyms else None
    data = personal_data(session.contents, restricted_id=pseudonym)
    found = {
        Operation.AGE_VERIFICATION: session.is_old_enough is not None,
        Operation.PLACE_VERIFICATION: session.lives_there is not None,
    }
    result = EIDResult(
        personal_data=data,
        fulfils_age_verification=session.is_old_enough,
        fulfils_place_verification=session.lives_there,
        operations_allowed_by_user={
            each: outcome_of(each, rights=session.rights, is_on_chip=found.get(each, False) or is_on_chip(each, data))
            for each in asked_operations(request_of(session))
        },
        level_of_assurance=_LEVEL,
        eid_type=_CARD,
    )
    return Step.COMPLETE, completed(session, result), paos.StartPAOSResponse(paos.Result(MAJOR_OK))
