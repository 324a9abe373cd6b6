"""SELECT, READ BINARY and UPDATE BINARY (ISO 7816-4 §11.2, §11.3)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from ...eac.apdu import Response, StatusWord
from ...eac.chat import AuthenticationRight
from ...eac.errors import TLVError
from ...eac.tlv import build, parse
from .files import (
    Directory,
    File,
    FileSystem,
    Location,
    Need,
    directory_at,
    file_at,
    locate,
    locate_odd,
    read_at,
    select,
    updated,
)
from .refusal import Refusal
from .session import OK, Outcome, Request, Situation, authenticated_terminal, require

_OFFSET: Final = 0x54
_DISCRETIONARY: Final = 0x53
_MAX_OFFSET_SIZE: Final = 4
#: Bytes that the header of 53 takes at most.
_HEADER: Final = 4

#: SELECT's P2, first or only occurrence: what the answer tells about the file (ISO 7816-4 table 63).
_ANSWERS: Final[Mapping[int, Callable[[File | Directory], bytes]]] = {
    0x00: lambda found: build(0x6F, found.control_parameters()),
    0x04: lambda found: build(0x62, found.control_parameters()),
    0x0C: lambda found: b"",
}


def files_of(situation: Situation) -> FileSystem:
    """The files with what terminals have written."""
    return situation.chip.files.with_content(situation.state.written)


def select_file(situation: Situation, request: Request) -> Outcome:
    """SELECT: 6A82 not there, 6A86 other P1 or P2 than here, 6A87 not as many bytes as P1 says."""
    command = request.command
    answer = _ANSWERS.get(command.p2)
    if answer is None:
        raise Refusal(StatusWord.INCORRECT_P1_P2)
    files = files_of(situation)
    location = select(files, situation.session.location, p1=command.p1, data=command.data)
    selected = directory_at(files, location) if location.fid is None else file_at(files, location)
    # Without Le nothing is asked for (ISO 7816-4 §11.2.3).
    return situation.at(location), Response(answer(selected) if command.ne else b"")


def read_binary(situation: Situation, request: Request) -> Outcome:
    """READ BINARY: 6986 no file selected, 6982 not yours to read, 6B00 beyond the end, 6282 the end came first."""
    command = request.command
    if command.data or not command.ne:
        raise Refusal(StatusWord.WRONG_LENGTH)
    files = files_of(situation)
    location, offset = locate(files, situation.session.location, p1=command.p1, p2=command.p2)
    file = _readable(situation, files, location)
    data, is_short = read_at(file, offset, request.room)
    return situation.at(location), _read(data, is_short=is_short, ne=command.ne)


def read_binary_odd(situation: Situation, request: Request) -> Outcome:
    """READ BINARY with odd INS: the offset comes as 54, the data go as 53."""
    command = request.command
    if not command.ne:
        raise Refusal(StatusWord.WRONG_LENGTH)
    files = files_of(situation)
    location = locate_odd(files, situation.session.location, p1=command.p1, p2=command.p2)
    file = _readable(situation, files, location)
    data, is_short = read_at(file, _offset(command.data), max(request.room - _HEADER, 0))
    return situation.at(location), _read(build(_DISCRETIONARY, data), is_short=is_short, ne=command.ne)


def update_binary(situation: Situation, request: Request) -> Outcome:
    """UPDATE BINARY: 6982 not yours to write, which most files are nobody's to."""
    command = request.command
    if not command.data:
        raise Refusal(StatusWord.WRONG_LENGTH)
    files = files_of(situation)
    location, offset = locate(files, situation.session.location, p1=command.p1, p2=command.p2)
    file = file_at(files, location)
    right = AuthenticationRight.__members__.get(f"WRITE_DG{file.data_group}")
    if right is None:
        raise Refusal(StatusWord.SECURITY_STATUS_NOT_SATISFIED)
    require(situation, right)
    written = {**situation.state.written, file.data_group: updated(file, offset, command.data)}
    return situation.with_state(replace(situation.state, written=written)).at(location), OK


def _readable(situation: Situation, files: FileSystem, location: Location) -> File:
    """The file there, if the terminal may read it."""
    file = file_at(files, location)
    if file.read is Need.TERMINAL_AUTHENTICATION:
        authenticated_terminal(situation)
    if file.read is Need.READ_RIGHT:
        require(situation, AuthenticationRight[f"READ_DG{file.data_group}"])
    return file


def _read(data: bytes, *, is_short: bool, ne: int) -> Response:
    # Who asks for all there is (Le 00 or 0000) is not warned that there is no more.
    is_warned = is_short and ne not in (0x100, 0x10000)
    return Response(data, StatusWord.END_OF_FILE if is_warned else StatusWord.OK)


def _offset(data: bytes) -> int:
    """The number in 54, in one to four bytes."""
    try:
        value = parse(data, tag=_OFFSET).value
    except TLVError:
        raise Refusal(StatusWord.WRONG_DATA) from None
    if not 0 < len(value) <= _MAX_OFFSET_SIZE:
        raise Refusal(StatusWord.WRONG_DATA)
    return int.from_bytes(value, "big")
