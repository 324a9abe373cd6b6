"""What a terminal does with a card besides the protocols' own messages: files, PACE with what the card offers, PINs.

The eID client selects, reads EF.CardAccess and runs PACE; the eID server, inside secure messaging, selects the eID
application and reads data groups. All are generators (``exchange``).
"""

from collections.abc import Iterable, Mapping
from typing import Final

from .apdu import Command, Ins, StatusWord
from .curves import Curve
from .errors import APDUError, StatusWordError
from .exchange import Exchange, expect, expect_ok
from .file_identifiers import EID_APPLICATION, FileId, data_group_fid
from .keys import PasswordId
from .pace import PACEResult, establish_pace
from .security_info_parsing import parse_security_infos
from .security_infos import PACEInfo, SecurityInfos, choose_pace

#: A file is read in parts that a short APDU can carry inside secure messaging.
PART: Final = 0xDF
_NO_ANSWER: Final = 0x0C
_BY_NAME: Final = 0x04
_CURRENT: Final = 0x02
_PIN: Final = 0x03
_CAN: Final = 0x02
#: READ BINARY has 15 bits for the offset.
_MAX_FILE: Final = 0x8000


def select_master_file() -> Exchange[None]:
    """SELECT the master file."""
    expect_ok("SELECT MF", (yield Command(Ins.SELECT, 0, _NO_ANSWER, FileId.MF.to_bytes(2, "big"))))


def select_eid_application() -> Exchange[None]:
    """SELECT the eID application by its name."""
    expect_ok("SELECT eID application", (yield Command(Ins.SELECT, _BY_NAME, _NO_ANSWER, EID_APPLICATION)))


def read_file(fid: int, *, part: int = PART) -> Exchange[bytes]:
    """SELECT a file of the current directory and READ BINARY all of it, in parts of at most ``part`` bytes.

    ``APDUError`` for a file that does not end before 15 bits of offset do.
    """
    yield from _select_file(fid)
    content = b""
    while True:
        if len(content) >= _MAX_FILE:
            raise APDUError(f"READ BINARY {fid:04X}: expected a file of less than {_MAX_FILE} bytes")
        offset = len(content).to_bytes(2, "big")
        response = yield Command(Ins.READ_BINARY, offset[0], offset[1], ne=part)
        # Right behind the end some cards answer 6B00, where the last part was full.
        accepted = (StatusWord.OK, StatusWord.END_OF_FILE, *((StatusWord.WRONG_P1_P2,) if content else ()))
        data = expect(f"READ BINARY {fid:04X}", response, accepted=accepted)
        content += data
        if response.sw != StatusWord.OK or not data:
            return content


def read_card_access() -> Exchange[tuple[bytes, SecurityInfos]]:
    """SELECT the master file and read EF.CardAccess; ``SecurityInfoError`` if it is none."""
    yield from select_master_file()
    content = yield from read_file(FileId.EF_CARD_ACCESS)
    return content, parse_security_infos(content)


def pace_from_offer(
    offer: tuple[PACEInfo, Curve],
    password: bytes,
    *,
    password_id: PasswordId,
    mapping_key: int,
    agreement_key: int,
    chat: bytes = b"",
) -> Exchange[PACEResult]:
    """PACE as ``security_infos.choose_pace`` chose it from the card's offers."""
    info, curve = offer
    result = yield from establish_pace(
        password,
        password_id=password_id,
        protocol=info.protocol,
        curve=curve,
        mapping_key=mapping_key,
        agreement_key=agreement_key,
        parameter_id=info.parameter_id,
        chat=chat,
    )
    return result


def read_offer() -> Exchange[tuple[PACEInfo, Curve]]:
    """Read EF.CardAccess and choose how to run PACE."""
    _, infos = yield from read_card_access()
    return choose_pace(infos)


def read_data_groups(numbers: Iterable[int]) -> Exchange[Mapping[int, bytes]]:
    """The data groups that are on the card, of these numbers; absent ones are left out.

    Inside secure messaging, with the eID application selected. ``StatusWordError`` if one may not be read.
    """
    found: dict[int, bytes] = {}
    for number in numbers:
        try:
            found[number] = yield from read_file(data_group_fid(number))
        except StatusWordError as error:
            if error.status_word != StatusWord.FILE_NOT_FOUND:
                raise
    return found


def write_data_group(number: int, content: bytes) -> Exchange[None]:
    """SELECT a data group and UPDATE BINARY it, in parts, from the beginning."""
    yield from _select_file(data_group_fid(number))
    for start in range(0, len(content), PART):
        response = yield Command(Ins.UPDATE_BINARY, start >> 8, start & 0xFF, content[start : start + PART])
        expect_ok("UPDATE BINARY", response)


def change_pin(new: bytes) -> Exchange[None]:
    """RESET RETRY COUNTER with a new PIN, in a channel of PACE with the PIN, or by an authorized terminal (B.11.9)."""
    expect_ok("RESET RETRY COUNTER (new PIN)", (yield Command(Ins.RESET_RETRY_COUNTER, 0x02, _PIN, new)))


def change_can(new: bytes) -> Exchange[None]:
    """RESET RETRY COUNTER with a new CAN, by an authorized terminal (B.11.9)."""
    expect_ok("RESET RETRY COUNTER (new CAN)", (yield Command(Ins.RESET_RETRY_COUNTER, 0x02, _CAN, new)))


def unblock_pin() -> Exchange[None]:
    """RESET RETRY COUNTER without data, in a channel of PACE with the PUK, or by an authorized terminal (B.11.9)."""
    expect_ok("RESET RETRY COUNTER (unblock)", (yield Command(Ins.RESET_RETRY_COUNTER, 0x03, _PIN)))


def activate_pin() -> Exchange[None]:
    """ACTIVATE the PIN, by an authorized terminal (B.11.10)."""
    expect_ok("ACTIVATE", (yield Command(Ins.ACTIVATE, 0x10, _PIN)))


def deactivate_pin() -> Exchange[None]:
    """DEACTIVATE the PIN, by an authorized terminal (B.11.10)."""
    expect_ok("DEACTIVATE", (yield Command(Ins.DEACTIVATE, 0x10, _PIN)))


def _select_file(fid: int) -> Exchange[None]:
    selected = yield Command(Ins.SELECT, _CURRENT, _NO_ANSWER, fid.to_bytes(2, "big"))
    expect_ok(f"SELECT {fid:04X}", selected)
