"""Command and response APDUs (ISO 7816-3 §12.1, ISO 7816-4 §5.1), short and extended, and status words (§5.6)."""

from enum import IntEnum
from typing import Final, Self

from .._codec import Record
from .errors import APDUError

MAX_SHORT_DATA: Final = 0xFF
MAX_SHORT_NE: Final = 0x100
MAX_DATA: Final = 0xFFFF
MAX_NE: Final = 0x10000

_CHAINING: Final = 0x10
_SECURE_MESSAGING: Final = 0x0C
_PROPRIETARY: Final = 0x80


class Ins(IntEnum):
    """The instructions that TR-03110-3 appendix B and ISO 7816-4 use here."""

    DEACTIVATE = 0x04
    VERIFY = 0x20
    MANAGE_SECURITY_ENVIRONMENT = 0x22
    CHANGE_REFERENCE_DATA = 0x24
    PERFORM_SECURITY_OPERATION = 0x2A
    RESET_RETRY_COUNTER = 0x2C
    ACTIVATE = 0x44
    EXTERNAL_AUTHENTICATE = 0x82
    GET_CHALLENGE = 0x84
    GENERAL_AUTHENTICATE = 0x86
    INTERNAL_AUTHENTICATE = 0x88
    SELECT = 0xA4
    READ_BINARY = 0xB0
    READ_BINARY_ODD = 0xB1
    GET_RESPONSE = 0xC0
    UPDATE_BINARY = 0xD6
    UPDATE_BINARY_ODD = 0xD7
    TERMINATE = 0xE6


class StatusWord(IntEnum):
    """Status words with a meaning of their own. 63Cx, 61xx and 6Cxx carry a number: :func:`describe`."""

    OK = 0x9000
    WARNING_CHANGED_STATE = 0x6300
    END_OF_FILE = 0x6282
    DEACTIVATED = 0x6283
    RETRIES_0 = 0x63C0
    RETRIES_1 = 0x63C1
    RETRIES_2 = 0x63C2
    RETRIES_3 = 0x63C3
    EXECUTION_ERROR = 0x6400
    MEMORY_FAILURE = 0x6581
    WRONG_LENGTH = 0x6700
    CHANNEL_NOT_SUPPORTED = 0x6881
    SECURE_MESSAGING_NOT_SUPPORTED = 0x6882
    LAST_COMMAND_OF_CHAIN_EXPECTED = 0x6883
    CHAINING_NOT_SUPPORTED = 0x6884
    COMMAND_INCOMPATIBLE_WITH_FILE = 0x6981
    SECURITY_STATUS_NOT_SATISFIED = 0x6982
    AUTHENTICATION_METHOD_BLOCKED = 0x6983
    REFERENCE_DATA_NOT_USABLE = 0x6984
    CONDITIONS_NOT_SATISFIED = 0x6985
    COMMAND_NOT_ALLOWED = 0x6986
    SECURE_MESSAGING_OBJECT_MISSING = 0x6987
    SECURE_MESSAGING_OBJECT_INCORRECT = 0x6988
    WRONG_DATA = 0x6A80
    FUNCTION_NOT_SUPPORTED = 0x6A81
    FILE_NOT_FOUND = 0x6A82
    RECORD_NOT_FOUND = 0x6A83
    NOT_ENOUGH_MEMORY = 0x6A84
    INCORRECT_P1_P2 = 0x6A86
    LC_INCONSISTENT_WITH_P1_P2 = 0x6A87
    REFERENCED_DATA_NOT_FOUND = 0x6A88
    WRONG_P1_P2 = 0x6B00
    INS_NOT_SUPPORTED = 0x6D00
    CLA_NOT_SUPPORTED = 0x6E00
    NO_PRECISE_DIAGNOSIS = 0x6F00


class Command(Record, frozen=True):
    """A command. ``ne`` is how many bytes of answer are asked for at most: 0 none, 256 all (short), 65536 (extended).

    ``ins`` is an :class:`Ins` where the instruction has a name here, and any byte otherwise.
    """

    ins: int
    p1: int
    p2: int
    data: bytes = b""
    ne: int = 0
    cla: int = 0

    def __post_init__(self) -> None:
        if (self.cla | self.ins | self.p1 | self.p2) >> 8:
            found = " ".join(f"{each:#x}" for each in (self.cla, self.ins, self.p1, self.p2))
            raise APDUError(f"CLA, INS, P1, P2: expected one byte each, found {found}")
        if len(self.data) > MAX_DATA:
            raise APDUError(f"expected at most {MAX_DATA} bytes of command data, found {len(self.data)}")
        if not 0 <= self.ne <= MAX_NE:
            raise APDUError(f"Ne: expected 0 to {MAX_NE}, found {self.ne}")

    @property
    def header(self) -> bytes:
        """CLA, INS, P1, P2."""
        return bytes((self.cla, self.ins, self.p1, self.p2))

    @property
    def needs_extended(self) -> bool:
        """Whether data or Ne are too large for a short APDU."""
        return len(self.data) > MAX_SHORT_DATA or self.ne > MAX_SHORT_NE

    @property
    def chained(self) -> bool:
        """Whether CLA says that more commands of this chain follow (ISO 7816-4 §5.1.1.1)."""
        return self.cla < _PROPRIETARY and bool(self.cla & _CHAINING)

    @property
    def secured(self) -> bool:
        """Whether CLA announces the secure messaging of TR-03110: ISO 7816-4's, with the header authenticated."""
        return self.cla & 0x60 == 0 and self.cla & _SECURE_MESSAGING == _SECURE_MESSAGING

    def encode(self) -> bytes:
        """The APDU: short if data and Ne allow it, extended otherwise."""
        size, ne = len(self.data), self.ne
        if not self.needs_extended:
            lc = bytes((size,)) if size else b""
            le = bytes((ne & 0xFF,)) if ne else b""
        else:
            # One zero byte says "extended"; it stands before whichever length comes first.
            lc = b"\0" + size.to_bytes(2, "big") if size else b""
            le = (ne & 0xFFFF).to_bytes(2, "big") if ne else b""
            le = le if size else b"\0" + le
        return self.header + lc + self.data + le

    @classmethod
    def decode(cls, apdu: bytes) -> Self:
        """The command; ``APDUError`` for bytes of no case of ISO 7816-3 §12.1.3."""
        if len(apdu) < 4:
            raise APDUError(f"expected a header of four bytes, found {len(apdu)}")
        data, ne = _decode_body(apdu[4:])
        header_cla, ins, p1, p2 = apdu[:4]
        return cls(_NAMED_INS.get(ins, ins), p1, p2, data, ne, header_cla)


def _decode_body(body: bytes) -> tuple[bytes, int]:
    """Data and Ne. The comments name the cases of ISO 7816-3 §12.1.3."""
    if not body:  # 1
        return b"", 0
    if len(body) == 1:  # 2S
        return b"", body[0] or MAX_SHORT_NE
    if body[0]:
        end = 1 + body[0]
        if len(body) == end:  # 3S
            return body[1:], 0
        if len(body) == end + 1:  # 4S
            return body[1:end], body[end] or MAX_SHORT_NE
        raise APDUError(f"Lc says {body[0]} bytes, found {len(body) - 1} with Le")
    if len(body) < 3:
        raise APDUError("expected an extended length of three bytes, found two")
    number = int.from_bytes(body[1:3], "big")
    if len(body) == 3:  # 2E
        return b"", number or MAX_NE
    end = 3 + number
    if number and len(body) == end:  # 3E
        return body[3:], 0
    if number and len(body) == end + 2:  # 4E
        return body[3:end], int.from_bytes(body[end:], "big") or MAX_NE
    raise APDUError(f"extended Lc says {number} bytes, found {len(body) - 3} with Le")


class Response(Record, frozen=True):
    """A response: its data and its status word, which is any number of two bytes."""

    data: bytes = b""
    sw: int = StatusWord.OK

    def __post_init__(self) -> None:
        if len(self.data) > MAX_NE:
            raise APDUError(f"expected at most {MAX_NE} bytes of response data, found {len(self.data)}")
        if not 0 <= self.sw <= 0xFFFF:
            raise APDUError(f"expected a status word of two bytes, found {self.sw:#x}")

    def encode(self) -> bytes:
        """Data, then the status word."""
        return self.data + self.sw.to_bytes(2, "big")

    @classmethod
    def decode(cls, apdu: bytes) -> Self:
        """The response; ``APDUError`` for fewer than two or too many bytes."""
        if len(apdu) < 2:
            raise APDUError(f"expected a status word, found {len(apdu)} bytes")
        return cls(apdu[:-2], int.from_bytes(apdu[-2:], "big"))


def retries(left: int) -> int:
    """The status word 63Cx that says how many tries are left, 0 to 15."""
    return StatusWord.RETRIES_0 + min(left, 0x0F)


def retries_left(sw: int) -> int | None:
    """How many tries a status word 63Cx says are left; ``None`` for any other."""
    return sw & 0x0F if sw & 0xFFF0 == StatusWord.RETRIES_0 else None


def describe(sw: int) -> str:
    """A status word for people: its four digits and what it says."""
    return f"{sw:04X} ({_meaning(sw)})"


def _meaning(sw: int) -> str:
    left = retries_left(sw)
    if left is not None:
        return "1 try left" if left == 1 else f"{left} tries left"
    if sw in _NAMED_SW:
        return _NAMED_SW[sw].name.replace("_", " ").lower()
    return _NUMBERED_SW.get(sw >> 8, "unknown status").format(sw & 0xFF)


_NAMED_INS: Final = {int(ins): ins for ins in Ins}
_NAMED_SW: Final = {int(word): word for word in StatusWord}
_NUMBERED_SW: Final = {0x61: "{} more bytes wait", 0x6C: "wrong Le, {} bytes wait"}
