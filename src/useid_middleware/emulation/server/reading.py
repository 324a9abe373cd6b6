"""What the card is asked once it has proved to be genuine, in as few round trips as the commands allow.

The dialogues are those of ``eac``. Since no command here depends on an answer before it, they are run twice: once to
learn their commands, which go out together, and once more with the answers that came back. Only the rest of a long
file takes a second trip.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from ...eac.apdu import Command, Ins, Response, StatusWord
from ...eac.auxiliary_data import verify
from ...eac.errors import APDUError, StatusWordError
from ...eac.exchange import Exchange, expect, expect_ok
from ...eac.oids import OID
from ...eac.restricted_identification import Identifiers, SectorKey, request_identifiers
from ...eac.secure_messaging import SecureSession, protect_command, unprotect_response
from ...eac.terminal import PART, select_eid_application
from ...eid.core.attributes import Operation
from ..paos import InputAPDU
from .data_groups import NUMBERS, declared_size

T = TypeVar("T")

#: READ BINARY that names the file by its short identifier has eight bits for the offset.
_SHORT_FILE_ID: Final = 0x80
_READ: Final = (StatusWord.OK, StatusWord.END_OF_FILE, StatusWord.WRONG_P1_P2)


@dataclass(frozen=True, slots=True)
class Asked:
    """A dialogue of ``count`` commands that get asked together with others; ``acceptable`` answers do not stop it."""

    exchange: Callable[[], Exchange[Any]]
    count: int = 1
    acceptable: tuple[int, ...] = (StatusWord.OK,)

    def commands(self) -> tuple[Command, ...]:
        """Its commands, as if each went well."""
        exchange = self.exchange()
        try:
            commands = [next(exchange)]
            while len(commands) < self.count:
                commands.append(exchange.send(Response()))
            return tuple(commands)
        finally:
            exchange.close()


@dataclass(frozen=True, slots=True)
class Answers:
    """What the first trip brings. ``None``: not asked, or the card cannot say.

    ``beginnings`` are the first bytes of the files, ``None`` for one that is not there.
    """

    is_valid: bool
    revocation: Identifiers
    pseudonym: Identifiers | None
    is_old_enough: bool | None
    lives_there: bool | None
    beginnings: Mapping[Operation, bytes | None]


@dataclass(frozen=True, slots=True)
class Questions:
    """The first trip: what is asked of the card whose keys for Restricted Identification these are.

    The pseudonym is asked for with ``pseudonym_key`` only; ``files`` are those whose rights the user has left.
    """

    sectors: tuple[SectorKey, SectorKey | None]
    revocation_key: int
    pseudonym_key: int | None
    asks_age: bool
    asks_place: bool
    files: tuple[Operation, ...]

    def asked(self) -> tuple[Asked, ...]:
        """The dialogues in their order."""
        return (
            Asked(select_eid_application),
            self._verification(OID.AUXILIARY_DATE_OF_EXPIRY),
            self._identification(self.revocation_key),
            *(() if self.pseudonym_key is None else (self._identification(self.pseudonym_key),)),
            *((self._verification(OID.AUXILIARY_DATE_OF_BIRTH),) if self.asks_age else ()),
            *((self._verification(OID.AUXILIARY_COMMUNITY_ID),) if self.asks_place else ()),
            *(_beginning(NUMBERS[each]) for each in self.files),
        )

    def answered(self, responses: Sequence[Response]) -> Answers:
        """What the responses to those commands say; ``EACError`` where the card refused or answers something else."""
        results = iter(results_of(self.asked(), responses))
        next(results)
        return Answers(
            is_valid=next(results) is True,
            revocation=next(results),
            pseudonym=None if self.pseudonym_key is None else next(results),
            is_old_enough=next(results) if self.asks_age else None,
            lives_there=next(results) if self.asks_place else None,
            beginnings=dict(zip(self.files, results, strict=True)),
        )

    def _identification(self, key_id: int) -> Asked:
        first, second = self.sectors
        return Asked(lambda: request_identifiers(key_id=key_id, first=first, second=second), count=2)

    def _verification(self, question: str) -> Asked:
        acceptable = (StatusWord.OK, StatusWord.WARNING_CHANGED_STATE, StatusWord.REFERENCED_DATA_NOT_FOUND)
        return Asked(lambda: _verified(question), acceptable=acceptable)


def rest_of_files(contents: Mapping[Operation, bytes]) -> tuple[Asked, ...]:
    """The second trip: what is missing of the files that begin so; ``DataGroupError`` for one that is too long."""
    return tuple(_rest(NUMBERS[each], len(content), size) for each, content, size in _unfinished(contents))


def with_rest(contents: Mapping[Operation, bytes], responses: Sequence[Response]) -> dict[Operation, bytes]:
    """The files with what the second trip brought; ``EACError`` where the card refused or sent too little."""
    rests = results_of(rest_of_files(contents), responses)
    found = {each: content + rest for (each, content, _), rest in zip(_unfinished(contents), rests, strict=True)}
    return {**contents, **found}


def protected(session: SecureSession, asked: Sequence[Asked]) -> tuple[InputAPDU, ...]:
    """The commands in secure messaging. Each is protected for the answers before it to have come."""
    apdus = []
    for each in asked:
        acceptable = tuple(word.to_bytes(2, "big") for word in each.acceptable)
        for command in each.commands():
            session, secured = protect_command(session, command)
            session = session.next()
            apdus.append(InputAPDU(secured.encode(), acceptable))
    return tuple(apdus)


def unprotected(session: SecureSession, apdus: Sequence[bytes]) -> tuple[SecureSession, tuple[Response, ...]]:
    """The card's answers, and the session as it stands behind them; ``SecureMessagingError`` or ``APDUError``."""
    responses = []
    for apdu in apdus:
        session, response = unprotect_response(session.next(), Response.decode(apdu))
        responses.append(response)
    return session, tuple(responses)


def commands_in(asked: Sequence[Asked]) -> int:
    """How many commands these are, and so how many answers must come."""
    return sum(each.count for each in asked)


def results_of(asked: Sequence[Asked], responses: Sequence[Response]) -> list[Any]:
    """What each dialogue learns from its part of the responses; ``EACError`` from the first that does not go well."""
    results, at = [], 0
    for each in asked:
        results.append(_run(each.exchange(), responses[at : at + each.count]))
        at += each.count
    return results


def _run(exchange: Exchange[T], responses: Sequence[Response]) -> T:
    try:
        next(exchange)
        for response in responses:
            exchange.send(response)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        exchange.close()
    raise APDUError("expected an answer to each command")


def _verified(question: str) -> Exchange[bool | None]:
    """VERIFY; ``None`` if the card cannot answer this question."""
    try:
        return (yield from verify(question))
    except StatusWordError as error:
        if error.status_word != StatusWord.REFERENCED_DATA_NOT_FOUND:
            raise
        return None


def _beginning(number: int) -> Asked:
    acceptable = (*_READ, StatusWord.FILE_NOT_FOUND)
    return Asked(lambda: _read_beginning(number), acceptable=acceptable)


def _read_beginning(number: int) -> Exchange[bytes | None]:
    """READ BINARY of as much as a short APDU carries; ``None`` if the file is not there."""
    response = yield Command(Ins.READ_BINARY, _SHORT_FILE_ID | number, 0, ne=PART)
    if response.sw == StatusWord.FILE_NOT_FOUND:
        return None
    content = expect(f"READ BINARY DG{number}", response, accepted=_READ)
    if len(content) > PART:
        raise APDUError(f"READ BINARY DG{number}: expected at most {PART} bytes")
    return content


def _rest(number: int, start: int, size: int) -> Asked:
    count = -(-(size - start) // PART)
    return Asked(lambda: _read_rest(number, start, size), count=count)


def _read_rest(number: int, start: int, size: int) -> Exchange[bytes]:
    """READ BINARY from ``start`` to ``size``: the first names the file, the others go on in it."""
    content = b""
    for at in range(start, size, PART):
        p1, p2 = (_SHORT_FILE_ID | number, at) if at == start else (at >> 8, at & 0xFF)
        response = yield Command(Ins.READ_BINARY, p1, p2, ne=min(PART, size - at))
        content += expect_ok(f"READ BINARY DG{number}", response)
    return content


def _unfinished(contents: Mapping[Operation, bytes]) -> list[tuple[Operation, bytes, int]]:
    sized = ((each, content, declared_size(content)) for each, content in contents.items())
    return [(each, content, size) for each, content, size in sized if len(content) < size]
